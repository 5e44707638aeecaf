"""Gaps between protocols: how the same system scores when only the division of the corpus changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.evaluation.paired import paired_bootstrap
from avemo_jax.evaluation.predictions import PredictionSource, speaker_sums, speakers_of
from avemo_jax.evaluation.results import ProtocolGap
from avemo_jax.evaluation.statistics import group_difference


def protocol_gaps(predictions: Mapping[str, PredictionSource]) -> tuple[ProtocolGap, ...]:
    """Measure how far each protocol's pooled primary metrics are above those of the last one, with intervals over speakers.

    Where both protocols test the same speakers these are resampled together, else each protocol's on their own. Networks are not trained
    again: they differ between the protocols, and a gap is that between the trained ones.

    Args:
      predictions: protocol -> its predictions; the order of the config.

    Returns:
      One entry for each earlier protocol and primary metric.
    """
    *earlier, last = predictions
    gaps = []
    for name in earlier:
        first, second = predictions[name], predictions[last]
        paired = speakers_of(first) == speakers_of(second)
        compare = paired_bootstrap if paired else group_difference
        for metric in primary_metrics():
            gap = compare(speaker_sums(first), speaker_sums(second), metric.value)
            gaps.append(ProtocolGap(**dataclasses.asdict(gap), first=name, second=last, metric=metric.name, paired=paired))
    return tuple(gaps)
