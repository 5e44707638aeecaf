"""The most confident errors of a run: wrongly predicted clips with the largest probability, the mean over the seeds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avemo_jax.evaluation.predictions import PredictionSource
from avemo_jax.reporting.tables import Table, percent_column, text_column

_NUM_SHOWN = 15


def confident_errors(predictions: PredictionSource) -> Table:
    """Return a table of the clips that all seeds together predict wrongly, the most confident first."""
    # Two passes, so that only the names and the sums of the different clips are held, and not the rows of all seeds.
    clips = np.unique(np.concatenate(list(_different_names(predictions))))
    sums, num_rows = np.zeros((len(clips), len(predictions.classes))), np.zeros(len(clips), dtype=int)
    label, trial_of = np.zeros(len(clips), dtype=int), np.full(len(clips), -1)
    for number, trial in enumerate(predictions.trials):
        part = predictions.part(*trial)
        place = np.searchsorted(clips, _encoded(part.clip))
        np.add.at(sums, place, part.probabilities)
        np.add.at(num_rows, place, 1)
        label[place] = part.label
        trial_of[place] = np.where(trial_of[place] < 0, number, trial_of[place])
    mean = sums / num_rows[:, None]
    predicted = mean.argmax(axis=1)
    wrong = np.flatnonzero(predicted != label)
    shown = wrong[np.argsort(-mean[wrong, predicted[wrong]], kind="stable")][:_NUM_SHOWN]
    speakers: dict[str, str] = {}
    for number in set(trial_of[shown].tolist()):
        part = predictions.part(*predictions.trials[number])
        speakers |= dict(zip(part.clip.tolist(), part.speaker.tolist(), strict=True))
    names = [clips[one].decode("utf-8", "surrogateescape") for one in shown]
    rows = [
        [
            name,
            speakers[name],
            predictions.classes[label[one]],
            predictions.classes[predicted[one]],
            float(mean[one, predicted[one]]),
            float(mean[one, label[one]]),
        ]
        for name, one in zip(names, shown, strict=True)
    ]
    columns = [
        *map(text_column, ("clip", "speaker", "label", "predicted")),
        percent_column("probability"),
        percent_column("of the label"),
    ]
    several = len({seed for seed, _ in predictions.trials}) > 1
    note = f"{len(wrong)} of {len(clips)} clips are predicted wrongly; probabilities in %" + (
        ", the mean over the seeds" if several else ""
    )
    return Table("errors", "Most confident errors", columns, rows, note)


def _encoded(names: np.ndarray) -> np.ndarray:
    """Return names as bytes, which take a quarter of the memory."""
    return np.char.encode(names, "utf-8", "surrogateescape")


def _different_names(predictions: PredictionSource) -> Iterator[np.ndarray]:
    """Yield the names of the clips of each fold, once for seeds that were tested on the same clips."""
    last: dict[str, np.ndarray] = {}
    for seed, fold in predictions.trials:
        names = _encoded(predictions.part(seed, fold).clip)
        if fold not in last or not np.array_equal(names, last[fold]):
            last[fold] = names
            yield names
