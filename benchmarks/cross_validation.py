"""Benchmark of a cross-validation: our engine against the same network in PyTorch and in Keras, trained fold after fold.

    python -m benchmarks.cross_validation                             all systems
    python -m benchmarks.cross_validation --system a2                 one of them
    python -m benchmarks.cross_validation --execution vmap_scan       another execution of trials and steps
    KERAS_BACKEND=torch python -m benchmarks.cross_validation         Keras on another backend than TensorFlow

Every side does the same work: one epoch of all folds, that is, shuffled batches with dropout, gradient clipping and the optimiser's step,
and probabilities of the validation part. Sides take turns in one process (A B A B) after one epoch each for compilation. Printed are the
median seconds of an epoch of all folds; the ratio of a round's two times, as the median over rounds with least and largest; the arithmetic
rate of each side; this rate as a share of that of large matrix products, which are measured in each round too; and the peak memory of the
process.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics

import jax
import keras

from avemo_jax.experiment.backend import set_up_backend
from benchmarks import made_experiment, twins_keras, twins_torch
from benchmarks.made_experiment import SYSTEMS
from benchmarks.peak import matrix_products
from benchmarks.turns import format_ratio, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=SYSTEMS, action="append", help="may be given several times; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=1440)
    parser.add_argument("--folds", type=int, default=0, help="number of folds; 0: that of each system")
    parser.add_argument("--execution", default="auto", help="same values as --config.devices.execution")
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
