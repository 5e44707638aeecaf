"""Caveats of a run's results: shared speakers, selection on the test part, flagged leaks, and comparison with chance and the baseline."""

from __future__ import annotations

import numpy as np

from avemo_jax.evaluation.metrics import reported_metrics
from avemo_jax.evaluation.results import RunResults
from avemo_jax.reporting.dimensions_table import dimension_caveats
from avemo_jax.text import count_of, format_percent


def constant_confusion(counts: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (K, K) of predicting the most frequent class for every clip of `counts` (K, K)."""
    constant = np.zeros_like(counts)
    constant[:, counts.sum(axis=1).argmax()] = counts.sum(axis=1)
    return constant


def chance(results: RunResults) -> dict[str, float]:
    """Return the metrics of predicting the most frequent class for every clip; its UAR is one over the number of classes."""
    constant = constant_confusion(np.asarray(results.confusion.counts))
    return {metric.name: float(metric.value(constant)) for metric in reported_metrics() if metric.from_confusion}


def speakers_are_known(results: RunResults) -> bool:
    """Whether the corpus names the speaker of any clip."""
    return any(results.per_speaker)


def speaker_protocol(results: RunResults) -> str:
    """Return "speaker-independent", "speaker-dependent" or "speakers unknown"."""
    if not speakers_are_known(results):
        return "speakers unknown"
    return "speaker-independent" if results.speaker_independent else "speaker-dependent"


def corpus_part(results: RunResults) -> str:
    """Return "480 of 1,440 clips" where a run has another number of clips than the corpus has by its owner, else ""."""
    read, whole = results.num_clips_read, results.num_clips_of_owner
    return "" if read is None or whole is None or read == whole else f"{read:,} of {whole:,} clips"


def protocol_caveats(results: RunResults) -> list[str]:
    """Return the caveats that apply to every number of the run: failed trials, the protocol, and what the audit found."""
    found = []
    if results.num_failed:
        found.append(
            f"{results.num_failed} of {count_of(results.num_trials or 0, 'trial')} failed and predict with untrained weights, which these "
            "numbers include: lower --config.train.learning_rate"
        )
    if not speakers_are_known(results):
        found.append("speakers unknown: the corpus does not name speakers, so the same people may be in training and test parts")
    elif not results.speaker_independent:
        found.append("speaker-dependent: the same speakers are in the training and test parts")
    if part := corpus_part(results):
        found.append(f"on {part} of the corpus: not comparable with numbers of the whole corpus")
    if results.select == "test":
        found.append(f"selected on the {results.select} part: the numbers are too high")
    return found + [f"leak: {leak}" for leak in results.leaks]


def caveats(results: RunResults) -> list[str]:
    """Return all caveats of a run: those of its protocol, and chance or the baselines where it is not better than these."""
    found = protocol_caveats(results) + dimension_caveats(results)
    if not results.has_classes:
        return found
    uar = results.metrics["uar"].mean_of_folds
    rivals = {"chance": chance(results)["uar"]}
    if results.baseline is not None:
        rivals[results.baseline.system] = results.baseline.metrics["uar"].mean_of_folds
    return found + [
        f"not better than {name}: UAR {format_percent(uar)} against {format_percent(rival)}"
        for name, rival in rivals.items()
        if uar <= rival
    ]
