"""The mode `predict`: emotions of new recordings, predicted by the ensemble of all networks of a finished run."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path

from avemo_jax.atomic import write_json
from avemo_jax.config import Experiment
from avemo_jax.experiment.live_features import Recordings
from avemo_jax.inference.recording import RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.modes.predictor import Predictor, learned_without_streams
from avemo_jax.text import count_of

FILES = ("predictions.json", "predictions.csv")
_WRITE_EVERY_S = 5.0


def predict(
    experiment: Experiment, files: Sequence[str], recordings: Recordings, *, output: Path | None = None
) -> list[RecordingPrediction]:
    """Predict media files, print the predictions, write predictions.json and predictions.csv, and return the predictions.

    Args:
      experiment: config of a finished run.
      files: media files; a file that cannot be decoded is reported, and the others are still predicted.
      recordings: source of the views.
      output: folder for the two files; default: `predict` in the run directory, `predict-2` at the second call.

    The files are written as predictions come, so a call that is stopped leaves those that it has made.

    Raises:
      ValueError: no files.
      FileExistsError: `output` has the predictions of an earlier call.
      FileNotFoundError, ConfigMismatch: there is no finished run of this config.
    """
    if not files:
        raise ValueError("no files to predict; name media with --input=clip.mp4 (may be repeated)")
    predictor = Predictor(experiment, recordings)
    rule, classes = experiment.system.segment_rule, predictor.classes
    output = new_folder(experiment.run_directory / "predict") if output is None else Path(output)
    output.mkdir(parents=True, exist_ok=True)
    if taken := [name for name in FILES if (output / name).exists()]:
        raise FileExistsError(f"{output / taken[0]} has the predictions of an earlier call; name another folder with --output")
    found: list[RecordingPrediction] = []

    def write() -> None:
        write_json(output / FILES[0], predictor.facts() | {"files": [as_json(one, classes, rule) for one in found]})
        write_csv(output / FILES[1], found, classes, rule, predictor.dimensions)

    written_s = -math.inf
    try:
        for file in files:
            found.append(predictor.predict(file))
            print(format_prediction(found[-1], classes, rule, predictor.trained_on), flush=True)
            if time.monotonic() - written_s > _WRITE_EVERY_S:  # the files are written whole, which would take long for thousands
                write()
                written_s = time.monotonic()
    finally:
        write()  # also where a signal or an error ends the call
        if len(found) < len(files):
            print(f"{len(found)} of {len(files)} files were predicted before the end: {output / FILES[0]}")
    if num_lacking := sum(bool(one.without) for one in found):
        print(f"a stream is missing in {count_of(num_lacking, 'file')}: {learned_without_streams(experiment)}")
    num_predicted = sum(bool(one.segments) and not one.nothing for one in found)
    print(
        f"{count_of(predictor.num_models, 'model')} predicted {num_predicted} of {count_of(len(found), 'file')}: "
        + ", ".join(str(output / name) for name in FILES)
    )
    return found


def new_folder(path: Path) -> Path:
    """Return the path, or with a number at its end, path-2, path-3, ..., where it exists already."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not one.exists())
