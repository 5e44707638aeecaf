"""The most confident errors of a run: wrongly predicted clips with the largest probability, the mean over the seeds."""

from __future__ import annotations

import numpy as np

from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.reporting.tables import Table, percent_column, text_column

_NUM_SHOWN = 15


def confident_errors(predictions: Predictions) -> Table:
    """Return a table of the clips that all seeds together predict wrongly, the most confident first."""
    clips, row, number = np.unique(predictions.clip, return_index=True, return_inverse=True)
    sums = np.zeros((len(clips), len(predictions.classes)))
    np.add.at(sums, number, predictions.probabilities)
    mean = sums / np.bincount(number)[:, None]
    label, predicted = predictions.label[row], mean.argmax(axis=1)
    wrong = np.flatnonzero(predicted != label)
    shown = wrong[np.argsort(-mean[wrong, predicted[wrong]], kind="stable")][:_NUM_SHOWN]
    rows = [
        [
            str(clips[one]),
            str(predictions.speaker[row[one]]),
            predictions.classes[label[one]],
            predictions.classes[predicted[one]],
            float(mean[one, predicted[one]]),
            float(mean[one, label[one]]),
        ]
        for one in shown
    ]
    columns = [
        *map(text_column, ("clip", "speaker", "label", "predicted")),
        percent_column("probability"),
        percent_column("of the label"),
    ]
    several = len(np.unique(predictions.seed)) > 1
    note = f"{len(wrong)} of {len(clips)} clips are predicted wrongly; probabilities in %" + (
        ", the mean over the seeds" if several else ""
    )
    return Table("errors", "Most confident errors", columns, rows, note)
