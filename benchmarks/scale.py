"""The cost of more trials and clips: extrapolated from measurements of a finished run, and measured for the planning of large grids.

    python -m benchmarks.scale RUN_DIRECTORY [PREPARED_SET_DIRECTORY]

Measured in the run: seconds and checkpoint bytes of a trial, bytes of its rows, bytes of a prediction; in the set: bytes of a clip. Time
grows with trials times clips, so the first table is extrapolated, for one process on the computer of the run. The second table is measured:
folds, trials and the indices of their parts are made.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.config import SWEPT
from avemo_jax.protocols.rules import make_folds
from avemo_jax.training.trials import make_inputs, make_trials

TRIALS = (10, 1_000, 100_000)
CLIPS = (10**3, 10**4, 10**5, 10**6, 10**7)
CLASSES = ("neutral", "happy", "sad", "angry")


def parts_of(run: Path) -> dict[str, float]:
    """Return the measurements of a finished run: time and bytes of one trial and one clip."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    results = json.loads((run / "results.json").read_text())
    num_trials = len({row["trial"] for row in rows})
    predictions = (run / "predictions.csv").read_text().count("\n") - 1
    return {
        "clips": results["num_clips"],
        "trials": num_trials,
        "trial_s": sum(row["seconds"] for row in rows) / num_trials,
        "checkpoint_bytes": _bytes_below(run / "checkpoints") / num_trials,
        "row_bytes": (run / "metrics.jsonl").stat().st_size / num_trials,
        "prediction_bytes": (run / "predictions.csv").stat().st_size / predictions,
    }


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def print_products(parts: dict[str, float], clip_bytes: float) -> None:
    """Print trials x clips: time of one process, disk of the run, disk and memory of the prepared set."""
    print(f"{'trials':>8} {'clips':>10} {'one process':>14} {'run on disk':>12} {'set, in memory too':>19}")
    for trials in TRIALS:
        for clips in CLIPS:
            seconds = trials * parts["trial_s"] * clips / parts["clips"]
            # With ten folds, each clip is predicted by a tenth of the trials.
            disk = trials * (parts["checkpoint_bytes"] + parts["row_bytes"]) + trials / 10 * clips * parts["prediction_bytes"]
            print(f"{trials:8} {clips:10} {duration_of(seconds):>14} {size_of(disk):>12} {size_of(clips * clip_bytes):>19}")


def print_planning() -> None:
    """Print the time to make folds, trials and their indices, and the bytes of the indices, which trials of one fold share."""
    print(f"{'trials':>8} {'clips':>10} {'folds s':>9} {'trials s':>9} {'indices s':>10} {'indices':>10}")
    for clips in CLIPS[:4]:
        labels = [CLASSES[i % len(CLASSES)] for i in range(clips)]
        made = tuple(Clip(f"c{i:08}", "made", label, f"s{i * 97 % 101}") for i, label in enumerate(labels))
        start = time.perf_counter()
        table = make_folds("random_k", made, [i % len(CLASSES) for i in range(clips)], num_folds=10, seed=0)
        folds_s = time.perf_counter() - start
        position = {clip.clip_id: row for row, clip in enumerate(made)}
        parts = [tuple(_rows(position, part) for part in (fold.train, fold.validation)) for fold in table.folds]
        for trials in TRIALS:
            start = time.perf_counter()
            grid = make_trials(num_folds=10, seeds=tuple(range(trials // 10)), hyper=HYPER, sweep={})
            trials_s = time.perf_counter() - start
            start = time.perf_counter()
            inputs = make_inputs(grid, [parts[trial.fold] for trial in grid])
            indices_s = time.perf_counter() - start
            held = {id(array): array.nbytes for one in inputs for array in (one.train_index, one.select_index)}
            print(f"{trials:8} {clips:10} {folds_s:9.2f} {trials_s:9.2f} {indices_s:10.2f} {size_of(sum(held.values())):>10}", flush=True)


HYPER = dict.fromkeys(SWEPT, 0.1)


def _rows(position: dict[str, int], clip_ids: Sequence[str]) -> np.ndarray:
    return np.asarray([position[clip_id] for clip_id in clip_ids], np.int32)


def duration_of(seconds: float) -> str:
    for unit, size in (("years", 365.25 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def size_of(count: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("prepared_set", type=Path, nargs="?", help="directory of a prepared set; without it a clip counts as 11 kB")
    arguments = parser.parse_args()
    parts = parts_of(arguments.run)
    clip_bytes = _bytes_below(arguments.prepared_set) / parts["clips"] if arguments.prepared_set else 11e3
    print(f"{arguments.run}: " + ", ".join(f"{name} {value:.4g}" for name, value in parts.items()) + f", set bytes a clip {clip_bytes:.4g}")
    print_products(parts, clip_bytes)
    print_planning()


if __name__ == "__main__":
    main()
