"""Prepared sets as padded arrays in memory: small enough sets live on the devices for a whole run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedSet

STREAMS = ("audio", "video")


@dataclasses.dataclass(frozen=True)
class ResidentSet:
    """All examples of a corpus as arrays. N examples (segments), each of one clip; every clip has at least one.

    A clip that gave no example has one whose masks are all False: it is never trained on, and stays in every denominator.

    Attributes:
      clip_ids: clip of each row that `clip` points to.
      arrays: `audio` (N, T, ...) and `audio_mask` (N, T) bool, the same for `video`, as far as there are such streams;
        `label` (N,) int32; `clip` (N,) int32; `usable` (N,) bool, False where no stream has a real step.
      times_s: stream -> (N, T) float32, time of each step from the start of its clip in seconds, NaN where a step is padding.
    """

    clip_ids: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    times_s: Mapping[str, np.ndarray]

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(name for name in STREAMS if name in self.arrays)

    def step_of(self, stream: str) -> tuple[tuple[int, ...], str]:
        """Shape and type of one step of a stream."""
        return tuple(self.arrays[stream].shape[2:]), self.arrays[stream].dtype.name

    def num_steps(self, stream: str) -> int:
        """Steps that every example of a stream is padded to."""
        return self.arrays[stream].shape[1]

    def only(self, streams: Sequence[str]) -> ResidentSet:
        """The same examples with some of the streams; an example is usable where one of these has a real step."""
        kept = {name: self.arrays[name] for stream in streams for name in (stream, f"{stream}_mask")}
        usable = np.any([self.arrays[f"{stream}_mask"].any(axis=1) for stream in streams], axis=0)
        arrays = kept | {"label": self.arrays["label"], "clip": self.arrays["clip"], "usable": usable}
        return ResidentSet(self.clip_ids, arrays, {stream: self.times_s[stream] for stream in streams})

    def examples_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Rows (int32) of the examples of these clips, in row order."""
        return rows_of_clips(self.clip_ids, self.arrays["clip"], clip_ids)

    def save(self, path: Path) -> None:
        """Write as .npz: what a machine without TFDS reads with `load`."""
        flat = dict(self.arrays) | {f"times_s.{name}": times for name, times in self.times_s.items()}
        np.savez(path, clip_ids=np.asarray(self.clip_ids), **flat)  # type: ignore[arg-type]  # the stubs take names for allow_pickle

    @classmethod
    def load(cls, path: Path) -> ResidentSet:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            flat = dict(stored)
        times = {name.removeprefix("times_s."): flat.pop(name) for name in list(flat) if name.startswith("times_s.")}
        return cls(tuple(str(name) for name in flat.pop("clip_ids")), flat, times)


def load_resident(clips: Sequence[Clip], labels: Sequence[int], sets: Mapping[str, PreparedSet]) -> ResidentSet:
    """Join prepared sets by (clip, segment) and pad them to equal length.

    Args:
      clips, labels: the clips of the experiment and the class of each.
      sets: "audio" and/or "video" -> prepared set. A segment that one stream lacks has an all-False mask there.

    Raises:
      ValueError: a set holds none of the clips.
    """
    position = {clip.clip_id: row for row, clip in enumerate(clips)}
    found = {stream: [one for one in prepared.examples() if one.clip_id in position] for stream, prepared in sets.items()}
    names = {stream: [(one.clip_id, one.segment) for one in examples] for stream, examples in found.items()}
    keys, rows = join_segments(clips, names, sets)
    arrays: dict[str, np.ndarray] = {}
    times: dict[str, np.ndarray] = {}
    for stream, examples in found.items():
        manifest = sets[stream].manifest
        num_steps = max(len(one.values) for one in examples)
        values = np.zeros((len(keys), num_steps, *manifest.step_shape), manifest.dtype)
        mask = np.zeros((len(keys), num_steps), bool)
        times[stream] = np.full((len(keys), num_steps), np.nan, np.float32)
        for row, one in zip(rows[stream], examples, strict=True):
            if row == len(keys):
                continue
            values[row, : len(one.values)] = one.values
            mask[row, : len(one.mask)] = one.mask
            times[stream][row, : len(one.times_s)] = one.times_s
        arrays |= {stream: values, f"{stream}_mask": mask}
    clip = np.asarray([row for row, _ in keys], np.int32)
    arrays |= {
        "label": np.asarray(labels, np.int32)[clip],
        "clip": clip,
        "usable": np.any([arrays[f"{stream}_mask"].any(axis=1) for stream in found], axis=0),
    }
    return ResidentSet(tuple(clip.clip_id for clip in clips), arrays, times)


def join_segments(
    clips: Sequence[Clip], names: Mapping[str, Sequence[tuple[str, int]]], sets: Mapping[str, PreparedSet]
) -> tuple[list[tuple[int, int]], dict[str, list[int]]]:
    """Lay the examples of several streams out in common rows, one a (clip, segment); every clip has at least the row of segment 0.

    Where a clip has both streams, its segments are those that both have: a picture may end a little before its sound, and a tail of
    one alone says less than the segments before it.

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
        # A stream that lacks the clip altogether does not shorten it.
        others = [(other, {row for row, _ in other}) for other in keys_of.values() if other is not own]
        keys |= {key for key in own if all(key in other or key[0] not in present for other, present in others)}
    ordered = sorted(keys)
    row_of = {key: row for row, key in enumerate(ordered)}
    rows = {
        stream: [row_of.get((position[clip_id], segment), len(ordered)) for clip_id, segment in examples]
        for stream, examples in names.items()
    }
    return ordered, rows


def rows_of_clips(clip_ids: Sequence[str], clip: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """Rows (int32) whose clip (N,), a position in `clip_ids`, is among the wanted ones, in row order."""
    return np.flatnonzero(np.isin(np.asarray(clip_ids), np.asarray(wanted))[clip]).astype(np.int32)
