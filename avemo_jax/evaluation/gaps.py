"""The gap between two protocols: what the same system measures when only the division of the corpus changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import FROM_CONFUSION
from avemo_jax.evaluation.paired import paired_bootstrap
from avemo_jax.evaluation.results import Predictions, speaker_sums
from avemo_jax.evaluation.statistics import group_difference

GAP_METRICS = ("uar", "war")


def protocol_gaps(predictions: Mapping[str, Predictions]) -> list[dict[str, Any]]:
    """How much each protocol's pooled UAR and WAR are above those of the last one, with intervals over speakers.

    Args:
      predictions: protocol -> its predictions, in the order in which they were named.

    Returns:
      One entry for each earlier protocol and metric: `first`, `second` (the last protocol), `metric`, `difference`, `ci95` and `p` (None
      for fewer than two speakers), `paired`: whether both test the same speakers, which are then drawn together; else each protocol's
      are drawn on their own. The networks are not drawn again: they differ between the protocols, and the gap
      is of those that were trained.
    """
    *earlier, last = predictions
    gaps = []
    for name in earlier:
        first, second = predictions[name], predictions[last]
        paired = bool(np.array_equal(np.unique(first.speaker), np.unique(second.speaker)))
        for metric in GAP_METRICS:
            compare = paired_bootstrap if paired else group_difference
            gap = compare(speaker_sums(first), speaker_sums(second), FROM_CONFUSION[metric])
            interval = None if gap.low is None or gap.high is None else [gap.low, gap.high]
            gaps.append(
                {
                    "first": name,
                    "second": last,
                    "metric": metric,
                    "difference": gap.difference,
                    "ci95": interval,
                    "p": gap.p,
                    "paired": paired,
                }
            )
    return gaps
