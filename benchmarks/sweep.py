"""Benchmark of a sweep: ten folds of sixteen settings against ten folds of one setting, in one compiled program each.

    python -m benchmarks.sweep                                        A2's fused network
    python -m benchmarks.sweep --system small_audio --epochs 5        another one
    python -m benchmarks.sweep --execution vmap_scan                  another execution of trials and steps

Settings differ in the learning rate, which is an array over trials. Printed are the seconds of the given number of epochs, compilation
included, the ratio of the two sides, the ratio of their epochs alone, the number of programs compiled for an epoch, and the peak memory of
the process. The compilation cache is not used.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import statistics
import time

import jax
import numpy as np

from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.grid_plan import GridPlan
from benchmarks import made_experiment

SYSTEMS: dict[str, tuple[str, dict[str, tuple[int, ...]], str]] = {
    "a2": ("contextual_temporal", {"audio": (5, 128), "video": (16, 2048)}, "fused"),
    "small_audio": ("small_audio", {"audio": (60, 20)}, "audio"),
}


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds until the end of the first epoch, seconds of each later epoch, and the number of programs compiled for an epoch."""

    first_s: float
    epochs_s: list[float]
    num_compiles: int

    @property
    def total_s(self) -> float:
        return self.first_s + sum(self.epochs_s)


def timed(plan: GridPlan, stage_name: str, num_epochs: int) -> Timing:
    """Return the timing of training all trials of a plan for some epochs."""
    start = time.perf_counter()
    _, program, lanes = made_experiment.laid_out(plan, stage_name)
    states = made_experiment.fresh_states(plan, program, lanes)
    compiled: list[str] = []

    def listen(name: str, seconds: float, **_: object) -> None:
        compiled.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    marks = []
    for _ in range(num_epochs):
        states, metrics = program.epoch(lanes, states)
        losses = [one.val_loss for one in program.trials(metrics, len(plan.trials))]
        marks.append(time.perf_counter())
        if not np.all(np.isfinite(losses)):
            raise ValueError(f"validation losses are not finite: {losses}")
    jax.monitoring.unregister_event_duration_listener(listen)
    num_compiles = sum(name.endswith("jaxpr_to_mlir_module_duration") for name in compiled)  # also counted where a cache has the program
    return Timing(marks[0] - start, list(np.diff(marks)), num_compiles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=SYSTEMS, default="a2")
    parser.add_argument("--settings", type=int, default=16)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--clips", type=int, default=1440)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--execution", default="auto", help="same values as --config.devices.execution")
    arguments = parser.parse_args()
    system, shapes, stage = SYSTEMS[arguments.system]
    made = {"num_clips": arguments.clips, "num_folds": arguments.folds, "execution": arguments.execution}
    one = made_experiment.plan(system, shapes, **made, devices__compilation_cache=False)
    rates = tuple(float(rate) for rate in np.geomspace(1e-3, 1e-2, arguments.settings))
    many = made_experiment.plan(system, shapes, **made, devices__compilation_cache=False, sweep__learning_rate=rates)
    set_up_backend(one.experiment)
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {len(os.sched_getaffinity(0))} cores; {arguments.system}, {made}")
    print(f"{'trials':>6} {'first epoch s':>14} {'others s':>9} {'total s':>8} {'compiles':>9} {'memory GiB':>11}")
    timings = []
    for plan in (one, many):
        jax.clear_caches()
        timings.append(timed(plan, stage, arguments.epochs))
        row = timings[-1]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        later = statistics.median(row.epochs_s) if row.epochs_s else row.first_s
        print(f"{len(plan.trials):6} {row.first_s:14.2f} {later:9.2f} {row.total_s:8.2f} {row.num_compiles:9} {memory:11.1f}", flush=True)
    first, second = timings
    print(f"{len(many.trials) // len(one.trials)} settings cost {second.total_s / first.total_s:.1f} times one of them, all included")
    if first.epochs_s:
        print(f"and {statistics.median(second.epochs_s) / statistics.median(first.epochs_s):.1f} times by the epoch")


if __name__ == "__main__":
    main()
