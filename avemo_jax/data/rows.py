"""Rows of several streams: which examples (clip, segment) share a row, and the rows of given clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedSet


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the feeds in memory and on disk have in common: the rows of a corpus without the steps of its streams.

    Attributes:
      clip_ids: the clips that `clip` points to.
      arrays: `label` (N,) int32, `clip` (N,) int32, `usable` (N,) bool, and what else a feed keeps in memory.
    """

    clip_ids: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    @property
    def label(self) -> np.ndarray:
        return self.arrays["label"]

    @property
    def clip(self) -> np.ndarray:
        return self.arrays["clip"]

    @property
    def usable(self) -> np.ndarray:
        return self.arrays["usable"]

    @property
    def device_bytes(self) -> int:
        return sum(values.nbytes for values in self.arrays.values())

    def examples_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Rows (int32) of these clips, in row order."""
        return np.flatnonzero(np.isin(np.asarray(self.clip_ids), np.asarray(clip_ids))[self.clip]).astype(np.int32)


def reach(mask: Any) -> Any:
    """Return the number of steps up to the last real one, (N,) int, of masks (N, T) bool of NumPy or JAX; 0 where no step is real."""
    return (mask * np.arange(1, mask.shape[1] + 1)).max(axis=1, initial=0)


def join_segments(
    clips: Sequence[Clip], names: Mapping[str, Sequence[tuple[str, int]]], sets: Mapping[str, PreparedSet]
) -> tuple[list[tuple[int, int]], dict[str, list[int]]]:
    """Assign the examples of several streams to common rows, one a (clip, segment); every clip has at least the row of segment 0.

    Of a clip with several streams, the segments are those that all of its streams have: a video may end a little before its audio, and the
    rest of one stream alone is worth less than the segments before it. A stream without any segment of the clip does not count.

    Args:
      names: stream -> (clip id, segment) of its examples, of these clips alone.
      sets: the prepared sets, for the message.

    Returns:
      (position in clips, segment) of each row, sorted; and stream -> the row of each of its examples, or the number of rows for an
      example that is left out.

    Raises:
      ValueError: a set holds none of the clips.
    """
    position = {clip.clip_id: row for row, clip in enumerate(clips)}
    for stream, examples in names.items():
        if not examples:
            raise ValueError(f"prepared set {sets[stream].directory} holds none of the {len(clips)} clips; delete it and prepare again")
    keys_of = {stream: {(position[clip_id], segment) for clip_id, segment in examples} for stream, examples in names.items()}
    keys = {(row, 0) for row in position.values()}
    for own in keys_of.values():
        # A stream without any segment of the clip does not shorten it.
        others = [(other, {row for row, _ in other}) for other in keys_of.values() if other is not own]
        keys |= {key for key in own if all(key in other or key[0] not in present for other, present in others)}
    ordered = sorted(keys)
    row_of = {key: row for row, key in enumerate(ordered)}
    rows = {
        stream: [row_of.get((position[clip_id], segment), len(ordered)) for clip_id, segment in examples]
        for stream, examples in names.items()
    }
    return ordered, rows
