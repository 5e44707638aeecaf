"""Probes for leaks in everything that a run fits: clips outside the training part are changed, and the fit must not change.

A few examples of each part suffice, since a fit depends on the same parts whatever their size. The probes call the same functions as the
run itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.data.feed import Feed
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.baseline import MACHINE, functionals_of, is_of_functionals
from avemo_jax.experiment.classical_stage import statistics_of
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import LateOutcome, NetworkOutcome, fit_late
from avemo_jax.protocols.audit.facts import FitUse
from avemo_jax.protocols.audit.fits import Arrays, changed_by
from avemo_jax.training.machines import fit_classical
from avemo_jax.training.programs import fit_scalers
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial

_EXAMPLES_A_PART = 48
_LARGEST_BYTES = 8 << 20  # of the examples that are copied and changed together
_CLIPS_A_CLASS = 6


def plan_fits(plan: GridPlan, prepared: PreparedCorpus) -> Iterator[FitUse]:
    """Yield the probes of everything that is fitted on views: the scalers of every stage and fold, the classical system, the baseline."""
    firsts: dict[int, Trial] = {}
    for trial in plan.trials:
        firsts.setdefault(trial.fold, trial)
    for stage in plan.stages:
        if stage.is_classical:
            found = statistics_of(plan.experiment, plan.data, stage)
            what = f"the classifier of stage {stage.name}"
            yield _probe_classical(plan, stage.part, what, found.features, found.usable, found.clip, found.widths)
        elif stage.part != "inner":
            for trial in firsts.values():
                use = _probe_scalers(plan, stage, trial)
                if use is not None:
                    yield use
    if prepared.functionals is not None and not is_of_functionals(plan):
        features, usable = functionals_of(plan, prepared.functionals)
        yield _probe_classical(plan, MACHINE, "the classical baseline", features, usable, np.arange(len(plan.clips)))


def late_fits(plan: GridPlan, outcome: LateOutcome) -> Iterator[FitUse]:
    """Yield the probes of late fusion: its weights, fitted again with changed probabilities of every test clip."""
    reversed_outcomes: list[Any] = [_ReversedOnTest(plan, one) for one in outcome.earlier]
    again = fit_late(plan, outcome.stage, reversed_outcomes)
    for fold, part in enumerate(plan.folds.folds):
        own = [position for position, trial in enumerate(plan.trials) if trial.fold == fold]
        changed = [position for position in own if again.joiners[position].to_json() != outcome.joiners[position].to_json()]
        yield FitUse("fusion weights", part.name, tuple(f"trial {plan.trials[position].number}" for position in changed))


class _ReversedOnTest:
    """A stage's outcome with the probabilities in reverse order of classes on the test part of a trial's fold."""

    def __init__(self, plan: GridPlan, outcome: NetworkOutcome):
        self.stage, self._plan, self._outcome = outcome.stage, plan, outcome
        self._trials = plan.grid.trials_of(outcome.stage)

    def probabilities(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        unchanged = self._outcome.probabilities(positions, rows)
        tested = [self._plan.test_rows(self._trials[position]) for position in positions]
        return [
            np.where(np.isin(own, test)[:, None], values[:, ::-1], values)
            for values, own, test in zip(unchanged, rows, tested, strict=True)
        ]


def _probe_scalers(plan: GridPlan, stage: Stage, trial: Trial) -> FitUse | None:
    recipe, data = plan.recipe(stage, trial), plan.data.only(stage.streams)
    if not any(stream.standardize != "none" for stream in recipe.streams):
        return None
    train = data.examples_of(plan.part_clips(stage, trial)[0])
    train = train[data.usable[train]]
    others = np.setdiff1d(np.arange(len(data.clip)), train)
    arrays, num_train = _sample(data, train, others)

    def fit(content: Arrays) -> Any:
        return fit_scalers(recipe, data, content, num_train)

    changed = changed_by(fit, arrays, np.arange(num_train, len(arrays["label"])))
    return FitUse(f"the scaler of stage {stage.name}", plan.folds.folds[trial.fold].name, tuple(changed))


def _sample(data: Feed, train: np.ndarray, others: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """Return the arrays of some training examples, followed by some others, and the number of training examples."""
    one = data.load(train[:1])
    size = max(sum(values.nbytes for values in one.values()), 1)
    most = int(np.clip(_LARGEST_BYTES // size // 2, 2, _EXAMPLES_A_PART))
    train, others = (rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)] for rows in (train, others))
    rows = np.concatenate([train, others])
    return {"label": data.label[rows], "clip": data.clip[rows], "usable": data.usable[rows], **data.load(rows)}, len(train)


def _probe_classical(
    plan: GridPlan, machine: str, what: str, features: np.ndarray, usable: np.ndarray, clip: np.ndarray, widths: Sequence[int] = ()
) -> FitUse:
    """Return the probe of a classifier of the first fold: fitted on some clips of each class, with the test clips unchanged and changed.

    Args:
      machine: one of `CLASSICAL`.
      what: name of the classifier, for the finding.
      features, usable, clip: (N, D), (N,) bool, (N,) position in plan.clips of each row.
      widths: number of features of each stream.
    """
    fold = plan.folds.folds[plan.trials[0].fold]
    ids = np.asarray([one.clip_id for one in plan.clips])[clip]
    label = np.asarray(plan.classes)[clip]
    speaker = np.asarray([one.speaker for one in plan.clips])[clip]
    rows: dict[str, np.ndarray] = {}
    for part in ("train", "validation", "test"):
        inside = np.isin(ids, np.asarray(getattr(fold, part))) & usable
        of_class = [np.flatnonzero(inside & (label == index))[:_CLIPS_A_CLASS] for index in range(plan.blueprint.num_classes)]
        rows[part] = np.concatenate(of_class)
    if not len(rows["validation"]) or len(np.unique(label[rows["train"]])) < 2:
        return FitUse(what, fold.name, ())  # too few to fit, for which the fit of the run itself raises an error
    order = np.concatenate(list(rows.values()))
    start = np.cumsum([0, *(len(one) for one in rows.values())])
    train, validation, test = (np.arange(start[index], start[index + 1]) for index in range(3))

    def fit(content: Arrays) -> Mapping[str, Any]:
        classifier = fit_classical(
            machine,
            content["features"],
            content["label"],
            speaker=speaker[order],
            train=train,
            validation=validation,
            num_classes=plan.blueprint.num_classes,
            widths=widths,
        )
        return {
            "regularization": classifier.regularization,
            "temperature": classifier.temperature,
            "class_shares": classifier.class_shares,
            "probabilities": classifier.probabilities(features[order[train]]),
        }

    return FitUse(what, fold.name, tuple(changed_by(fit, {"features": features[order], "label": label[order]}, test)))
