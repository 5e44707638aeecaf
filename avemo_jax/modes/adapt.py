"""The mode `adapt`: a finished run is given unlabelled clips of each test speaker, or a few labelled ones, and tested on other clips.

These are protocols of their own: every number names what was given, and the run's own results stay as they are.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.config import Experiment
from avemo_jax.csv_files import write_rows
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.metrics import confusion, primary_metrics
from avemo_jax.evaluation.paired import paired_bootstrap
from avemo_jax.evaluation.predictions import PROBABILITY_DIGITS
from avemo_jax.evaluation.results import MetricSummary
from avemo_jax.evaluation.statistics import speaker_bootstrap
from avemo_jax.experiment.adapting import AdaptedRows, Condition, adapt
from avemo_jax.experiment.classical_stage import statistics_with_copies
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.predictions import chosen_trials
from avemo_jax.experiment.speaker_models import ProbabilitySource, RidgeSource, SpeakerSource, with_own_statistics
from avemo_jax.experiment.stages import restore_last
from avemo_jax.experiment.stored_classifiers import read_classifiers
from avemo_jax.modes.finished import facts_of, finished_run
from avemo_jax.protocols.folds import FoldTable
from avemo_jax.reporting.adaptation_panel import adaptation_charts, adaptation_table
from avemo_jax.reporting.report import read_results, write_report
from avemo_jax.reporting.svg_file import svg_file
from avemo_jax.reporting.tables import table_text
from avemo_jax.runs.run_directory import RunDirectory
from avemo_jax.training.machines import KERNELS

LOG = logging.getLogger(__name__)


def adapt_run(experiment: Experiment, prepared: PreparedCorpus) -> dict[str, Any]:
    """Measure a finished run with its test speakers' own statistics and labelled clips; write adaptation.json, predictions and the report.

    Returns:
      The content of adaptation.json: facts of the run, and `conditions` with one entry each: the protocol's name, its findings, metrics
      with intervals over speakers, their paired difference from the run without adaptation on the same clips, and the chosen weights.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: a run without classes, of a protocol that shares speakers, or without validation part; or a clip without a speaker.
    """
    settings = experiment.adaptation
    settings = dataclasses.replace(settings, num_labelled=tuple(sorted({0, *settings.num_labelled})))
    with finished_run(experiment, prepared, does="--mode=adapt adapts") as (run, plan):
        table, folds = plan.folds.spans()[-1]
        _check(plan, table)
        positions, sources, machine, left_out = _sources(plan, run, folds)
        shared = {clip for one in prepared.shared_media or () for clip in (one.first, one.second)}
        reason = _why_no_other_sentences(plan, table)
        left_out += [reason] if reason else []
        conditions = []
        for other_sentences in (False,) if reason else (False, True):
            baseline = None
            of_all = adapt(plan, sources, positions, settings, always_tested=frozenset(shared), other_sentences=other_sentences)
            for condition, rows in of_all:
                sums = _speaker_sums(plan, rows)
                baseline = sums if baseline is None else baseline
                conditions.append(_entry(plan, table, condition, rows, sums, baseline))
                _write_predictions(run, plan, conditions[-1]["protocol"], condition, rows)
        panel: dict[str, Any] = to_json(
            facts_of(read_results(run.path))
            | {
                "classes": list(plan.blueprint.labels.classes),
                "settings": dataclasses.asdict(settings),
                "machine": machine,
                "num_speakers": len(conditions[0]["per_speaker"]),
                "conditions": conditions,
                "left_out": left_out,
            }
        )
        run.write_json("adaptation.json", panel)
        for chart in adaptation_charts(panel):
            with atomic_file(run.path / f"{chart['name']}.svg") as stream:
                stream.write(svg_file(chart["svg"]))
        write_report(run.path)
    for one in left_out:
        print(f"left out: {one}")
    print(table_text(adaptation_table(panel)))
    print(f"report: {experiment.run_directory / 'report.html'}; curves: {experiment.run_directory / 'adaptation.svg'}")
    return panel


def _check(plan: GridPlan, table: FoldTable) -> None:
    if not table.speaker_independent:
        raise ValueError(
            f"--mode=adapt adapts to new speakers, and {table.protocol} trains on the speakers that it tests; name the run of a protocol "
            "that separates speakers, such as --config.protocol.name=speaker_k"
        )
    if plan.trains_on_validation:
        raise ValueError(
            f"--mode=adapt chooses the weight of labelled clips on speakers that were not trained on, and protocol.select="
            f"{plan.experiment.protocol.select} trains on all but the test part; name a run with --config.protocol.select=validation"
        )


def _why_no_other_sentences(plan: GridPlan, table: FoldTable) -> str:
    """Return why the tested sentences cannot be kept apart from those of labelled clips, "" where they can."""
    tested = {clip_id for fold in table.folds for clip_id in fold.test}
    said: dict[str, set[str]] = {}
    for clip in plan.clips:
        if clip.clip_id in tested:
            said.setdefault(clip.speaker, set()).add(clip.sentence)
    if any("" in sentences for sentences in said.values()):
        return "other sentences: the corpus does not say what is spoken in each clip"
    if single := sorted(speaker for speaker, sentences in said.items() if len(sentences) < 2):
        return f"other sentences: {len(single)} test speakers say a single one, the first is {single[0]}"
    return ""


def _sources(plan: GridPlan, run: RunDirectory, folds: Sequence[int]) -> tuple[list[int], list[tuple[bool, SpeakerSource]], str, list[str]]:
    """Return the trials to adapt, the machines without and with own statistics, what is adapted, and what is left out and why."""
    stage = plan.stages[-1]
    if stage.part not in KERNELS:
        outcome = restore_last(plan, run.path)
        positions = [position for position in chosen_trials(plan.trials, outcome.score) if plan.trials[position].fold in folds]
        reason = "own statistics: the system would have to be trained with them (--config.streams.NAME.per_speaker=True)"
        return positions, [(False, ProbabilitySource(plan, outcome))], "probabilities", [reason]
    found = statistics_with_copies(plan, stage)
    num_classes = plan.blueprint.num_classes
    classifiers = read_classifiers(run.path, stage, plan.trials, num_features=found.features.shape[1], num_classes=num_classes)
    first = {plan.trials[position].fold: position for position in reversed(range(len(plan.trials)))}  # a fold's are the same in all seeds
    positions = sorted(position for fold, position in first.items() if fold in folds)
    sources: list[tuple[bool, SpeakerSource]] = [(False, RidgeSource(plan, stage, found, classifiers))]
    if any(stream.per_speaker for stream in plan.experiment.streams_in_use.values()):
        return positions, sources, "ridge", ["own statistics: the run has them already (streams.NAME.per_speaker)"]
    return positions, [*sources, (True, with_own_statistics(plan, stage, found))], "ridge", []


def _speaker_sums(plan: GridPlan, rows: AdaptedRows) -> np.ndarray:
    """Return what each test speaker adds to the confusion of all seeds and draws, (G, K, K), in the order of the speakers' names."""
    speaker, label = np.asarray([plan.clips[clip].speaker for clip in rows.clip]), np.asarray(plan.classes)[rows.clip]
    predicted, num_classes = rows.probabilities.argmax(axis=1), plan.blueprint.num_classes
    return np.stack([confusion(label[speaker == one], predicted[speaker == one], num_classes) for one in np.unique(speaker)])


