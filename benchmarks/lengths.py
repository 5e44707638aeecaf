"""Length buckets: an epoch on clips of very different lengths, with batches of all lengths and with classes of length.

    python -m benchmarks.lengths
    python -m benchmarks.lengths --clips 480 --folds 4 --buckets 1 4

E's audio network on features of utterances as long as IEMOCAP's: 0.6 to 30 s, on average 4.5 s (Busso et al. 2008), drawn from a
log-normal distribution, at 23.4 steps a second. Takes turns (A B A B) after a first epoch each, with its seconds, compilation included,
beside the median of the later ones and the median ratio of a round's times with its least and largest.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from avemo_jax.experiment.backend import set_up_backend
from benchmarks import made_experiment
from benchmarks.turns import format_ratio, measure

STEPS_PER_S, LONGEST_S = 23.4, 30.0


def utterance_steps(num_clips: int) -> np.ndarray:
    """Steps of each utterance, (num_clips,)."""
    seconds = np.random.default_rng(0).lognormal(np.log(3.6), 0.65, num_clips).clip(0.6, LONGEST_S)
    return np.ceil(seconds * STEPS_PER_S).astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--buckets", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of classes; the first is compared with")
    arguments = parser.parse_args()
    steps = utterance_steps(arguments.clips)
    shape = (int(steps.max()), 13)
    print(f"{arguments.clips} clips of {steps.mean():.0f} steps on average, at most {shape[0]}; {arguments.folds} folds")
    print(f"{'buckets':>7} {'first epoch, s':>14} {'a later one, s':>14} {'times as fast':>18}")
    sides, first = {}, {}
    for number in arguments.buckets:
        plan = made_experiment.plan(
            "gru_attention",
            {"audio": shape},
            num_clips=arguments.clips,
            num_folds=arguments.folds,
            lengths={"audio": steps},
            train__length_buckets=number,
        )
        set_up_backend(plan.experiment)
        _, program, lanes = made_experiment.laid_out(plan, "audio")
        sides[str(number)] = made_experiment.one_more_epoch(plan, program, lanes)
        start = time.perf_counter()
        sides[str(number)]()
        first[str(number)] = time.perf_counter() - start
    seconds = measure(sides, arguments.rounds)
    whole = seconds[str(arguments.buckets[0])]
    for name, own in seconds.items():
        print(f"{name:>7} {first[name]:14.1f} {statistics.median(own):14.2f} {format_ratio(whole, own):>18}", flush=True)


if __name__ == "__main__":
    main()
