"""Benchmark of the start of a process up to its first epoch: the time of imports, compilation and the compilation cache.

    python -m benchmarks.start                           the small audio net, E's audio net and A2's fused network
    python -m benchmarks.start --system gru_attention --rounds 5

Each row is the median over new processes: "fresh" without a compilation cache, "cached" with the programs of an earlier process. Columns
are seconds: imports, planning trials and data, the first epoch (with compilation or reading of the cache), and a later epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

SYSTEMS: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "small_audio": ({"audio": (60, 20)}, "audio"),
    "gru_attention": ({"audio": (64, 13)}, "audio"),
    "contextual_temporal": ({"audio": (5, 128), "video": (16, 2048)}, "fused"),
}
PHASES = ("import", "plan", "first epoch", "later epoch")


def one_process(system: str, num_clips: int, cache: str) -> dict[str, float]:
    """Return the seconds of each phase, measured inside this new process."""
    marks = [time.perf_counter()]
    from typing import Any

    import jax

    from avemo_jax.experiment.backend import set_up_backend
    from benchmarks import made_experiment

    marks.append(time.perf_counter())
    shapes, stage_name = SYSTEMS[system]
    fields: dict[str, Any] = {"devices__compilation_cache": bool(cache), "prepared_dir": cache or "."}
    plan = made_experiment.plan(system, shapes, num_clips=num_clips, num_folds=5, **fields)
    set_up_backend(plan.experiment)
    _, program, lanes = made_experiment.laid_out(plan, stage_name)
    marks.append(time.perf_counter())
    states = made_experiment.fresh_states(plan, program, lanes)
    for _ in range(2):
        states, metrics = program.epoch(lanes, states)
        jax.block_until_ready(metrics)
        marks.append(time.perf_counter())
    return {phase: b - a for phase, a, b in zip(PHASES, marks, marks[1:], strict=False)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=SYSTEMS, action="append", help="may be given several times; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--one_process", metavar="CACHE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_process is not None:
        print(json.dumps(one_process(arguments.system[0], arguments.clips, arguments.one_process)))
        return
    print(f"{'system':20} {'cache':7}" + "".join(f"{phase:>13}" for phase in (*PHASES, "to the first")))
    for system in arguments.system or SYSTEMS:
        with tempfile.TemporaryDirectory() as cache:
            measured(system, arguments.clips, cache)  # fills the cache
            for kind, folder in (("fresh", ""), ("cached", cache)):
                rounds = [measured(system, arguments.clips, folder) for _ in range(arguments.rounds)]
                medians = {phase: statistics.median(one[phase] for one in rounds) for phase in PHASES}
                to_first = statistics.median(sum(one[phase] for phase in PHASES[:3]) for one in rounds)
                print(f"{system:20} {kind:7}" + "".join(f"{value:13.2f}" for value in (*medians.values(), to_first)), flush=True)


def measured(system: str, num_clips: int, cache: str) -> dict[str, float]:
    """Return the seconds of each phase in a new process; `cache` is the folder of compiled programs, "" for none."""
    command = [sys.executable, "-m", "benchmarks.start", f"--system={system}", f"--clips={num_clips}", f"--one_process={cache}"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {finished.returncode}:\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
