"""Long clips in overlapping chunks: the steps of an uncut pass, each moment once, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from avemo_jax.data.prepared import Example
from avemo_jax.experiment.overlapping_chunks import Chunks, encode_in_chunks

STEP_S, STRIDE, SEEN = 0.01, 2, 4  # a feature every 2 steps, of the 4 steps before and behind it


def encode(examples: Iterator[Example]) -> Iterator[Example]:
    """Mean over the steps that a feature sees, as far as the segment has them."""
    for one in examples:
        places = range(0, len(one.mask), STRIDE)
        values = np.stack([one.values[max(0, place - SEEN) : place + SEEN + 1].mean(axis=0) for place in places])
        yield Example(one.clip_id, one.segment, values.astype(np.float32), one.mask[::STRIDE], one.times_s[::STRIDE])


def clip(lengths: tuple[int, ...], name: str = "a") -> list[Example]:
    values = np.random.default_rng(len(lengths)).normal(size=(sum(lengths), 3)).astype(np.float32)
    times_s = (np.arange(sum(lengths)) * STEP_S).astype(np.float32)
    cuts = np.cumsum(lengths)[:-1]
    pairs = zip(np.split(values, cuts), np.split(times_s, cuts), strict=True)
    return [Example(name, index, part, np.ones(len(part), bool), times) for index, (part, times) in enumerate(pairs)]


def joined(examples: list[Example]) -> Example:
    parts = [np.concatenate([getattr(one, name) for one in examples]) for name in ("values", "mask", "times_s")]
    return Example(examples[0].clip_id, 0, *parts)


def chunks(num_steps: int, shared_steps: int) -> Chunks:
    return Chunks(num_steps, shared_steps * STEP_S, STRIDE)


@pytest.mark.parametrize("lengths", [(30, 30, 30), (30, 30, 11), (30, 1), (7, 7, 7, 7, 7, 3), (100, 90), (2,) * 40, (30, 30, 30, 10)])
def test_every_step_is_that_of_an_uncut_pass(lengths):
    segments = clip(lengths)
    found = list(encode_in_chunks(segments, encode, chunks(30, 2 * SEEN + 2)))
    (uncut,) = encode(iter([joined(segments)]))
    assert [(one.clip_id, one.segment) for one in found] == [(one.clip_id, one.segment) for one in segments]
    whole = joined(found)
    if lengths[0] >= 30 and min(lengths) > 1:  # else chunks are shorter, or a segment has no feature of its own
        np.testing.assert_array_equal(whole.times_s, uncut.times_s)
        np.testing.assert_allclose(whole.values, uncut.values, atol=1e-6)
    for one, segment in zip(found, segments, strict=True):
        assert len(one.mask) and segment.times_s[0] - STEP_S < one.times_s[0] <= one.times_s[-1] <= segment.times_s[-1]


def test_too_small_an_overlap_changes_only_the_steps_at_borders():
    segments = clip((40, 40))
    (uncut,) = encode(iter([joined(segments)]))
    found = joined(list(encode_in_chunks(segments, encode, chunks(30, 2))))
    np.testing.assert_array_equal(found.times_s, uncut.times_s)
    differs = np.flatnonzero(np.abs(found.values - uncut.values).max(axis=1) > 1e-6)
    borders = np.array([29, 57])  # of chunks of 30 steps, 28 apart: the middle of what they share
    assert len(differs) and all(np.abs(place * STRIDE - borders).min() <= SEEN for place in differs)


def test_segments_without_a_neighbour_are_encoded_by_themselves():
    gap = clip((30, 30), "c")
    gap[1] = Example("c", 1, gap[1].values, gap[1].mask, gap[1].times_s + 5 * STEP_S)
    timeless = Example("e", 0, np.ones((5, 3), np.float32), np.ones(5, bool), np.zeros(5, np.float32))
    segments = [*clip((30,), "a"), *clip((40,), "b"), *gap, *clip((20, 20), "d"), timeless]
    found = list(encode_in_chunks(segments, encode, chunks(30, 10)))
    assert [(one.clip_id, one.segment) for one in found] == [(one.clip_id, one.segment) for one in segments]
    alone = list(encode(iter(segments)))
    for place in (0, 1, 2, 3, 6):
        np.testing.assert_array_equal(found[place].values, alone[place].values)
        np.testing.assert_array_equal(found[place].times_s, alone[place].times_s)
    assert np.abs(found[4].values[-1] - alone[4].values[-1]).max() > 1e-3  # the border of a clip of two segments


def test_memory_does_not_grow_with_the_length_of_a_clip():
    pulled, longest = 0, 0

    def many() -> Iterator[Example]:
        nonlocal pulled
        for number in range(1000):
            pulled += 1
            times_s = (np.arange(30) + 30 * number) * STEP_S
            yield Example("a", number, np.zeros((30, 3), np.float32), np.ones(30, bool), times_s.astype(np.float32))

    def measured(examples: Iterator[Example]) -> Iterator[Example]:
        nonlocal longest
        for one in examples:
            longest = max(longest, len(one.mask))
            yield from encode(iter([one]))

    for number, _ in enumerate(encode_in_chunks(many(), measured, chunks(30, 10))):
        assert pulled - number <= 3  # the segment, the one in which its last chunk ends, and one read ahead
    assert (number, longest) == (999, 30)


def test_samples_of_sound_continue_each_other_after_two_hours():
    """Times in float32 are coarser there than the distance of two samples."""
    times_s = (7200 + np.arange(2000) / 16_000).astype(np.float32)
    assert (np.diff(times_s) == 0).any()
    values, mask = np.ones((1000, 3), np.float32), np.ones(1000, bool)
    segments = [Example("a", index, values, mask, part) for index, part in enumerate(np.split(times_s, 2))]
    lengths = [len(chunk.mask) for chunk in _seen(segments, Chunks(1500, 500 / 16_000, 1))]
    assert lengths == [1000, 1000, 1000]


def _seen(segments: list[Example], cut: Chunks) -> list[Example]:
    seen: list[Example] = []

    def noted(examples: Iterator[Example]) -> Iterator[Example]:
        for one in examples:
            seen.append(one)
            yield one

    assert sum(len(one.mask) for one in encode_in_chunks(segments, noted, cut)) == sum(len(one.mask) for one in segments)
    return seen
