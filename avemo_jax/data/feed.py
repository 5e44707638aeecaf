"""The one interface of prepared examples to experiments and training, in memory or on disk.

Only `avemo_jax.training.programs`, which chooses the program, needs to know which of the two a feed is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedSet
from avemo_jax.data.resident import load_resident
from avemo_jax.data.stream import open_stream


class Feed(Protocol):
    """The examples of a corpus in N rows, a row a segment of a clip: `ResidentSet` in memory, `StreamedSet` on disk.

    Streams have any names, in the order of the prepared sets that they were made of. A row that a stream lacks has no real step there.
    """

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """The clips that `clip` points to."""

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in order."""

    @property
    def label(self) -> np.ndarray:
        """(N,) int32, class of each row."""

    @property
    def clip(self) -> np.ndarray:
        """(N,) int32, position in `clip_ids` of each row's clip."""

    @property
    def usable(self) -> np.ndarray:
        """(N,) bool, False where no stream has a real step."""

    @property
    def is_resident(self) -> bool:
        """Whether all examples are in memory; for the choice of a program alone."""

    @property
    def device_bytes(self) -> int:
        """Bytes that training keeps on each device for the whole run."""

    def step_of(self, stream: str) -> tuple[tuple[int, ...], str]:
        """Shape and type of one step of a stream."""

    def num_steps(self, stream: str) -> int:
        """Steps T that every example of a stream is padded to."""

    def lengths_of(self, stream: str) -> np.ndarray:
        """(N,) steps of each row up to the last real one, 0 where there is none."""

    def examples_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Rows (int32) of the examples of these clips, in row order."""

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Values (B, T, ...) of each stream by its name and `<stream>_mask` (B, T) bool, of rows (B,)."""

    def times_of(self, stream: str, rows: np.ndarray) -> np.ndarray:
        """(B, T) float32, time of each step from the start of its clip in s, NaN where a step is padding, of rows (B,)."""

    def only(self, streams: Sequence[str]) -> Feed:
        """The same rows with some of the streams, in this order; a row is usable where one of these has a real step."""

    def without(self, stream: str) -> Feed:
        """The same rows and streams; one stream has no real step."""

    def padded_to(self, num_steps: Mapping[str, int]) -> Feed:
        """The same rows, streams padded to at least so many steps."""

    def per_speaker(self, streams: Sequence[str], speakers: np.ndarray) -> Feed:
        """The same rows, some streams normalised by speaker (`per_speaker.standardize_per_speaker`).

        Args:
          speakers: speaker of each clip of `clip_ids`.

        Raises:
          ValueError: a stream of pictures, or examples that are not in memory.
        """


FEEDS: dict[str, Callable[[Sequence[Clip], Sequence[int], Mapping[str, PreparedSet]], Feed]] = {
    "resident": load_resident,
    "stream": open_stream,
}


def open_feed(kind: str, clips: Sequence[Clip], labels: Sequence[int], sets: Mapping[str, PreparedSet]) -> Feed:
    """Join prepared sets by (clip, segment) into a feed.

    Args:
      kind: `config.devices.feed`, a key of FEEDS.
      clips, labels: the clips of the experiment and the class of each.
      sets: stream -> prepared set.

    Raises:
      ValueError: an unknown kind, a name that a stream cannot have, or a set that holds none of the clips.
    """
    if kind not in FEEDS:
        raise ValueError(f"--config.devices.feed must be one of {tuple(FEEDS)}, got {kind!r}")
    check_stream_names(sets)
    return FEEDS[kind](clips, labels, sets)


def check_stream_names(names: Sequence[str] | Mapping[str, object]) -> None:
    """Check that streams can share a batch with the entries that every batch has.

    Raises:
      ValueError: a stream is named as another entry of a batch, or as the mask of a stream.
    """
    for name in names:
        if name in ("label", "clip", "usable", "mask", "clip_ids", "rating") or name.endswith("_mask") or not name.isidentifier():
            raise ValueError(
                f"a stream cannot be named {name!r}: names are letters, digits and underscores, not 'label', 'clip', 'usable', 'mask', "
                "'clip_ids' or 'rating', and do not end in '_mask'"
            )
