"""The mode `predict`: a finished run judges new recordings, all its fold models together."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from tqdm import tqdm

from avemo_jax.atomic import atomic_file, write_json
from avemo_jax.data.prepared import Damage
from avemo_jax.data.resident import ResidentSet
from avemo_jax.evaluation.results import PROBABILITY_DIGITS
from avemo_jax.experiment.plan import Config, Plan
from avemo_jax.experiment.predictions import chosen_trials
from avemo_jax.experiment.run import set_up_backend
from avemo_jax.inference.predict import Ensemble, Member, Segment, SegmentPrediction, clip_probabilities
from avemo_jax.inference.timeline import Span, format_timeline, spans
from avemo_jax.labels import label_set
from avemo_jax.protocols.folds import FoldTable
from avemo_jax.training.checkpoints import Checkpoints
from avemo_jax.training.grid import make_inputs, make_stages, make_trials
from avemo_jax.training.run_directory import ConfigMismatch, compare_configs, default_workdir
from avemo_jax.training.steps import init_trial


class Recordings(Protocol):
    """Whoever turns media files into the views of a system."""

    views: Mapping[str, tuple[tuple[int, ...], str]]  # stream -> (step_shape, dtype)
    segment_s: float

    def open(self, path: Path) -> tuple[Mapping[str, Iterable[Segment]], list[Damage]]:
        """Streams of a file, and a list that fills with what is wrong with it while they are read."""


@dataclasses.dataclass(frozen=True)
class RecordingPrediction:
    """What a run says of one media file.

    Attributes:
      file: as it was asked for.
      segments: none where nothing could be decoded.
      problems: what is wrong with the file.
    """

    file: str
    segments: tuple[SegmentPrediction, ...]
    problems: tuple[Damage, ...]


def predict(config: Config, files: Sequence[str], recordings: Recordings, *, output: Path | None = None) -> list[RecordingPrediction]:
    """Judge media files, print what is found, and write predictions.json and predictions.csv.

    Args:
      config: of a finished run. Views may have another `segment_s` than in training: shorter segments give a finer timeline.
      files: media files; one that cannot be decoded is reported and costs the others nothing.
      recordings: makes the views.
      output: folder for the two files; default: `predict` in the run directory.

    Raises:
      ValueError: no files.
      FileNotFoundError, ConfigMismatch: there is no finished run of this config.
    """
    if not files:
        raise ValueError("nothing to predict; name media files with --input=clip.mp4,other.wav")
    set_up_backend(config)
    workdir = default_workdir(config)
    ensemble = load_ensemble(config, workdir, recordings)
    found = []
    for file in files:
        streams, problems = recordings.open(Path(file))
        segments = tuple(tqdm(ensemble.predict(streams), desc=Path(file).name, unit="segment", leave=False, disable=None))
        problems = list(dict.fromkeys(problems))  # both streams may have met the same one
        found.append(RecordingPrediction(file, segments, tuple(problems)))
        print(format_prediction(found[-1], ensemble.classes))
    output = workdir / "predict" if output is None else Path(output)
    output.mkdir(parents=True, exist_ok=True)
    facts = {
        "run": str(workdir),
        "system": config["system"]["name"],
        "protocol": config["protocol"]["name"],
        "label_set": config["corpus"]["label_set"],
        "num_models": ensemble.num_members,
        "classes": list(ensemble.classes),
    }
    write_json(output / "predictions.json", facts | {"files": [_as_json(one, ensemble.classes) for one in found]})
    write_csv(output / "predictions.csv", found, ensemble.classes)
    print(f"{ensemble.num_members} models judged {len(found)} files: {output / 'predictions.json'}, {output / 'predictions.csv'}")
    return found


def load_ensemble(config: Config, workdir: Path, recordings: Recordings) -> Ensemble:
    """Restore the last stage of a finished run; of several hyper-parameter settings the one chosen on validation.

    Raises:
      FileNotFoundError: the directory has no finished training.
      ConfigMismatch: it holds a run of another config.
      DamagedCheckpoint: no checkpoint is whole.
    """
    again = f"train it first: python run.py --config=... --mode=train (looked in {workdir})"
    if not (workdir / "run.json").is_file():
        raise FileNotFoundError(f"no run in {workdir}; {again}")
    stored = json.loads((workdir / "config.json").read_text())
    given = json.loads(json.dumps(config))
    for name, params in given["views"].items():
        if "segment_s" in params:
            params["segment_s"] = stored["views"].get(name, params).get("segment_s")
    if differences := compare_configs(stored, given):
        raise ConfigMismatch(f"{workdir} holds a run of another config:\n  " + "\n  ".join(differences))
    plan = _plan_without_corpus(config, recordings, num_trials=json.loads((workdir / "run.json").read_text())["num_trials"])
    stage = plan.stages[-1]
    inputs = make_inputs(plan.trials[:1], [(np.zeros(2, np.int32), np.zeros(1, np.int32))])
    nothing: dict[str, Any] = {"params": {}, "batch_stats": {}}
    start = functools.partial(init_trial, plan.net(stage), plan.recipe(stage))
    shape = jax.eval_shape(start, dict(plan.data.only(stage.streams).arrays), inputs[0], nothing)
    restored = Checkpoints(workdir / "checkpoints" / stage.name, keep=1, warn=print).restore([shape] * len(plan.trials))
    if restored is None or restored[0] < config["train"]["num_epochs"]:
        raise FileNotFoundError(f"training in {workdir} has not finished; {again}")
    states = [restored[1][position] for position in chosen_trials(plan.trials, restored[1])]
    members = [
        Member({"params": state.best.params, "batch_stats": state.best.batch_stats}, state.scaler)
        for state in states
        if state.best.epoch >= 0  # a trial that failed in its first epoch has learnt nothing
    ]
    if not members:
        raise FileNotFoundError(f"no trial of the run in {workdir} has learnt anything; look at its metrics.jsonl, and {again}")
    return Ensemble(
        plan.net(stage),
        members,
        classes=plan.labels.classes,
        views=recordings.views,
        segment_s=recordings.segment_s,
        num_cepstra=plan.recipe(stage).num_cepstra,
    )


def _plan_without_corpus(config: Config, recordings: Recordings, *, num_trials: int) -> Plan:
    """The plan of a run as far as shapes go: its network, recipe and trials, and one example of one step in place of the corpus."""
    train, system = config["train"], config["system"]
    labels = label_set(config["corpus"]["label_set"])
    swept = {name: tuple(values) for name, values in config["sweep"].items()}
    num_settings = int(np.prod([len(values) for values in swept.values() if values], dtype=int))
    arrays: dict[str, np.ndarray] = {"label": np.zeros(1, np.int32), "clip": np.zeros(1, np.int32), "usable": np.ones(1, bool)}
    for stream, (step_shape, dtype) in recordings.views.items():
        arrays |= {stream: np.zeros((1, 1, *step_shape), dtype), f"{stream}_mask": np.ones((1, 1), bool)}
    times = {stream: np.zeros((1, 1), np.float32) for stream in recordings.views}
    trials = make_trials(
        num_folds=num_trials // (len(train["seeds"]) * num_settings),
        seeds=train["seeds"],
        hyper={name: train[name] for name in swept},
        sweep=swept,
    )
    return Plan(
        config=config,
        labels=labels,
        clips=(),
        classes=(),
        folds=FoldTable(protocol=config["protocol"]["name"], folds=(), groups_by="", note=""),
        data=ResidentSet(("",), arrays, times),
        stages=make_stages(train["stages"], system["streams"], freeze_earlier=train["freeze_earlier"]),
        trials=tuple(trials),
        num_undecodable=0,
        num_without_face=0,
    )


def format_prediction(prediction: RecordingPrediction, classes: Sequence[str]) -> str:
    """What the terminal shows of one file: its label, all probabilities, the timeline, what is wrong with it."""
    lines = [prediction.file]
    if prediction.segments:
        mean = clip_probabilities(prediction.segments)
        order = np.argsort(-mean, kind="stable")
        lines.append(f"  {classes[order[0]]}   ({', '.join(f'{classes[i]} {mean[i]:.2f}' for i in order)})")
        if len(prediction.segments) > 1:
            lines += [f"  {line}" for line in format_timeline(spans(prediction.segments, classes)).splitlines()]
    else:
        lines.append("  no prediction")
    return "\n".join([*lines, *(f"  {problem.kind}: {problem.detail}" for problem in prediction.problems)])


def write_csv(path: Path, predictions: Sequence[RecordingPrediction], classes: Sequence[str]) -> None:
    """Write file,segment,start_s,end_s,predicted,problem,p_<class>...: a row a file, its segment empty, then one a segment."""
    with atomic_file(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "segment", "start_s", "end_s", "predicted", "problem", *(f"p_{name}" for name in classes)])
        for one in predictions:
            problem = "; ".join(f"{damage.kind}: {damage.detail}" for damage in one.problems)
            if not one.segments:
                writer.writerow([one.file, "", "", "", "", problem, *("" for _ in classes)])
                continue
            whole = SegmentPrediction(one.segments[0].start_s, one.segments[-1].end_s, clip_probabilities(one.segments))
            for number, segment in [("", whole), *enumerate(one.segments)]:
                times = [f"{segment.start_s:.3f}", f"{segment.end_s:.3f}"]
                predicted = classes[int(np.argmax(segment.probabilities))]
                values = [f"{value:.{PROBABILITY_DIGITS}f}" for value in segment.probabilities]
                writer.writerow([one.file, number, *times, predicted, problem if number == "" else "", *values])


def _as_json(prediction: RecordingPrediction, classes: Sequence[str]) -> dict[str, Any]:
    problems = [dataclasses.asdict(problem) for problem in prediction.problems]
    if not prediction.segments:
        return {"file": prediction.file, "predicted": None, "problems": problems}
    return {
        "file": prediction.file,
        **_judgement(clip_probabilities(prediction.segments), classes),
        "segments": [
            {**_span(segment), **_judgement(segment.probabilities, classes), "without": segment.without} for segment in prediction.segments
        ],
        "timeline": [
            {**_span(span), "label": span.label, "probability": round(span.probability, PROBABILITY_DIGITS)}
            for span in spans(prediction.segments, classes)
        ],
        "problems": problems,
    }


def _span(one: SegmentPrediction | Span) -> dict[str, float]:
    return {"start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3)}


def _judgement(probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    rounded = {name: round(float(value), PROBABILITY_DIGITS) for name, value in zip(classes, probabilities, strict=True)}
    return {"predicted": classes[int(np.argmax(probabilities))], "probabilities": rounded}
