"""Kill random processes of a run of several with SIGKILL, restart it, and compare with an uninterrupted run of one process.

python tests/support/process_kills.py [NUM_KILLS [SEED]]

Every start draws a new number of processes. The remaining processes must end by themselves, within the heartbeat time.
"""

from __future__ import annotations

import functools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from small_experiment import BOTH, rows_of, small_corpus

ROOT = Path(__file__).resolve().parents[2]
HEARTBEAT_S = 5
NUM_EPOCHS = 6
# Compiled programs go to the cache of all tests instead of one for each run. The stage "fused" starts from the weights of the others, which
# every process must find.
SYSTEM = {"system__streams": BOTH, "devices__compilation_cache": False}
FIELDS = SYSTEM | {"train__stages": (*BOTH, "fused"), "train__num_epochs": NUM_EPOCHS}


def start(
    sets: Path, workdir: Path, fields: dict[str, Any], *, num_processes: int = 1, num_devices: int = 1, epoch_s: float = 0.0
) -> list[subprocess.Popen]:
    """Start a run with this number of processes and of virtual devices a process."""
    workdir.parent.mkdir(parents=True, exist_ok=True)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={num_devices}"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    processes = []
    for number in range(num_processes):
        own = dict(fields)
        if num_processes > 1:
            own |= {"devices__coordinator": address, "devices__process": number, "devices__num_processes": num_processes}
            own |= {"devices__heartbeat_s": HEARTBEAT_S}
        command = [
            sys.executable,
            str(ROOT / "tests" / "support" / "experiment_on_processes.py"),
            str(sets),
            str(workdir),
            json.dumps(own),
            str(epoch_s),
        ]
        log = (workdir.parent / f"{workdir.name}.{number}.log").open("a")
        processes.append(subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT))
        log.close()
    return processes


def finish(processes: list[subprocess.Popen], workdir: Path, expected: int = 0) -> None:
    """Wait for all processes; each must end with the expected exit code."""
    try:
        codes = [process.wait(timeout=400) for process in processes]
    finally:
        for process in processes:
            process.kill()
    logs = [path.read_text()[-3000:] for path in sorted(workdir.parent.glob(f"{workdir.name}.*.log"))]
    assert codes == [expected] * len(codes), f"{codes}\n" + "\n".join(logs)


def outcome(workdir: Path) -> dict[str, Any]:
    """Return the results of training: predictions, and metrics without times."""
    return {"predictions.csv": (workdir / "predictions.csv").read_bytes(), "metrics.jsonl": rows_of(workdir)}


def kills(folder: Path, num_kills: int, *, seed: int = 0, say: Callable[[str], None] = print) -> None:
    """Kill processes `num_kills` times.

    Raises:
      AssertionError: the others did not end in time, a restart failed, or results differ from those of the uninterrupted run.
    """
    sets = folder / "sets"
    sets.mkdir()
    small_corpus(sets)
    finish(start(sets, folder / "straight", FIELDS), folder / "straight")
    expected = outcome(folder / "straight")
    chance = random.Random(seed)
    done = number = 0
    while done < num_kills:
        number += 1
        workdir, own = folder / f"killed_{number}", 0
        while done < num_kills:
            count = chance.choice((2, 3))
            saved = _saved(workdir)
            wanted = saved + chance.randint(0, 8)  # checkpoints, over all shares and stages
            processes = start(sets, workdir, FIELDS, num_processes=count, epoch_s=0.3)
            while _saved(workdir) <= wanted and all(process.poll() is None for process in processes):
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.3))
            victim = chance.randrange(count)
            if any(process.poll() is not None for process in processes):  # finished before the kill
                finish(processes, workdir)
                break
            processes[victim].kill()
            killed = time.monotonic()
            others = [process for process in processes if process is not processes[victim]]
            codes = [process.wait(timeout=400) for process in others]
            seconds = time.monotonic() - killed
            # Processes that had finished their share before the kill end with code 0.
            assert victim == 0 or all(codes) or all(code == 0 for code in codes[1:]), codes
            done, own = done + 1, own + 1
            say(f"kill {done}: process {victim} of {count} at {_saved(workdir)} checkpoints; the others ended after {seconds:.1f} s")
            assert seconds < 3 * HEARTBEAT_S + 10, f"the others ended only after {seconds:.0f} s"
            if _saved(workdir) - saved > 8 and chance.random() < 0.3:
                break
        finish(start(sets, workdir, FIELDS, num_processes=2), workdir)
        found = outcome(workdir)
        for name in expected:
            assert found[name] == expected[name], f"run {number}, killed {own} times: {name} differs from the uninterrupted run's"
        say(f"run {number}, killed {own} times: predictions.csv and {len(found['metrics.jsonl'])} rows of metrics are the same")


def _saved(workdir: Path) -> int:
    """Return the sum of the newest saved epochs over all shares and stages; it never decreases."""
    newest: dict[Path, int] = {}
    for path in workdir.glob("checkpoints/*/*/manifest.json"):
        if path.parent.name.isdigit():
            newest[path.parents[1]] = max(newest.get(path.parents[1], 0), int(path.parent.name))
    return sum(newest.values())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        arguments = [int(argument) for argument in sys.argv[1:]]
        kills(Path(place), *(arguments[:1] or [10]), seed=sum(arguments[1:2]), say=functools.partial(print, flush=True))
