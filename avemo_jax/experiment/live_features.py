"""New media for a run: its views go through the frozen encoders while they are read, as the corpus's did once and for all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from avemo_jax.data.prepared import Damage, Example
from avemo_jax.experiment.features import FrozenEncoder, feature_step, frozen_encoder, joined, part_widths, sources_of
from avemo_jax.inference.predict import Segment

Config = Mapping[str, Any]


class Recordings(Protocol):
    """Whoever turns media files into the views of a system."""

    views: Mapping[str, tuple[tuple[int, ...], str]]  # view -> (step_shape, dtype)
    segment_s: float
    step_s: float | None  # None where segments follow each other, else the length of a step; see Ensemble

    def open(self, path: Path) -> tuple[Mapping[str, Iterable[Segment]], list[Damage]]:
        """Views of a file, and a list that fills with what is wrong with it while they are read."""


def views_of(config: Config) -> tuple[str, ...]:
    """Names of all views that the system's streams are made of."""
    return tuple(dict.fromkeys(source.view for stream in config["system"]["streams"] for source in sources_of(config, stream)))


def encodes(config: Config) -> bool:
    """Whether any stream is made by a frozen encoder."""
    return any(source.encoder is not None for stream in config["system"]["streams"] for source in sources_of(config, stream))


class LiveFeatures:
    """The streams of a system, made of any media file.

    Attributes:
      views: stream -> (step_shape, dtype) of what its networks are given.

    Raises:
      MissingAsset, ValueError: the weights of an encoder are not there or do not fit.
    """

    def __init__(self, config: Config, recordings: Recordings):
        self._recordings = recordings
        self._sources = {stream: sources_of(config, stream) for stream in config["system"]["streams"]}
        self._encoders: dict[tuple[str, str], FrozenEncoder] = {
            (one.view, one.encoder): frozen_encoder(config, one.encoder, *recordings.views[one.view])
            for sources in self._sources.values()
            for one in sources
            if one.encoder is not None
        }
        self.views = {stream: feature_step(config, stream, recordings.views) for stream in self._sources}
        self._widths = {stream: part_widths(config, stream, recordings.views) for stream in self._sources}

    def open(self, path: Path) -> tuple[dict[str, Iterator[Segment]], list[Damage]]:
        """Return the streams of a file, made while they are read; and a list that fills with what is wrong with it."""
        views, problems = self._recordings.open(path)
        wanted = [one.view for sources in self._sources.values() for one in sources]
        copies = {view: list(itertools.tee(_numbered(pieces), wanted.count(view))) for view, pieces in views.items()}
        streams: dict[str, Iterator[Segment]] = {}
        for stream, sources in self._sources.items():
            parts = []
            for one in sources:
                pieces = copies[one.view].pop()
                parts.append(pieces if one.encoder is None else self._encoders[one.view, one.encoder].run(pieces, is_short=True))
            streams[stream] = iter(parts[0] if len(parts) == 1 else joined(*parts, widths=self._widths[stream]))
        return streams, problems


def _numbered(pieces: Iterable[Segment]) -> Iterator[Example]:
    """Segments with the names that joining them goes by."""
    return (Example("", number, piece.values, piece.mask, piece.times_s) for number, piece in enumerate(pieces))
