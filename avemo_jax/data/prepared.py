"""Reading prepared sets: views of a whole corpus on disk, one directory a view.

A prepared set is a TFDS dataset in array_record files, read here without TensorFlow, beside two small JSON files:

    manifest.json   PreparedManifest: what it holds and the content hash
    damage.json     clip id -> {"kind": ..., "detail": ...} for every clip that gave no example or a doubtful one
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# What can be wrong with a clip. The first group gave no example; the second gave examples all the same.
LOST_KINDS = ("missing", "undecodable", "truncated", "empty", "no_audio", "no_video")
DOUBTFUL_KINDS = ("silent", "no_face")


@dataclasses.dataclass(frozen=True)
class Damage:
    """What is wrong with one clip: one of LOST_KINDS or DOUBTFUL_KINDS, and a sentence for people."""

    kind: str
    detail: str


@dataclasses.dataclass(frozen=True)
class PreparedManifest:
    """What a prepared set holds.

    Attributes:
      corpus, view: names.
      modality: "audio" or "video".
      view_params: the parameters the view was made with.
      step_shape: shape of one step of the view; an example is (T,) + step_shape.
      dtype: numpy name of the values' type.
      num_clips: clips asked for, damaged ones included.
      num_examples: records (segments) written.
      content_hash: SHA-256 over all examples in (clip, segment) order: equal content, equal hash.
      key: SHA-256 of inputs, view parameters and code version, by which the set is found again.
    """

    corpus: str
    view: str
    modality: str
    view_params: Mapping[str, Any]
    step_shape: tuple[int, ...]
    dtype: str
    num_clips: int
    num_examples: int
    content_hash: str
    key: str


@dataclasses.dataclass(frozen=True)
class Example:
    """One segment of one clip as a network sees it: values (T, ...), mask (T,) bool, True where a step is real."""

    clip_id: str
    segment: int
    values: np.ndarray
    mask: np.ndarray


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """A prepared set on disk. Iterate `examples()`; look up `damage` by clip id."""

    directory: Path
    manifest: PreparedManifest
    damage: Mapping[str, Damage]

    @classmethod
    def open(cls, directory: Path) -> PreparedSet:
        """Open a finished prepared set.

        Raises:
          FileNotFoundError: there is no finished prepared set, with the command that makes one.
        """
        directory = Path(directory)
        if not (directory / "manifest.json").is_file():
            raise FileNotFoundError(f"no finished prepared set in {directory}; run the same config with --mode=prepare to make it")
        raw = json.loads((directory / "manifest.json").read_text())
        manifest = PreparedManifest(**{**raw, "step_shape": tuple(raw["step_shape"])})
        damage = {clip: Damage(**entry) for clip, entry in json.loads((directory / "damage.json").read_text()).items()}
        return cls(directory, manifest, damage)

    def examples(self) -> Iterator[Example]:
        """Yield all examples sorted by (clip id, segment), whatever order the records lie in on disk."""
        import tensorflow_datasets as tfds  # late: GPU hosts read arrays from .npz and may lack TFDS

        source = tfds.builder_from_directory(str(self.directory)).as_data_source(split="examples")
        keys = sorted((record["clip"].decode(), int(record["segment"]), index) for index, record in enumerate(source))
        for clip_id, segment, index in keys:
            record = source[index]
            yield Example(clip_id, segment, np.asarray(record["values"]), np.asarray(record["mask"], dtype=bool))
