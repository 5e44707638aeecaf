"""A trained system as a Python object: `load` it, `predict` files or arrays, look at the result, save it in any format.

from avemo_jax import api

with api.load("runs/ravdess-gru_attention_small-luna5") as model:
    result = model.predict("clip.mp4")
    print(result.predicted, result.spans)
    result.to_frame()
    result.save("html", "clip.html")
    with model.stream(rate_hz=48000) as stream:
        for samples in microphone:
            print(stream.push(samples))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.config import Experiment
from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.inference.stream import PredictionStream
from avemo_jax.modes.predictor import Predictor
from avemo_jax.timelines import check_formats, save, suffix_of
from data_prep.array_sound import as_sound_file
from data_prep.live import LiveViews
from data_prep.live_stream import IsolatedPushedViews, LiveSource
from data_prep.live_worker import IsolatedViews
from data_prep.timeline_media import TimelineMedia


@dataclasses.dataclass(frozen=True)
class Result(RecordingPrediction):
    """The prediction of one recording; see `RecordingPrediction` for `probabilities`, `predicted`, `spans` and `to_frame`."""

    def save(self, format: str, path: str | Path | None = None) -> Path:
        """Write the prediction in one format and return the path.

        Formats that show the recording ("png", "svg", "html", "overlay") read its file again.

        Args:
          format: a name of `avemo_jax.timelines.FORMATS`.
          path: of the file; default: in the working folder, named as the recording, with the suffix of the format.

        Raises:
          ValueError, RuntimeError: there is no such format, or its package is missing.
        """
        check_formats([format])
        target = Path(f"{Path(self.file).stem}{suffix_of(format)}" if path is None else path)
        with TimelineMedia() as media:
            save(self, format, target, media)
        return target


class Model:
    """All networks of a finished run; a context manager that ends the process in which media are decoded.

    Attributes:
      experiment: config of the run.
      classes: names of the classes.
      dimensions: names of the dimensions, such as arousal, that it predicts.
      trained_on: what it was trained on, as a clause.
      num_models: networks of which the probabilities are averaged.
    """

    def __init__(self, experiment: Experiment, live: LiveViews):
        self._live, self._views = live, IsolatedViews(live)
        self._predictor = Predictor(experiment, self._views)
        self.experiment, self.classes, self.dimensions = experiment, self._predictor.classes, self._predictor.dimensions
        self.trained_on, self.num_models = self._predictor.trained_on, self._predictor.num_models

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the process in which media are decoded; the next prediction starts another."""
        self._views.__exit__()

    def predict(self, recording: str | Path | np.ndarray, rate_hz: int | None = None, *, people: bool = False) -> Result:
        """Predict one recording.

        Args:
          recording: path of a sound, film or picture, or samples (S,) or (S, channels) in [-1, 1].
          rate_hz: of samples.
          people: also predict each person of a film by itself, where several faces can be followed; of systems that take faces.

        Raises:
          ValueError: samples without a rate, not finite or of another shape, or a rate of a file.
          FileNotFoundError: there is no such file.
        """
        if isinstance(recording, np.ndarray):
            if rate_hz is None:
                raise ValueError("samples need their rate: model.predict(samples, rate_hz=16000)")
            with as_sound_file(recording, rate_hz) as path:
                return dataclasses.replace(self._result(str(path)), file="samples")
        if rate_hz is not None:
            raise ValueError(f"a file has its own rate; leave rate_hz={rate_hz} out, or give samples")
        if not Path(recording).is_file():
            raise FileNotFoundError(f"there is no file {recording}")
        return self._result(str(recording), **({"people": True} if people else {}))

    def stream(self, rate_hz: int | None = None, *, pictures: bool = False) -> PredictionStream:
        """Return a prediction of a recording while it is made, whose `push` returns the hops that are complete.

        A system of sound and pictures predicts from the one that comes.

        Args:
          rate_hz: of the samples that are pushed, if any.
          pictures: whether pictures are pushed.

        Raises:
          ValueError: the system cannot predict windows, or is made from nothing that comes.
        """
        return self._predictor.stream(IsolatedPushedViews(LiveSource(self._live, rate_hz, pictures)))

    def reader(self) -> IsolatedViews:
        """Return a decoding process of its own, for `predict_file` in another thread; a context manager."""
        return IsolatedViews(self._live)

    def predict_file(self, file: str, reader: IsolatedViews, report: Callable[[float], None]) -> Result:
        """Predict a file as `predict` does, also beside other threads.

        Args:
          file: its path.
          reader: of this thread.
          report: called with the end of each segment in s; what it raises ends the prediction.
        """
        return self._result(file, recordings=reader, report=report, people="video" in self.media)

    @property
    def rule(self) -> str:
        """How the probabilities of segments are combined to those of a recording."""
        return self.experiment.system.segment_rule

    @property
    def media(self) -> frozenset[str]:
        """What the system is made from: "audio", "video"."""
        return frozenset(medium for media in self._live.media.values() for medium in media)

    @property
    def attended(self) -> tuple[str, ...]:
        """Streams of which a prediction has the attention over time."""
        return self._predictor.attended

    @property
    def hop_s(self) -> float:
        """Distance of the starts of two predicted segments in s."""
        return self._live.segment_s

    @property
    def window_s(self) -> float | None:
        """Length of the predicted windows in s, None where segments follow each other as in training."""
        return self._live.window_s

    def _result(self, file: str, **options: Any) -> Result:
        found = self._predictor.predict(file, **options)
        return Result(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})
