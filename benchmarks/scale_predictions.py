"""Time, memory and bytes of predictions of many clips by many seeds: writing, reading, statistics, audit and the report's tables.

    python -m benchmarks.scale_predictions --rows 100000 1000000

Rows are made-up predictions of eight classes by ten seeds in ten folds, a speaker for each hundred clips. Each step runs in a process
of its own, with the largest resident memory that it had; the step "start" is the libraries alone. `extrapolated` multiplies the seconds of
the largest number of rows, and the growth of memory between the two largest, to 10^7 clips x 10 seeds.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avemo_jax.evaluation.predictions import Predictions, read_predictions_csv, write_predictions_csv
from avemo_jax.evaluation.results import RunFacts
from avemo_jax.evaluation.stored_predictions import StoredPredictions, open_writer
from avemo_jax.evaluation.summary import summarise
from avemo_jax.protocols.audit.predictions import PredictedTrial, audit_predictions
from avemo_jax.protocols.folds import Fold
from avemo_jax.reporting.confident_errors import confident_errors
from avemo_jax.reporting.precision_recall import precision_recall
from benchmarks.scale import size_of

CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
NUM_SEEDS = NUM_FOLDS = 10
GOAL_ROWS = 10**8
FACTS = RunFacts(
    corpus="made",
    system="made",
    protocol="speaker_k",
    label_set="ravdess8",
    label_target="acted",
    fold_hash="",
    select="validation",
    num_undecodable=0,
    num_without_face=0,
    num_params=1,
    leaks=(),
    seconds=0.0,
    num_trials=NUM_SEEDS * NUM_FOLDS,
    num_failed=0,
    speaker_independent=True,
)


def clips_of(fold: int, num_rows: int) -> np.ndarray:
    """Return the numbers of the clips that a fold tests: those of each tenth speaker."""
    number = np.arange(num_rows // NUM_SEEDS)
    return number[number // 100 % NUM_FOLDS == fold]


def clip_names(number: np.ndarray) -> np.ndarray:
    return np.char.add("clip-", np.char.zfill(number.astype(str), 15))  # as long as those of RAVDESS


def predictions_of(seed: int, fold: int, num_rows: int) -> Predictions:
    """Make the predictions of one trial."""
    number = clips_of(fold, num_rows)
    label = number * 7 % len(CLASSES)
    logits = np.random.default_rng((seed, fold)).normal(size=(len(number), len(CLASSES)))
    logits[np.arange(len(number)), label] += 1
    exponents = np.exp(logits)
    return Predictions(
        clip=clip_names(number),
        speaker=(number // 100).astype(str),
        gender=np.where(number // 100 % 2, "female", "male"),
        fold=np.full(len(number), f"fold{fold}"),
        seed=np.full(len(number), seed),
        label=label,
        probabilities=exponents / exponents.sum(axis=1, keepdims=True),
        classes=CLASSES,
    )


def write_parquet(folder: Path, num_rows: int) -> None:
    with open_writer(folder / "predictions.parquet") as writer:
        for seed in range(NUM_SEEDS):
            for fold in range(NUM_FOLDS):
                writer.add(predictions_of(seed, fold, num_rows))


def audit(folder: Path, num_rows: int) -> None:
    stored = StoredPredictions(folder / "predictions.parquet")
    folds = [Fold(f"fold{fold}", (), (), tuple(clip_names(clips_of(fold, num_rows)).tolist())) for fold in range(NUM_FOLDS)]
    label = {name: CLASSES[number * 7 % len(CLASSES)] for number, name in enumerate(clip_names(np.arange(num_rows // NUM_SEEDS)).tolist())}

    def rows_of(trial: tuple[int, str]) -> PredictedTrial:
        part = stored.part(*trial)
        return PredictedTrial(trial[1], trial[0], part.clip.tolist(), [CLASSES[index] for index in part.label.tolist()])

    found = audit_predictions(folds, label, CLASSES, range(NUM_SEEDS), trials=map(rows_of, stored.trials), predicted_classes=CLASSES)
    if found:
        raise ValueError(f"expected no findings, got {found}")


def report_tables(folder: Path, _num_rows: int) -> None:
    stored = StoredPredictions(folder / "predictions.parquet")
    confident_errors(stored)
    precision_recall(stored)


STEPS: dict[str, Callable[[Path, int], object]] = {
    "start": lambda folder, num_rows: None,
    "write Parquet": write_parquet,
    "write CSV": lambda folder, _: write_predictions_csv(folder / "predictions.csv", StoredPredictions(folder / "predictions.parquet")),
    "statistics": lambda folder, _: summarise(StoredPredictions(folder / "predictions.parquet"), FACTS),
    "audit": audit,
    "report's tables": report_tables,
    "read CSV": lambda folder, _: read_predictions_csv(folder / "predictions.csv"),
}


def measure_step(name: str, folder: Path, num_rows: int) -> tuple[float, float]:
    """Return the seconds and the peak memory in bytes of a step, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale_predictions", "--rows", str(num_rows), "--step", name, "--folder", str(folder)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="clips x seeds, ascending")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        start = time.perf_counter()
        STEPS[arguments.step](arguments.folder, arguments.rows[0])
        print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    print(f"{'rows':>11} {'step':16} {'s':>8} {'peak memory':>12} {'file':>8}")
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in STEPS}
    for num_rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            for name in STEPS:
                measured[name].append(measure_step(name, Path(folder), num_rows))
                file = Path(folder) / f"predictions.{name.rpartition(' ')[2].lower()}"
                written = size_of(file.stat().st_size) if file.is_file() and name.startswith("write") else ""
                print(f"{num_rows:11} {name:16} {measured[name][-1][0]:8.1f} {size_of(measured[name][-1][1]):>12} {written:>8}", flush=True)
    if len(arguments.rows) > 1:
        few, many = arguments.rows[-2:]
        for name, values in measured.items():
            seconds = values[-1][0] * GOAL_ROWS / many
            peak = values[-1][1] + max(values[-1][1] - values[-2][1], 0) / (many - few) * (GOAL_ROWS - many)
            print(f"{GOAL_ROWS:11} {name:16} {seconds:8.0f} {size_of(peak):>12}  extrapolated")


if __name__ == "__main__":
    main()
