"""The gap between two protocols: by hand, paired over speakers where both test the same ones."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.evaluation.gaps import protocol_gaps
from avemo_jax.evaluation.predictions import Predictions


def predictions(num_right: dict[str, int], num_clips: int = 10) -> Predictions:
    """Of each speaker this many clips of two classes are predicted correctly."""
    rows = [(speaker, index, index < right) for speaker, right in num_right.items() for index in range(num_clips)]
    label = np.array([index % 2 for _, index, _ in rows])
    predicted = np.where([right for *_, right in rows], label, 1 - label)
    return Predictions(
        clip=np.array([f"{speaker}-{index}" for speaker, index, _ in rows]),
        speaker=np.array([speaker for speaker, *_ in rows]),
        gender=np.array(["unknown"] * len(rows)),
        fold=np.array(["fold1"] * len(rows)),
        seed=np.zeros(len(rows), int),
        label=label,
        probabilities=np.eye(2)[predicted],
        classes=("a", "b"),
    )


def test_the_gap_is_the_difference_of_pooled_metrics():
    random, apart = predictions({"s1": 10, "s2": 8, "s3": 8}), predictions({"s1": 6, "s2": 4, "s3": 4})
    gaps = protocol_gaps({"random10": random, "luna5": apart})
    assert [(gap.first, gap.second, gap.metric, gap.paired) for gap in gaps] == [
        ("random10", "luna5", "uar", True),
        ("random10", "luna5", "war", True),
    ]
    # Every speaker loses four clips of ten: drawn together, the gap does not vary at all.
    assert gaps[1].difference == pytest.approx(0.4) and gaps[1].ci95 == pytest.approx((0.4, 0.4)) and gaps[1].p == 0.0
    assert gaps[0].difference == pytest.approx(0.4)


def test_speakers_that_only_one_protocol_tests_are_drawn_on_their_own():
    gaps = protocol_gaps({"holdout": predictions({"s1": 10, "s2": 8}), "luna5": predictions({"s1": 6, "s2": 4, "s3": 5})})
    assert not gaps[1].paired and gaps[1].difference == pytest.approx(0.4)
    assert gaps[1].ci95[0] < 0.4 < gaps[1].ci95[1]


def test_one_speaker_has_no_interval_and_several_protocols_are_compared_with_the_last():
    gaps = protocol_gaps({name: predictions({"s1": right}) for name, right in (("a", 9), ("b", 8), ("c", 5))})
    assert [(gap.first, round(gap.difference, 3), gap.ci95, gap.p) for gap in gaps if gap.metric == "war"] == [
        ("a", 0.4, None, None),
        ("b", 0.3, None, None),
    ]
