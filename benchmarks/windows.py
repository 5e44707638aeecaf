"""Benchmark of windows: UAR of a finished run where its test clips are predicted as in training, and in windows as --mode=predict does.

    python -m benchmarks.windows --run=runs/ravdess-gru_attention_small-luna5
    python -m benchmarks.windows --run=FOLDER --root=/data/RAVDESS --window_s=3 --window_s=2 --hop_s=1

Each clip is predicted by the models of the folds that have it in their test part, from its own media; the probabilities of windows are
joined and averaged as in `predict`. The first row is checked against the predictions.csv of the run. Prints UAR and WAR in %, and the
difference to the first row with its 95 % interval by bootstrap over speakers.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from avemo_jax.config.overrides import with_fields
from avemo_jax.evaluation.metrics import recall_from_confusion
from avemo_jax.evaluation.predictions import Predictions, read_predictions_csv
from avemo_jax.experiment.live_features import LiveFeatures
from avemo_jax.experiment.trained_members import ensemble_members, read_members
from avemo_jax.inference.predict import Ensemble, clip_probabilities
from avemo_jax.inference.smoothing import smoothed
from avemo_jax.modes.stored import stored_experiment
from avemo_jax.system_views import views_in_use
from data_prep.live import LiveViews
from data_prep.prepare_corpus import clips_of_corpus

_NUM_RESAMPLES = 2000
_TOLERANCE = 1e-3  # of probabilities: predictions.csv rounds, and batches differ


def confusion(predictions: Predictions, predicted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return counts (K, K) of rows, labels down."""
    num_classes = len(predictions.classes)
    return np.bincount(predictions.label[rows] * num_classes + predicted[rows], minlength=num_classes**2).reshape(num_classes, num_classes)


def uar(counts: np.ndarray) -> float:
    """Return the mean recall of the classes that occur, in %."""
    recall = recall_from_confusion(counts)
    return 100 * float(recall[counts.sum(axis=1) > 0].mean())


def predicted_clips(experiment, media: dict[str, Path], predictions: Predictions, window: tuple[float, float] | None) -> np.ndarray:
    """Return probabilities (N, K) of the rows of predictions.csv, each by the model of its fold and seed."""
    live = LiveViews(views_in_use(experiment), window)
    features = LiveFeatures(experiment, live)
    members = read_members(experiment, features.steps)
    fold_names = sorted(set(predictions.fold.tolist()), key=lambda name: (len(name), name))  # fold2 before fold10
    lengths = {"segment_s": live.segment_s, "step_s": live.step_s, "window_s": live.window_s}
    made = ensemble_members(experiment, features.steps)
    models = {
        (fold_names[one.trial.fold], one.trial.seed): Ensemble([own], classes=predictions.classes, views=features.steps, **lengths)
        for one, own in zip(members, made, strict=True)
    }
    found = np.zeros(predictions.probabilities.shape)
    for row in tqdm(range(len(predictions.clip)), disable=None, leave=False):
        streams, _ = features.open(media[predictions.clip[row]])
        segments = models[predictions.fold[row], int(predictions.seed[row])].predict(streams)
        segments = tuple(segments if window is None else smoothed(segments, window[1]))
        found[row] = clip_probabilities(segments, experiment.system.segment_rule)
    return found


def difference(predictions: Predictions, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of the UARs of two predictions (N,), by bootstrap over speakers."""
    rng = np.random.default_rng(0)
    rows_of = [np.flatnonzero(predictions.speaker == speaker) for speaker in np.unique(predictions.speaker)]
    counts = np.array([[confusion(predictions, predicted, rows) for rows in rows_of] for predicted in (one, other)])
    drawn = rng.multinomial(len(rows_of), np.full(len(rows_of), 1 / len(rows_of)), _NUM_RESAMPLES)
    sums = np.einsum("ns,msij->nmij", drawn, counts)
    values = np.array([uar(own[1]) - uar(own[0]) for own in sums])
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="directory of a finished run")
    parser.add_argument("--root", help="folder of its corpus; default: that of its config")
    parser.add_argument("--window_s", type=float, action="append", help="length of the windows in s, default: 3; may be repeated")
    parser.add_argument("--hop_s", type=float, default=1.0, help="distance of their starts in s")
    given = parser.parse_args(arguments)
    experiment = stored_experiment(given.run, {})
    corpus = experiment.corpus if given.root is None else with_fields(experiment, {"corpus.root": given.root}).corpus
    clips = clips_of_corpus(corpus.name, corpus.root, dataclasses.asdict(corpus))
    media = {clip.clip_id: Path(corpus.root) / (clip.video or clip.audio) for clip in clips}
    predictions = read_predictions_csv(Path(given.run) / "predictions.csv")
    rows = np.arange(len(predictions.clip))
    whole = predicted_clips(experiment, media, predictions, None)
    worst = float(np.abs(whole - predictions.probabilities).max())
    print(f"as in training: largest difference to predictions.csv {worst:.2g}{'' if worst < _TOLERANCE else ', which is too large'}")
    first = whole.argmax(axis=1)
    counts = confusion(predictions, first, rows)
    print(f"  as in training         UAR {uar(counts):5.1f}  WAR {100 * np.trace(counts) / counts.sum():5.1f}", flush=True)
    for window_s in given.window_s or [3.0]:
        predicted = predicted_clips(experiment, media, predictions, (window_s, min(given.hop_s, window_s))).argmax(axis=1)
        counts = confusion(predictions, predicted, rows)
        low, high = difference(predictions, first, predicted)
        name = f"windows of {window_s:g} s every {min(given.hop_s, window_s):g} s"
        values = f"UAR {uar(counts):5.1f}  WAR {100 * np.trace(counts) / counts.sum():5.1f}"
        print(f"  {name:<22} {values}  difference {uar(counts) - uar(confusion(predictions, first, rows)):+.1f} [{low:+.1f}, {high:+.1f}]")


if __name__ == "__main__":
    main()
