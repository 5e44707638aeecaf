"""A cross-validation: our engine against the same network in PyTorch and in Keras, trained fold after fold.

    python -m benchmarks.cross_validation                             all systems
    python -m benchmarks.cross_validation --system a2                 one of them
    python -m benchmarks.cross_validation --execution vmap_scan       another way to run trials and steps
    KERAS_BACKEND=torch python -m benchmarks.cross_validation         Keras on another backend than TensorFlow

Every side does the same work: one epoch of all folds, that is, shuffled batches with dropout, gradient clipping and the optimiser's step,
and probabilities of the validation part. Sides take turns in one process (A B A B) after one epoch each that compiles and warms up. Printed
are the median seconds of an epoch of all folds, the median over rounds of the ratio of a round's two times with its least and largest, the
rate of each side's arithmetic, the same as a share of the rate of large matrix products, which are a side of each round themselves, and
the peak memory of the process.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import statistics

import jax
import keras

from avemo_jax.experiment.backend import set_up_backend
from benchmarks import made_experiment, twins_keras, twins_torch
from benchmarks.peak import matrix_products
from benchmarks.turns import format_ratio, measure


@dataclasses.dataclass(frozen=True)
class System:
    """One network on both sides.

    Attributes:
      config: config of `configs/` and the system after the colon.
      shapes: stream -> steps and numbers of a step, of every example.
      num_folds: of the cross-validation.
      stage: the stage of training that is timed.
      twin: name of its twins in `benchmarks.twins_torch` and `benchmarks.twins_keras`.
    """

    config: str
    shapes: dict[str, tuple[int, ...]]
    num_folds: int
    stage: str
    twin: str


SYSTEMS = {
    "a2": System("contextual_temporal", {"audio": (5, 128), "video": (16, 2048)}, 10, "fused", "ContextualTemporal"),
    "e_audio": System("gru_attention", {"audio": (64, 13)}, 5, "audio", "GRUAttention"),
    "small_cnn": System("small_video", {"video": (8, 32, 32, 1)}, 5, "video", "SmallCNN"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=SYSTEMS, action="append", help="may be given several times; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=1440)
    parser.add_argument("--folds", type=int, default=0, help="0: each system's own number")
    parser.add_argument("--execution", default="auto", help="as config.devices.execution")
    arguments = parser.parse_args()
    products = None
    for name in arguments.system or SYSTEMS:
        system = SYSTEMS[name]
        plan = made_experiment.plan(
            system.config,
            system.shapes,
            num_clips=arguments.clips,
            num_folds=arguments.folds or system.num_folds,
            execution=arguments.execution,
        )
        set_up_backend(plan.experiment)
        stage, program, lanes = made_experiment.laid_out(plan, system.stage)
        if products is None:
            products = matrix_products()
            print(
                f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {len(os.sched_getaffinity(0))} cores; {arguments.rounds} rounds"
            )
            columns = ("system", "folds", "side", "s/epoch", "side / ours", "GFLOP/s", "of products", "memory GiB")
            print("{:10} {:>5} {:>16} {:>9} {:>19} {:>8} {:>19} {:>10}".format(*columns))
        sides = {
            "products": products.run,
            "ours": made_experiment.one_more_epoch(plan, program, lanes),
            "torch": twins_torch.fold_after_fold(system.twin, plan, stage),
            f"keras-{keras.backend.backend()}": twins_keras.fold_after_fold(system.twin, plan, stage),
        }
        seconds = measure(sides, arguments.rounds)
        flops = made_experiment.product_flops(plan, stage)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        done = {side: products.flops if side == "products" else flops for side in seconds}
        rates = {side: [done[side] / one for one in taken] for side, taken in seconds.items()}
        for side, taken in seconds.items():
            ratio = "" if side in ("ours", "products") else format_ratio(taken, seconds["ours"])
            share = "" if side == "products" else format_ratio(rates[side], rates["products"])
            texts = (f"{statistics.median(taken):9.2f}", f"{ratio:>19}", f"{statistics.median(rates[side]) / 1e9:8.0f}", f"{share:>19}")
            print(f"{name:10} {len(plan.trials):5} {side:>16} {' '.join(texts)} {memory:10.1f}", flush=True)


if __name__ == "__main__":
    main()
