"""A trained system that predicts media files one after another: the part that the mode `predict` and the Python API share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avemo_jax.config import Experiment
from avemo_jax.config.overrides import for_stage
from avemo_jax.data.prepared import Damage
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.live_features import LiveFeatures, Recordings, encodes, uses_jax
from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import PersonPrediction, RecordingPrediction
from avemo_jax.inference.smoothing import smoothed
from avemo_jax.inference.speaking import SpeakerFinder
from avemo_jax.inference.stream import PredictionStream, PushedRecording, StreamedSystem
from avemo_jax.terminal import as_plain

_LABELS = {"acted": "acted emotions", "crowd": "emotions as raters judged them", "found": "emotions as the source of the media names them"}


class Predictor:
    """All networks of a finished run, ready to predict.

    Attributes:
      experiment: config of the run.
      classes: K class names.
      dimensions: names of the dimensions that it predicts.
      num_models: networks of which the probabilities are averaged.
      window_s, hop_s: length of the windows and the distance of their starts in s; window_s is None where segments follow each other.

    Raises:
      FileNotFoundError, ConfigMismatch: there is no finished run of this config.
    """

    def __init__(self, experiment: Experiment, recordings: Recordings):
        if uses_jax(experiment):
            from avemo_jax.experiment.backend import set_up_backend  # late: brings JAX

            set_up_backend(experiment, encodes=encodes(experiment))
        self.experiment = experiment
        self._recordings = recordings
        self._features = LiveFeatures(experiment, recordings)
        self.window_s, self.hop_s = recordings.window_s, recordings.segment_s
        self._ensemble = load_ensemble(experiment, self._features.steps, recordings.segment_s, recordings.step_s, recordings.window_s)
        self.classes, self.dimensions = self._ensemble.classes, self._ensemble.dimensions
        self.num_models = self._ensemble.num_members

    @property
    def attended(self) -> tuple[str, ...]:
        """Streams of which a prediction has the attention over time."""
        return self._ensemble.attended

    @property
    def trained_on(self) -> str:
        """What the networks were trained on, as a clause."""
        return trained_on(self.experiment.corpus.name, self.experiment.corpus.label_target)

    def predict(
        self,
        file: str,
        *,
        recordings: Recordings | None = None,
        report: Callable[[float], None] | None = None,
        people: bool = False,
    ) -> RecordingPrediction:
        """Predict a file; what cannot be decoded is among the `problems` of the result.

        Args:
          file: its path.
          recordings: source of equal views in place of the own one, so that several threads can predict at the same time.
          report: called after each segment with its end in s, in place of a progress bar; what it raises ends the prediction.
          people: also predict each person of a film by itself, where there are several whose faces can be followed.
        """
        found, problems = self._segments(file, recordings, report)
        of_people = self._people(file, recordings or self._recordings, report) if people else ()
        rule = self.experiment.system.segment_rule
        return RecordingPrediction(file, found, problems, self.classes, rule, self.trained_on, people=of_people)

    def _people(self, file: str, recordings: Recordings, report: Callable[[float], None] | None) -> tuple[PersonPrediction, ...]:
        """Return the predictions of the people of a film where they are seen, none of fewer than two."""
        people = recordings.people(Path(file))
        if len(people) < 2:
            return ()
        mouths = recordings.mouths_and_sound(Path(file), people)
        finder = None if mouths is None else SpeakerFinder(mouths)
        found = []
        for place, one in enumerate(people):
            segments, _ = self._segments(file, recordings, report, one)
            seen = tuple(segment for segment in segments if one.track.is_seen(segment.start_s, segment.end_s))
            speaks = () if finder is None else tuple(finder.speaks(segment.start_s, segment.end_s)[place] for segment in seen)
            found.append(PersonPrediction(one.number, seen, tuple(one.track.times_s), tuple(one.track.boxes), speaks))
        return tuple(one for one in found if one.segments)

    def _segments(
        self, file: str, recordings: Recordings | None, report: Callable[[float], None] | None, person: Any = None
    ) -> tuple[tuple[SegmentPrediction, ...], tuple[Damage, ...]]:
        """Return the segments of a file and its damage."""
        absent: dict[str, list[str]] = {}
        streams, problems = self._features.open(Path(file), absent, recordings, person)
        segments: Iterable[SegmentPrediction] = (
            dataclasses.replace(segment, absent={stream: own[number] for stream, own in absent.items() if any(own[number : number + 1])})
            for number, segment in enumerate(self._ensemble.predict(streams))
        )
        if report is None:
            segments = tqdm(segments, desc=as_plain(Path(file).name), unit="segment", leave=False, disable=None)
        else:
            segments = _reported(segments, report)
        if self.window_s is not None:
            segments = smoothed(segments, self.hop_s)
        # Several streams may report the same damage, and it is complete only when all segments have been read.
        return tuple(segments), tuple(dict.fromkeys(problems))

    def stream(self, recording: PushedRecording) -> PredictionStream:
        """Return a prediction of what is pushed; `recording` makes the views of windows."""
        features = self._features
        return PredictionStream(
            StreamedSystem(features.views, features.row, features.first_view, self._ensemble, self.hop_s),
            recording,
        )

    def facts(self) -> dict[str, Any]:
        """Return what predictions.json says of the system."""
        return {
            "run": str(self.experiment.run_directory),
            "system": self.experiment.system.name,
            "protocol": self.experiment.protocol.name,
            "label_set": self.experiment.corpus.label_set,
            "num_models": self.num_models,
            "trained_on": self.trained_on,
            **({} if self.window_s is None else {"window_s": self.window_s, "hop_s": self.hop_s}),
            "classes": list(self.classes),
            **({"dimensions": list(self.dimensions)} if self.dimensions else {}),
        }


def _reported(segments: Iterable[SegmentPrediction], report: Callable[[float], None]) -> Iterator[SegmentPrediction]:
    for segment in segments:
        yield segment
        report(segment.end_s)


def trained_on(corpus: str, label_target: str) -> str:
    """Describe the data that a run's models were trained on: the corpus and the origin of its labels."""
    if "synthetic" in corpus.split("+"):
        return f"drawn faces and made-up voices ({corpus}); it says nothing about real people"
    return f"{corpus} ({_LABELS.get(label_target, label_target)}); other people, places and microphones may differ"


def learned_without_streams(experiment: Experiment) -> str:
    """Describe whether the last stage of a system was trained on clips that lack a stream, so what answers without a stream are worth."""
    rate = for_stage(experiment, experiment.train.stages[-1]).train.stream_dropout_rate
    if rate or experiment.sweep.stream_dropout_rate or any("stream_dropout_rate" in axis for axis in experiment.search.space):
        return "the system was trained on such clips too (train.stream_dropout_rate)"
    return (
        "the system was trained with train.stream_dropout_rate=0, on whole clips alone, so these answers may be poor; --mode=robustness "
        "with missing:* measures what they are worth"
    )
