"""The streams of a system for new media: views go through the frozen encoders while the file is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import Damage, Example
from avemo_jax.experiment.grid import stages_of
from avemo_jax.experiment.sources import needs_making, sources_of
from avemo_jax.inference.predict import Row, Segment
from avemo_jax.inference.speaking import MouthsAndSound

if TYPE_CHECKING:  # bring JAX, which streams without a frozen encoder do not need
    from avemo_jax.experiment.frozen_encoder import FrozenEncoder
    from avemo_jax.experiment.frozen_onnx import FrozenOnnx


class Recordings(Protocol):
    """Views of media files: `data_prep.live.LiveViews`."""

    @property
    def views(self) -> Mapping[str, tuple[tuple[int, ...], str]]:
        """Name of a view -> (step_shape, dtype)."""

    @property
    def segment_s(self) -> float:
        """Distance of the starts of two segments in s, which is their length where `window_s` is None."""

    @property
    def window_s(self) -> float | None:
        """Length of a segment in s where segments are windows that may overlap; each is then encoded by itself."""

    @property
    def step_s(self) -> float | None:
        """None where segments follow each other without overlap, else the length of a step in s; see `Ensemble`."""

    def open(
        self, path: Path, absent: dict[str, list[str]] | None = None, person: Any = None
    ) -> tuple[Mapping[str, Iterable[Segment]], list[Damage]]:
        """Return the views of a file, and a list to which its damage is added while the views are read.

        Args:
          path: the file.
          absent: filled with view -> what each of its segments lacks, "silence", "no speech" or "no face", or "".
          person: one of `people`, who is seen alone in the pictures.
        """

    def people(self, path: Path) -> Sequence[Any]:
        """Return the people of a film that can be followed, `data_prep.people.Person`s; none where no view takes faces."""

    def mouths_and_sound(self, path: Path, people: Sequence[Any]) -> MouthsAndSound | None:
        """Return how the mouths of these people move and how loud the film is; None where it has no sound."""


def views_of(experiment: Experiment) -> tuple[str, ...]:
    """Return the names of all views that the system's streams are made of."""
    return tuple(dict.fromkeys(source.view for stream in experiment.system.streams for source in sources_of(experiment, stream)))


def encodes(experiment: Experiment) -> bool:
    """Return whether any stream has a frozen encoder."""
    return any(source.encoder is not None for stream in experiment.system.streams for source in sources_of(experiment, stream))


def uses_jax(experiment: Experiment) -> bool:
    """Return whether predicting with the system needs JAX: for networks and frozen encoders, and not for the classical system on views."""
    return encodes(experiment) or any(not stage.is_classical for stage in stages_of(experiment))


class LiveFeatures:
    """The streams of a system for any media file.

    Attributes:
      steps: stream -> (step_shape, dtype) of the networks' inputs.

    Raises:
      MissingAsset, ValueError: the weights of an encoder are missing or do not fit.
    """

    def __init__(self, experiment: Experiment, recordings: Recordings):
        self._recordings = recordings
        self._sources = {stream: sources_of(experiment, stream) for stream in experiment.system.streams}
        self._encoders: dict[tuple[str, str], FrozenEncoder | FrozenOnnx] = {}
        self._widths: dict[str, tuple[int, ...]] = {}
        self.steps: dict[str, tuple[tuple[int, ...], str]] = {}
        for stream, sources in self._sources.items():
            if not needs_making(experiment, stream):
                self.steps[stream] = recordings.views[sources[0].view]
                continue
            from avemo_jax.experiment.features import feature_step, frozen_encoder, part_widths  # late: brings JAX

            for one in sources:
                if one.encoder is not None:
                    self._encoders[one.view, one.encoder] = frozen_encoder(experiment, one.encoder, *recordings.views[one.view])
            self.steps[stream] = feature_step(experiment, stream, recordings.views)
            self._widths[stream] = part_widths(experiment, stream, recordings.views)

    def open(
        self, path: Path, absent: dict[str, list[str]] | None = None, recordings: Recordings | None = None, person: Any = None
    ) -> tuple[dict[str, Iterator[Segment]], list[Damage]]:
        """Return the streams of a file, computed while they are read, and a list to which its damage is added.

        Args:
          path: the file.
          absent: filled with stream -> what each of its segments lacks, as in `Recordings`.
          recordings: source of equal views in place of the own one, for another thread.
          person: as in `Recordings.open`.
        """
        recordings = recordings or self._recordings
        of_views: dict[str, list[str]] = {}
        asked = {} if person is None else {"person": person}
        views, problems = recordings.open(path, **asked) if absent is None else recordings.open(path, of_views, **asked)
        if absent is not None:  # the lists fill later
            absent |= {stream: of_views[view] for stream, view in self.first_view.items()}
        return self._streams(views), problems

    def row(self, number: int, segments: Mapping[str, Segment | None]) -> Row:
        """Return the streams of window `number`, each window encoded by itself.

        Args:
          segments: view -> its segment, None where the view has ended.
        """
        pieces = {view: () if one is None else (one,) for view, one in segments.items()}
        return {stream: next(own, None) for stream, own in self._streams(pieces, number).items()}

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views that the streams are made from."""
        return tuple(dict.fromkeys(one.view for sources in self._sources.values() for one in sources))

    @property
    def first_view(self) -> dict[str, str]:
        """Stream -> the first of the views that it is made from."""
        return {stream: sources[0].view for stream, sources in self._sources.items()}

    def _streams(self, views: Mapping[str, Iterable[Segment]], first: int = 0) -> dict[str, Iterator[Segment]]:
        wanted = [one.view for sources in self._sources.values() for one in sources]
        copies = {
            view: list(itertools.tee(_numbered(pieces, first, alone=self._recordings.window_s is not None), wanted.count(view)))
            for view, pieces in views.items()
        }
        streams: dict[str, Iterator[Segment]] = {}
        for stream, sources in self._sources.items():
            parts = []
            for one in sources:
                pieces = copies[one.view].pop()
                parts.append(pieces if one.encoder is None else self._encoders[one.view, one.encoder].run(pieces, is_short=True))
            if len(parts) == 1:
                streams[stream] = iter(parts[0])
                continue
            from avemo_jax.experiment.features import joined  # late: brings JAX

            streams[stream] = iter(joined(*parts, widths=self._widths[stream]))
        return streams


def _numbered(pieces: Iterable[Segment], first: int = 0, *, alone: bool) -> Iterator[Example]:
    """Yield the segments as numbered examples, as `joined` expects; with `alone` as clips of their own, which no encoder joins."""
    return (
        Example(f"{number:09d}" if alone else "", number, piece.values, piece.mask, piece.times_s)
        for number, piece in enumerate(pieces, first)
    )
