"""Prepared sets as padded arrays in memory: small enough sets live on the devices for a whole run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.per_speaker import standardize_per_speaker
from avemo_jax.data.prepared import PreparedSet
from avemo_jax.data.rows import Rows, join_segments, reach


@dataclasses.dataclass(frozen=True)
class ResidentSet(Rows):
    """All examples of a corpus as arrays: a `Feed` in memory. N examples (segments), each of one clip; every clip has at least one.

    A clip that gave no example has one with masks that are all False: it is never trained on, and counts in every denominator.

    Attributes:
      clip_ids: the clips that `clip` points to.
      arrays: for each stream its values by its name, (N, T, ...), and `<stream>_mask` (N, T) bool; `label` (N,) int32; `clip` (N,) int32;
        `usable` (N,) bool, False where no stream has a real step.
      times_s: stream -> (N, T) float32, time of each step from the start of its clip in seconds, NaN where a step is padding.
    """

    times_s: Mapping[str, np.ndarray]

    @property
    def is_resident(self) -> bool:
        return True

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(name for name in self.arrays if f"{name}_mask" in self.arrays)

    def step_of(self, stream: str) -> tuple[tuple[int, ...], str]:
        return tuple(self.arrays[stream].shape[2:]), self.arrays[stream].dtype.name

    def num_steps(self, stream: str) -> int:
        return self.arrays[stream].shape[1]

    def lengths_of(self, stream: str) -> np.ndarray:
        return reach(self.arrays[f"{stream}_mask"])

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: self.arrays[name][rows] for stream in self.streams for name in (stream, f"{stream}_mask")}

    def times_of(self, stream: str, rows: np.ndarray) -> np.ndarray:
        return self.times_s[stream][rows]

    def only(self, streams: Sequence[str]) -> ResidentSet:
        kept = {name: self.arrays[name] for stream in streams for name in (stream, f"{stream}_mask")}
        usable = np.any([self.arrays[f"{stream}_mask"].any(axis=1) for stream in streams], axis=0)
        arrays = kept | {"label": self.label, "clip": self.clip, "usable": usable}
        return ResidentSet(self.clip_ids, arrays, {stream: self.times_s[stream] for stream in streams})

    def without(self, stream: str) -> ResidentSet:
        absent = {name: np.zeros_like(self.arrays[name]) for name in (stream, f"{stream}_mask")}
        times_s = dict(self.times_s) | {stream: np.full_like(self.times_s[stream], np.nan)}
        return ResidentSet(self.clip_ids, dict(self.arrays) | absent, times_s).only(self.streams)

    def padded_to(self, num_steps: Mapping[str, int]) -> ResidentSet:
        arrays, times = dict(self.arrays), dict(self.times_s)
        for stream, wanted in num_steps.items():
            short = wanted - self.num_steps(stream)
            if short > 0:
                for name in (stream, f"{stream}_mask"):
                    arrays[name] = np.pad(arrays[name], [(0, 0), (0, short), *[(0, 0)] * (arrays[name].ndim - 2)])
                times[stream] = np.pad(times[stream], ((0, 0), (0, short)), constant_values=np.nan)
        return ResidentSet(self.clip_ids, arrays, times)

    def per_speaker(self, streams: Sequence[str], speakers: np.ndarray) -> ResidentSet:
        arrays = dict(self.arrays)
        for name in streams:
            if arrays[name].dtype == np.uint8:
                raise ValueError(f"normalisation by speaker is for features, and the {name} stream has 8-bit pictures")
            arrays[name] = standardize_per_speaker(arrays[name], speakers[self.clip], mask=arrays[f"{name}_mask"])
        return dataclasses.replace(self, arrays=arrays)


def load_resident(clips: Sequence[Clip], labels: Sequence[int], sets: Mapping[str, PreparedSet]) -> ResidentSet:
    """Join prepared sets by (clip, segment) and pad them to equal length.

    Args:
      clips, labels: the clips of the experiment and the class of each.
      sets: stream -> prepared set. A segment that one stream lacks has an all-False mask there.

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
    arrays |= {"label": np.asarray(labels, np.int32)[clip], "clip": clip}
    return ResidentSet(tuple(clip.clip_id for clip in clips), arrays, times).only(tuple(found))
