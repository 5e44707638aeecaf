"""Ratings of clips in dimensions such as valence: read from attributes, and checked against the scale."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.clips import Clip
from avemo_jax.dimensions import check_dimensions, ratings_of
from avemo_jax.labels import label_set, labelled

CLIPS = tuple(
    Clip(f"c{number}", "made", "xxx", "s", attributes=attributes)
    for number, attributes in enumerate(({"valence": "2.5", "arousal": "5.5"}, {"valence": "1"}, {"arousal": "-2"}, {"arousal": "3"}))
)


def test_ratings_are_columns_and_clips_without_one_are_not_a_number():
    found = ratings_of(CLIPS, ("valence", "arousal"))
    np.testing.assert_array_equal(found, [[2.5, 5.5], [1, np.nan], [np.nan, -2], [np.nan, 3]])
    assert ratings_of(CLIPS, ()).shape == (4, 0)


def test_ratings_outside_of_the_scale_count_as_none_and_are_named():
    with pytest.warns(UserWarning, match=r"arousal: 2 of 4 clips have a rating outside of the scale 1 to 5 .*: c0 \(5\.5\), c2 \(-2\)"):
        found = ratings_of(CLIPS, ("arousal",), (1.0, 5.0))
    np.testing.assert_array_equal(found[:, 0], [np.nan, np.nan, np.nan, 3])


def test_what_no_clip_has_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"none of 4 clips has a rating of 'valance'.*did you mean 'valence'.*: arousal, valence"):
        ratings_of(CLIPS, ("valance",))
    with pytest.raises(ValueError, match=r"clip c0: expected a number as its valence .*, got 'high'"):
        ratings_of([Clip("c0", "made", "sad", "s", attributes={"valence": "high"})], ("valence",))


@pytest.mark.parametrize(
    ("dimensions", "bounds", "message"),
    [
        (("valence", "valence"), (), "each once"),
        (("my valence",), (), "names of letters"),
        (("valence",), (5.0, 1.0), "lowest and the highest"),
        (("valence",), (1.0,), "lowest and the highest"),
    ],
)
def test_fields_that_cannot_be(dimensions, bounds, message):
    with pytest.raises(ValueError, match=message):
        check_dimensions(dimensions, bounds)


def test_the_label_set_none_takes_clips_of_every_word():
    clips, classes = labelled(CLIPS, label_set("none"))
    assert clips == CLIPS and classes == (0, 0, 0, 0)
