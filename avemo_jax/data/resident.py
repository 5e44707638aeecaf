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
      times_s: stream -> (N, T) float32, middle of each step within its clip in seconds, NaN where a step is padding.
    """

    clip_ids: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    times_s: Mapping[str, np.ndarray]

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(name for name in STREAMS if name in self.arrays)

    def only(self, streams: Sequence[str]) -> ResidentSet:
        """The same examples with some of the streams; an example is usable where one of these has a real step."""
        kept = {name: self.arrays[name] for stream in streams for name in (stream, f"{stream}_mask")}
        usable = np.any([self.arrays[f"{stream}_mask"].any(axis=1) for stream in streams], axis=0)
        arrays = kept | {"label": self.arrays["label"], "clip": self.arrays["clip"], "usable": usable}
        return ResidentSet(self.clip_ids, arrays, {stream: self.times_s[stream] for stream in streams})

    def examples_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Rows (int32) of the examples of these clips, in row order."""
        wanted = np.isin(np.asarray(self.clip_ids), np.asarray(clip_ids))
        return np.flatnonzero(wanted[self.arrays["clip"]]).astype(np.int32)

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
    rows_of = {clip.clip_id: row for row, clip in enumerate(clips)}
    found: dict[str, dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for stream, prepared in sets.items():
        examples = {
            (rows_of[example.clip_id], example.segment): (example.values, example.mask, example.times_s)
            for example in prepared.examples()
            if example.clip_id in rows_of
        }
        if not examples:
            raise ValueError(f"prepared set {prepared.directory} holds none of the {len(clips)} clips; delete it and prepare again")
        found[stream] = examples
    keys = sorted(set().union(*found.values()) | {(row, 0) for row in rows_of.values()})
    arrays: dict[str, np.ndarray] = {}
    times: dict[str, np.ndarray] = {}
    for stream, examples in found.items():
        manifest = sets[stream].manifest
        steps = max(len(values) for values, _, _ in examples.values())
        values = np.zeros((len(keys), steps, *manifest.step_shape), manifest.dtype)
        mask = np.zeros((len(keys), steps), bool)
        times_s = np.full((len(keys), steps), np.nan, np.float32)
        for row, key in enumerate(keys):
            if key in examples:
                example_values, example_mask, example_times = examples[key]
                values[row, : len(example_values)] = example_values
                mask[row, : len(example_mask)] = example_mask
                times_s[row, : len(example_times)] = example_times
        arrays |= {stream: values, f"{stream}_mask": mask}
        times[stream] = times_s
    clip = np.asarray([row for row, _ in keys], np.int32)
    arrays |= {
        "label": np.asarray(labels, np.int32)[clip],
        "clip": clip,
        "usable": np.any([arrays[f"{stream}_mask"].any(axis=1) for stream in found], axis=0),
    }
    return ResidentSet(tuple(clip.clip_id for clip in clips), arrays, times)