def _entry(
    plan: GridPlan, table: FoldTable, condition: Condition, rows: AdaptedRows, sums: np.ndarray, baseline: np.ndarray
) -> dict[str, Any]:
    label, predicted = np.asarray(plan.classes)[rows.clip], rows.probabilities.argmax(axis=1)
    num_classes = plan.blueprint.num_classes

    def counts_by(*keys: np.ndarray) -> list[np.ndarray]:
        _, group = np.unique(np.stack(keys), axis=1, return_inverse=True)
        return [confusion(label[group == one], predicted[group == one], num_classes) for one in range(group.max() + 1)]

    of_folds, of_draws = counts_by(rows.fold, rows.seed), counts_by(rows.draw)
    metrics, differences, of_speakers = {}, {}, {}
    for metric in primary_metrics():
        values = [float(metric.value(each)) for each in of_folds]
        metrics[metric.name] = to_json(
            MetricSummary(
                mean_of_folds=float(np.mean(values)),
                std_of_folds=float(np.std(values, ddof=1)) if len(values) > 1 else None,
                pooled=float(metric.value(sums.sum(axis=0))),
                ci95=speaker_bootstrap(sums, metric.value, scale=metric.scale),
            )
        ) | {"std_of_draws": float(np.std([metric.value(each) for each in of_draws], ddof=1)) if len(of_draws) > 1 else None}
        differences[metric.name] = None if sums is baseline else to_json(paired_bootstrap(sums, baseline, metric.value))
        of_speakers[metric.name] = [float(metric.value(each)) for each in sums]
    names = sorted({plan.clips[clip].speaker for clip in rows.clip})
    return {
        "protocol": condition.protocol(table.protocol),
        "num_labelled": condition.num_labelled,
        "own_statistics": condition.own_statistics,
        "other_sentences": condition.other_sentences,
        "findings": list(condition.findings),
        "labelled_clips": {
            "mean": float(rows.num_labelled.mean()),
            "lowest": int(rows.num_labelled.min()),
            "highest": int(rows.num_labelled.max()),
        },
        "num_tested": len(rows.clip) // len(np.unique(rows.seed)),
        "metrics": metrics,
        "difference": differences,
        "per_speaker": {name: {key: own[place] for key, own in of_speakers.items()} for place, name in enumerate(names)},
        "weights": [
            {"fold": plan.folds.folds[fold].name, "seed": int(seed), "weight": weight, "is_chosen": is_chosen}
            for (fold, seed), (weight, is_chosen) in rows.weights.items()
        ],
    }


def _write_predictions(run: RunDirectory, plan: GridPlan, protocol: str, condition: Condition, rows: AdaptedRows) -> Path:
    """Write the predictions of a condition as CSV; the column adapted_by keeps --mode=compare from taking them for those of the run."""
    folder = run.path / "adaptation"
    folder.mkdir(exist_ok=True)
    classes, path = plan.blueprint.labels.classes, folder / f"predictions-{protocol}.csv"
    header = ["clip", "speaker", "fold", "seed", "draw", "label", "predicted", *(f"p_{name}" for name in classes), "adapted_by"]
    given, label = " ".join(condition.findings), np.asarray(plan.classes)[rows.clip]
    lines = (
        [
            *(plan.clips[clip].clip_id, plan.clips[clip].speaker, plan.folds.folds[fold].name, seed, draw),
            *(classes[own], classes[int(values.argmax())], *(f"{value:.{PROBABILITY_DIGITS}f}" for value in values), given),
        ]
        for clip, fold, seed, draw, own, values in zip(rows.clip, rows.fold, rows.seed, rows.draw, label, rows.probabilities, strict=True)
    )
    with atomic_file(path) as stream:
        write_rows(stream, [header, *lines])
    return path
