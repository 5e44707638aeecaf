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
from avemo_jax.experiment.model_folder import is_model_folder
from avemo_jax.inference.recording import RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.modes.predictor import Predictor, learned_without_streams
from avemo_jax.text import count_of
from avemo_jax.timelines import WHOLE_CALL, check_formats, in_order, save, suffix_of
from avemo_jax.timelines.media import CannotShow, Media

FILES = ("predictions.json", "predictions.csv")
_WRITE_EVERY_S = 5.0


def predict(
    experiment: Experiment,
    files: Sequence[str],
    recordings: Recordings,
    *,
    output: Path | None = None,
    formats: Sequence[str] = WHOLE_CALL,
    media: Media | None = None,
    people: bool = False,
) -> list[RecordingPrediction]:
    """Predict media files, print the predictions, write them in each format, and return them.

    Args:
      experiment: config of a finished run, or of a model folder.
      files: media files; a file that cannot be decoded is reported, and the others are still predicted.
      recordings: source of the views.
      output: folder for the results; default: `predict` in the run directory, runs/predict-NAME for a model folder of that name; with a
        number at its end from the second call on.
      formats: "json" and "csv", predictions.json and predictions.csv of all files, and names of `timelines.FORMATS`, a file a recording.
      media: reads the recordings again for formats that show them.
      people: also predict each person of a film by itself, where there are several.

    The files are written as predictions come, so a call that is stopped leaves those that it has made.

    Raises:
      ValueError, RuntimeError: no files; an unknown format, or one of which the package is missing.
      FileExistsError: `output` has the predictions of an earlier call.
      FileNotFoundError, ConfigMismatch: there is no finished run of this config.
    """
    if not files:
        raise ValueError("no files to predict; name media with --input=clip.mp4 (may be repeated)")
    check_formats(formats)
    predictor = Predictor(experiment, recordings)
    rule, classes = experiment.system.segment_rule, predictor.classes
    output = new_folder(_default_output(experiment.run_directory)) if output is None else Path(output)
    output.mkdir(parents=True, exist_ok=True)
    targets = {"json": output / FILES[0], "csv": output / FILES[1]}
    if taken := [name for name in FILES if (output / name).exists()]:
        raise FileExistsError(f"{output / taken[0]} has the predictions of an earlier call; name another folder with --output")
    found: list[RecordingPrediction] = []

    def write() -> None:
        if "json" in formats:
            write_json(targets["json"], predictor.facts() | {"files": [as_json(one, classes, rule) for one in found]})
        if "csv" in formats:
            write_csv(targets["csv"], found, classes, rule, predictor.dimensions)

    written_s = -math.inf
    try:
        for file in files:
            found.append(predictor.predict(file, people=people))
            print(format_prediction(found[-1], classes, rule, predictor.trained_on), flush=True)
            if media is not None:
                save_timelines(found[-1], in_order(formats), output, media)
            if time.monotonic() - written_s > _WRITE_EVERY_S:  # the files are written whole, which would take long for thousands
                write()
                written_s = time.monotonic()
    finally:
        write()  # also where a signal or an error ends the call
        if len(found) < len(files):
            print(f"{len(found)} of {len(files)} files were predicted before the end: {output}")
    if num_lacking := sum(bool(one.without) for one in found):
        print(f"a stream is missing in {count_of(num_lacking, 'file')}: {learned_without_streams(experiment)}")
    num_predicted = sum(bool(one.segments) and not one.nothing for one in found)
    print(
        f"{count_of(predictor.num_models, 'model')} predicted {num_predicted} of {count_of(len(found), 'file')}: "
        + ", ".join(
            [
                *(str(path) for name, path in targets.items() if name in formats),
                *(f"{output}/*{suffix_of(name)}" for name in in_order(formats)),
            ]
        )
    )
    return found


def _default_output(folder: Path) -> Path:
    """Return the folder of predictions of a run directory or model folder; nothing is written into a model folder."""
    return Path("runs") / f"predict-{folder.resolve().name}" if is_model_folder(folder) else folder / "predict"


def save_timelines(prediction: RecordingPrediction, formats: Sequence[str], output: Path, media: Media) -> None:
    """Write a prediction in formats of one file a recording; what cannot be written is printed, and costs nothing else.

    Files are named as the recording, with a number where a recording of that name was written before.
    """
    stem = Path(prediction.file).stem
    numbered = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    stem = next(one for one in numbered if not any((output / f"{one}{suffix_of(name)}").exists() for name in formats))
    for name in formats:
        try:
            save(prediction, name, output / f"{stem}{suffix_of(name)}", media)
        except CannotShow as error:
            print(f"  no {name}: {error}")


def new_folder(path: Path) -> Path:
    """Return the path, or with a number at its end, path-2, path-3, ..., where it exists already."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not one.exists())
