"""The mode `predict`: emotions of new recordings, predicted by the ensemble of all networks of a finished run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from avemo_jax.atomic import write_json
from avemo_jax.config import Experiment
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.live_features import LiveFeatures, Recordings, encodes
from avemo_jax.inference.recording import RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.terminal import as_plain
from avemo_jax.text import count_of

SAVE_EVERY_S = 10.0  # so that a killed process loses little, and thousands of files are not written anew for each one


def predict(
    experiment: Experiment, files: Sequence[str], recordings: Recordings, *, output: Path | None = None
) -> list[RecordingPrediction]:
    """Predict media files, print the predictions, write predictions.json and predictions.csv, and return the predictions.

    Args:
      experiment: config of a finished run. Views may have another `segment_s` than in training: shorter segments give a finer timeline.
      files: media files; a file that cannot be decoded is reported, and the others are still predicted.
      recordings: source of the views.
      output: folder for the two files; default: `predict` in the run directory. They are written every `SAVE_EVERY_S` and at the end,
        also where a stop or an error ends the call.

    Raises:
      ValueError: no files.
      FileNotFoundError, ConfigMismatch: there is no finished run of this config.
    """
    if not files:
        raise ValueError("no files to predict; name media files with --input=clip.mp4,other.wav")
    set_up_backend(experiment, encodes=encodes(experiment))
    features = LiveFeatures(experiment, recordings)
    ensemble = load_ensemble(experiment, features.steps, recordings.segment_s, recordings.step_s)
    rule = experiment.system.segment_rule
    output = experiment.run_directory / "predict" if output is None else Path(output)
    output.mkdir(parents=True, exist_ok=True)
    facts = {
        "run": str(experiment.run_directory),
        "system": experiment.system.name,
        "protocol": experiment.protocol.name,
        "label_set": experiment.corpus.label_set,
        "num_models": ensemble.num_members,
        "classes": list(ensemble.classes),
    }
    found: list[RecordingPrediction] = []

    def save() -> None:
        write_json(output / "predictions.json", facts | {"files": [as_json(one, ensemble.classes, rule) for one in found]})
        write_csv(output / "predictions.csv", found, ensemble.classes, rule)

    saved_s = time.monotonic()
    try:
        for file in files:
            streams, problems = features.open(Path(file))
            name = as_plain(Path(file).name)
            segments = tuple(tqdm(ensemble.predict(streams), desc=name, unit="segment", leave=False, disable=None))
            problems = list(dict.fromkeys(problems))  # several streams may report the same damage
            found.append(RecordingPrediction(file, segments, tuple(problems)))
            print(format_prediction(found[-1], ensemble.classes, rule))
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                save()
                saved_s = time.monotonic()
    finally:  # a stop or an error ends the call, and what was predicted before stays
        save()
        if len(found) < len(files):
            print(f"{len(found)} of {len(files)} files were predicted before the end: {output / 'predictions.json'}")
    num_predicted = sum(bool(one.segments) for one in found)
    print(
        f"{count_of(ensemble.num_members, 'model')} predicted {num_predicted} of {count_of(len(found), 'file')}: "
        f"{output / 'predictions.json'}, {output / 'predictions.csv'}"
    )
    return found
