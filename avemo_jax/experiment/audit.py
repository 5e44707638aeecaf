"""The leak audit of a run: of its plan before training, and of its predictions afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from avemo_jax.config import OnnxSettings
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.predictions import PredictionSource
from avemo_jax.experiment.encoder_table import is_published
from avemo_jax.experiment.fit_probes import plan_fits
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.sources import RANDOM, used_encoders
from avemo_jax.models.encoders import find_encoder
from avemo_jax.pretrained.assets import PUBLISHED
from avemo_jax.protocols.audit.facts import (
    EncoderUse,
    FitUse,
    StackUse,
    audit_columns,
    audit_encoders,
    audit_fits,
    audit_groups,
    audit_lost,
    audit_part_columns,
    audit_stacks,
    find_part_columns,
)
from avemo_jax.protocols.audit.findings import Finding, check_allowed, mark_allowed, media_not_compared, worst_first
from avemo_jax.protocols.audit.folds_audit import audit_folds, items_of
from avemo_jax.protocols.audit.predictions import PredictedTrial, audit_predictions
from avemo_jax.protocols.folds import FoldTable
from avemo_jax.runs.run_directory import RunDirectory


def audit(plan: GridPlan, prepared: PreparedCorpus) -> list[Finding]:
    """Return the findings of the leak audit before training, the worst first; `findings.refuse` stops a run because of them.

    Raises:
      ValueError: protocol.allow_leaks names a finding that cannot be allowed.
    """
    check_allowed(plan.experiment.protocol.allow_leaks)  # first, because the audit takes long
    used = {clip.clip_id for clip in plan.clips}
    lost = {clip: one.kind for found in prepared.sets.values() for clip, one in found.damage.items() if clip in used}
    items = items_of(plan.clips)
    columns = tuple(prepared.table_columns.values())
    telling = [{name: what for one in columns for name, what in find_part_columns(table, one).items()} for table in plan.folds.tables]
    kept = {name for one in columns for name in one.kept}
    of_folds = [
        finding
        for table, found in zip(plan.folds.tables, telling, strict=True)
        for finding in _with_severity(
            plan,
            [
                *audit_groups(table),
                *audit_part_columns({name: what for name, what in found.items() if name not in kept}),
                *audit_folds(
                    table.folds,
                    items,
                    each_once=table.each_clip_once,
                    leaves_out=bool(table.crossed_with),
                    shared_media=prepared.shared_media,
                ),
            ],
            table,
        )
    ]
    findings = [
        *audit_stacks(stack_uses(plan)),
        *audit_encoders(encoder_uses(plan), {clip.corpus for clip in plan.clips}),
        *audit_fits(plan_fits(plan, prepared)),
        *audit_columns(
            {name: what for one in columns for name, what in one.allowed.items()}
            | {name: what for found in telling for name, what in found.items() if name in kept}
        ),
        *audit_lost(plan.folds.folds, lost),
        *media_not_compared({clip: why for clip, why in prepared.not_compared.items() if clip in used and clip not in lost}),
    ]
    if plan.experiment.protocol.select == "test":
        findings.append(Finding("selected_on_test", "epochs and settings are chosen on the test part, as protocol.select asks"))
    if normalized := [name for name, stream in plan.experiment.streams_in_use.items() if stream.per_speaker]:
        detail = f"{' and '.join(normalized)} of each speaker: z-scored with all clips of the speaker, those of the test part too"
        findings.append(Finding("transductive", detail))
    return worst_first([*of_folds, *_with_severity(plan, findings)])


def audit_results(
    plan: GridPlan, predictions: PredictionSource, fits: Sequence[FitUse] = (), *, table: FoldTable | None = None
) -> list[Finding]:
    """Return the findings of the leak audit in predictions: rows that are missing, duplicate or outside the folds, and wrong labels.

    Args:
      table: fold table of the predictions, where the plan has several protocols.
      fits: everything that was fitted on the outputs of trained networks, from `fit_probes.late_fits`.
    """
    classes, table = plan.blueprint.labels.classes, table or plan.folds

    def rows_of(trial: tuple[int, str]) -> PredictedTrial:
        part = predictions.part(*trial)
        return PredictedTrial(trial[1], trial[0], part.clip.tolist(), [part.classes[index] for index in part.label.tolist()])

    found = audit_predictions(
        table.folds,
        {clip.clip_id: classes[index] for clip, index in zip(plan.clips, plan.classes, strict=True)},
        classes,
        plan.experiment.train.seeds,
        trials=map(rows_of, predictions.trials),
        predicted_classes=predictions.classes,
    )
    return _with_severity(plan, [*found, *audit_fits(fits)], table)


def _with_severity(plan: GridPlan, findings: Sequence[Finding], table: FoldTable | None = None) -> list[Finding]:
    """Return findings about one protocol, or about all, with their severity and what allows them."""
    allow = plan.experiment.protocol.allow_leaks
    if table is None:
        return mark_allowed(findings, allow=allow)
    named = [dataclasses.replace(finding, protocol=table.protocol) for finding in findings] if plan.folds.joined else findings
    return mark_allowed(named, allow=allow, implied=table.implies, protocol=table.protocol)


def write_audit(run: RunDirectory, findings: Sequence[Finding]) -> None:
    """Write audit.json."""
    run.write_json("audit.json", [finding.as_dict() for finding in findings])


def stack_uses(plan: GridPlan) -> Iterator[StackUse]:
    """Yield, fold by fold, each stage that is fitted on the outputs of an earlier one, with the training clips of both."""
    for stage in plan.stages:
        if stage.part not in ("stack", "inner"):
            continue
        for base in (one for one in plan.stages if one.name in stage.takes_over):
            for number, fold in enumerate(plan.folds.folds):
                trials = [trial for trial in plan.grid.trials_of(base) if trial.fold == number]
                if stage.part == "stack":
                    yield StackUse(
                        fold.name, base.name, stage.name, plan.part_clips(base, trials[0])[0], plan.part_clips(stage, trials[0])[0]
                    )
                else:
                    inner = {trial.inner: frozenset(plan.part_clips(base, trial)[0]) for trial in trials if trial.inner >= 0}
                    trained_on = {clip: inner[index] for index, clips in enumerate(plan.inner[number]) for clip in clips}
                    yield StackUse(fold.name, base.name, stage.name, trained_on, tuple(trained_on))


def encoder_uses(plan: GridPlan) -> Iterator[EncoderUse]:
    """Yield every encoder with pretrained weights and the corpora that it was trained on: None where they are unknown."""
    for name in used_encoders(plan.experiment):
        settings = plan.experiment.encoders[name]
        weights = settings.weights
        if isinstance(settings, OnnxSettings):
            yield EncoderUse(f"{name} ({weights})", settings.trained_on or None)
        elif weights == PUBLISHED:
            yield EncoderUse(name, find_encoder(name).trained_on)
        elif weights != RANDOM:
            record = find_encoder(name)
            yield EncoderUse(f"{name} ({weights})", record.trained_on if is_published(record.weights, weights) else None)
