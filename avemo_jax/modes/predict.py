"""The mode `predict`: a finished run judges new recordings, all its fold models together."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from avemo_jax.atomic import atomic_file, write_json
from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage
from avemo_jax.data.resident import ResidentSet
from avemo_jax.evaluation.predictions import PROBABILITY_DIGITS
from avemo_jax.experiment.live_features import LiveFeatures, Recordings, encodes
from avemo_jax.experiment.outcomes import LateOutcome, NetworkOutcome
from avemo_jax.experiment.plan import Config, Plan, stages_of, trials_of
from avemo_jax.experiment.predictions import chosen_trials
from avemo_jax.experiment.run import set_up_backend
from avemo_jax.experiment.searching import with_chosen
from avemo_jax.experiment.stages import restore_last
from avemo_jax.inference.predict import Ensemble, Judge, Member, SegmentPrediction, clip_probabilities
from avemo_jax.inference.timeline import Span, format_timeline, spans
from avemo_jax.labels import label_set
from avemo_jax.protocols.folds import Fold, FoldTable
from avemo_jax.runs.run_directory import ConfigMismatch, compare_configs, default_workdir


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
    set_up_backend(config, encodes=encodes(config))
    workdir = default_workdir(config)
    features = LiveFeatures(config, recordings)
    ensemble = load_ensemble(config, workdir, features.views, recordings.segment_s, recordings.step_s)
    rule = config["system"]["segment_rule"]
    found = []
    for file in files:
        streams, problems = features.open(Path(file))
        segments = tuple(tqdm(ensemble.predict(streams), desc=Path(file).name, unit="segment", leave=False, disable=None))
        problems = list(dict.fromkeys(problems))  # both streams may have met the same one
        found.append(RecordingPrediction(file, segments, tuple(problems)))
        print(format_prediction(found[-1], ensemble.classes, rule))
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
    write_json(output / "predictions.json", facts | {"files": [_as_json(one, ensemble.classes, rule) for one in found]})
    write_csv(output / "predictions.csv", found, ensemble.classes, rule)
    print(f"{ensemble.num_members} models judged {len(found)} files: {output / 'predictions.json'}, {output / 'predictions.csv'}")
    return found


def load_ensemble(
    config: Config, workdir: Path, views: Mapping[str, tuple[tuple[int, ...], str]], segment_s: float, step_s: float | None
) -> Ensemble:
    """Restore a finished run; of several hyper-parameter settings the one chosen on validation for each fold and seed.

    Args:
      views: stream -> (step_shape, dtype) of what its networks are given.
      segment_s, step_s: as in Ensemble.

    Raises:
      FileNotFoundError: the directory has no finished training.
      ConfigMismatch: it holds a run of another config.
      DamagedCheckpoint: no checkpoint is whole.
      ValueError: the run is of the classical system, whose machines are not kept.
    """
    again = f"train it first: python run.py --config=... --mode=train (looked in {workdir})"
    if not (workdir / "run.json").is_file():
        raise FileNotFoundError(f"no run in {workdir}; {again}")
    if differences := compare_configs(json.loads((workdir / "config.json").read_text()), _with_stored_lengths(config, workdir)):
        raise ConfigMismatch(f"{workdir} holds a run of another config:\n  " + "\n  ".join(differences))
    if config["system"]["speaker_normalized"]:
        raise ValueError(
            "a system with system.speaker_normalized judges a clip by all clips of its speaker, and a file alone does not bring them; "
            "predict with a system that has none"
        )
    trained = json.loads((workdir / "run.json").read_text())
    plan = _plan_without_corpus(config, views, num_trials=trained["num_trials"], num_steps=trained["num_steps"])
    plan = with_chosen(plan, workdir)
    last = plan.stages[-1]
    if last.part == "svm":
        raise ValueError(
            f"the machines of {config['system']['name']} are fitted anew where they are wanted and are not kept; predict with a network"
        )
    outcome = restore_last(plan, workdir)
    networks: Sequence[NetworkOutcome] = []
    if isinstance(outcome, LateOutcome):
        networks = outcome.earlier
    elif isinstance(outcome, NetworkOutcome):
        networks = [outcome]
    judges = []
    for position in chosen_trials(plan.trials, outcome.score):
        states = [one.states[position] for one in networks]
        if any(state.best.epoch < 0 for state in states):
            continue  # a trial that failed in its first epoch has learnt nothing
        members = [
            Member(
                plan.net(one.stage, plan.trials[position]),
                {"params": state.best.params, "batch_stats": state.best.batch_stats},
                state.scaler,
                plan.recipe(one.stage, plan.trials[position]).num_cepstra,
            )
            for one, state in zip(networks, states, strict=True)
        ]
        judges.append(Judge(members, outcome.joiners[position].join) if isinstance(outcome, LateOutcome) else Judge(members))
    if not judges:
        raise FileNotFoundError(f"no trial of the run in {workdir} has learnt anything; look at its metrics.jsonl, and {again}")
    return Ensemble(judges, classes=plan.labels.classes, views=views, segment_s=segment_s, step_s=step_s)


def _with_stored_lengths(config: Config, workdir: Path) -> Config:
    """The config as plain values, segments as long as they were in training: shorter ones give a finer timeline and change no network."""
    stored = json.loads((workdir / "config.json").read_text())
    given = json.loads(json.dumps(config))
    for name, params in given["views"].items():
        if "segment_s" in params:
            params["segment_s"] = stored["views"].get(name, params).get("segment_s")
    return given


def _plan_without_corpus(
    config: Config, views: Mapping[str, tuple[tuple[int, ...], str]], *, num_trials: int, num_steps: Mapping[str, int]
) -> Plan:
    """The plan of a run as far as shapes go: its networks, recipes and trials, and a few examples of nothing in place of the corpus."""
    num_seeds_and_settings = len(trials_of(config, 1))
    num_folds = num_trials // num_seeds_and_settings
    stages = stages_of(config)
    num_inner = config["late"]["num_inner_folds"] if any(stage.part == "inner" for stage in stages) else 0
    # One clip of each part, and of the validation part as many as stacking divides.
    names = ("train", *(f"inner{index}" for index in range(num_inner)), *(f"validation{index}" for index in range(10)), "test")
    clips = tuple(Clip(clip_id=name, corpus="live", label="", speaker=name) for name in names)
    rows = np.arange(len(names))
    arrays: dict[str, np.ndarray] = {
        "label": np.zeros(len(names), np.int32),
        "clip": rows.astype(np.int32),
        "usable": np.ones(len(names), bool),
    }
    for stream, (step_shape, dtype) in views.items():
        # One step will do for shapes, but where each step has statistics of its own.
        shape = (len(names), num_steps[stream] if config["model"][stream]["standardize"] == "steps" else 1)
        arrays |= {stream: np.zeros((*shape, *step_shape), dtype), f"{stream}_mask": np.ones(shape, bool)}
    times = {stream: np.zeros(arrays[f"{stream}_mask"].shape, np.float32) for stream in views}
    training = tuple(name for name in names if not name.startswith(("validation", "test")))
    validation = tuple(name for name in names if name.startswith("validation"))
    return Plan(
        config=config,
        labels=label_set(config["corpus"]["label_set"]),
        clips=clips,
        classes=(0,) * len(names),
        folds=FoldTable(config["protocol"]["name"], (Fold("fold", training, validation, ("test",)),) * num_folds, groups_by="", note=""),
        data=ResidentSet(names, arrays, times),
        stages=stages,
        trials=tuple(trials_of(config, num_folds)),
        num_undecodable=0,
        num_without_face=0,
        inner=tuple(tuple((f"inner{index}",) for index in range(num_inner)) for _ in range(num_folds)) if num_inner else (),
    )


def format_prediction(prediction: RecordingPrediction, classes: Sequence[str], rule: str = "mean") -> str:
    """What the terminal shows of one file: its label, all probabilities, the timeline, what is wrong with it."""
    lines = [prediction.file]
    if prediction.segments:
        mean = clip_probabilities(prediction.segments, rule)
        order = np.argsort(-mean, kind="stable")
        lines.append(f"  {classes[order[0]]}   ({', '.join(f'{classes[i]} {mean[i]:.2f}' for i in order)})")
        if len(prediction.segments) > 1:
            lines += [f"  {line}" for line in format_timeline(spans(prediction.segments, classes)).splitlines()]
    else:
        lines.append("  no prediction")
    return "\n".join([*lines, *(f"  {problem.kind}: {problem.detail}" for problem in prediction.problems)])


def write_csv(path: Path, predictions: Sequence[RecordingPrediction], classes: Sequence[str], rule: str = "mean") -> None:
    """Write file,segment,start_s,end_s,predicted,problem,p_<class>...: a row a file, its segment empty, then one a segment."""
    with atomic_file(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "segment", "start_s", "end_s", "predicted", "problem", *(f"p_{name}" for name in classes)])
        for one in predictions:
            problem = "; ".join(f"{damage.kind}: {damage.detail}" for damage in one.problems)
            if not one.segments:
                writer.writerow([one.file, "", "", "", "", problem, *("" for _ in classes)])
                continue
            whole = SegmentPrediction(one.segments[0].start_s, one.segments[-1].end_s, clip_probabilities(one.segments, rule))
            for number, segment in [("", whole), *enumerate(one.segments)]:
                times = [f"{segment.start_s:.3f}", f"{segment.end_s:.3f}"]
                predicted = classes[int(np.argmax(segment.probabilities))]
                values = [f"{value:.{PROBABILITY_DIGITS}f}" for value in segment.probabilities]
                writer.writerow([one.file, number, *times, predicted, problem if number == "" else "", *values])


def _as_json(prediction: RecordingPrediction, classes: Sequence[str], rule: str) -> dict[str, Any]:
    problems = [dataclasses.asdict(problem) for problem in prediction.problems]
    if not prediction.segments:
        return {"file": prediction.file, "predicted": None, "problems": problems}
    return {
        "file": prediction.file,
        **_judgement(clip_probabilities(prediction.segments, rule), classes),
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
