"""The mode `predict`: emotions of new recordings, predicted by the ensemble of all networks of a finished run."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from avemo_jax.atomic import write_json
from avemo_jax.config import Experiment
from avemo_jax.config.overrides import for_stage
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.live_features import LiveFeatures, Recordings, encodes
from avemo_jax.experiment.model_folder import is_model_folder
from avemo_jax.inference.predict import Ensemble
from avemo_jax.inference.recording import RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.terminal import as_plain
from avemo_jax.text import count_of

FILES = ("predictions.json", "predictions.csv")
_WRITE_EVERY_S = 5.0
_LABELS = {"acted": "acted emotions", "crowd": "emotions as raters judged them", "found": "emotions as the source of the media names them"}


def predict(
    experiment: Experiment, files: Sequence[str], recordings: Recordings, *, output: Path | None = None
) -> list[RecordingPrediction]:
    """Predict media files, print the predictions, write predictions.json and predictions.csv, and return the predictions.

    Args:
      experiment: config of a finished run, or of a model folder. Views may have another `segment_s` than in training: shorter segments
        give a finer timeline.
      files: media files; a file that cannot be decoded is reported, and the others are still predicted.
      recordings: source of the views.
      output: folder for the two files; default: `predict` in the run directory, runs/predict-NAME for a model folder of that name; with
        a number at its end from the second call on.

    The files are written as predictions come, so a call that is stopped leaves those that it has made.

    Raises:
      ValueError: no files.
      FileExistsError: `output` has the predictions of an earlier call.
      FileNotFoundError, ConfigMismatch: there is no finished run of this config.
    """
    if not files:
        raise ValueError("no files to predict; name media with --input=clip.mp4 (may be repeated)")
    set_up_backend(experiment, encodes=encodes(experiment))
    features = LiveFeatures(experiment, recordings)
    ensemble = load_ensemble(experiment, features.steps, recordings.segment_s, recordings.step_s)
    rule = experiment.system.segment_rule
    source = trained_on(experiment.corpus.name, experiment.corpus.label_target)
    output = new_folder(_default_output(experiment.run_directory)) if output is None else Path(output)
    output.mkdir(parents=True, exist_ok=True)
    if taken := [name for name in FILES if (output / name).exists()]:
        raise FileExistsError(f"{output / taken[0]} has the predictions of an earlier call; name another folder with --output")
    found: list[RecordingPrediction] = []
    facts = {
        "run": str(experiment.run_directory),
        "system": experiment.system.name,
        "protocol": experiment.protocol.name,
        "label_set": experiment.corpus.label_set,
        "num_models": ensemble.num_members,
        "trained_on": source,
        "classes": list(ensemble.classes),
        **({"dimensions": list(ensemble.dimensions)} if ensemble.dimensions else {}),
    }

    def write() -> None:
        write_json(output / FILES[0], facts | {"files": [as_json(one, ensemble.classes, rule) for one in found]})
        write_csv(output / FILES[1], found, ensemble.classes, rule, ensemble.dimensions)

    written_s = -math.inf
    try:
        for file in files:
            found.append(_predict_file(file, features, ensemble))
            print(format_prediction(found[-1], ensemble.classes, rule, source), flush=True)
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
        f"{count_of(ensemble.num_members, 'model')} predicted {num_predicted} of {count_of(len(found), 'file')}: "
        + ", ".join(str(output / name) for name in FILES)
    )
    return found


def _default_output(folder: Path) -> Path:
    """Return the folder of predictions of a run directory or model folder; nothing is written into a model folder."""
    return Path("runs") / f"predict-{folder.resolve().name}" if is_model_folder(folder) else folder / "predict"


def new_folder(path: Path) -> Path:
    """Return the path, or with a number at its end, path-2, path-3, ..., where it exists already."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not one.exists())


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


def _predict_file(file: str, features: LiveFeatures, ensemble: Ensemble) -> RecordingPrediction:
    absent: dict[str, list[str]] = {}
    streams, problems = features.open(Path(file), absent)
    predicted = tqdm(ensemble.predict(streams), desc=as_plain(Path(file).name), unit="segment", leave=False, disable=None)
    segments = [
        dataclasses.replace(segment, absent={stream: own[number] for stream, own in absent.items() if number < len(own) and own[number]})
        for number, segment in enumerate(predicted)
    ]
    # Several streams may report the same damage.
    return RecordingPrediction(file, tuple(segments), tuple(dict.fromkeys(problems)))
