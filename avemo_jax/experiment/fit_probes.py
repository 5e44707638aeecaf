"""Showing for a run that what it fits does not see clips outside its part: some of them are changed, and it is fitted once more.

A few examples of each part do: what a fit depends on does not depend on how many there are. The functions that fit are those that the run
itself calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.data.resident import ResidentSet
from avemo_jax.data.stream import StreamedSet
from avemo_jax.experiment.baseline import functionals_of
from avemo_jax.experiment.outcomes import LateOutcome, NetworkOutcome, fit_late, machine_features
from avemo_jax.experiment.plan import Plan
from avemo_jax.protocols.audit.facts import FitUse
from avemo_jax.protocols.audit.fits import Arrays, changed_by
from avemo_jax.training.classical import fit_svm
from avemo_jax.training.grid import Stage, Trial
from avemo_jax.training.steps import fit_scalers
from avemo_jax.training.stream_program import fit_stream_scalers

_EXAMPLES_A_PART = 48
_LARGEST_BYTES = 8 << 20  # of what is copied and changed at a time
_CLIPS_A_CLASS = 6


def plan_fits(plan: Plan, prepared: PreparedCorpus) -> Iterator[FitUse]:
    """Probe everything that is fitted on views: the scalers of every stage and fold, the classical machines, the baseline."""
    firsts: dict[int, Trial] = {}
    for trial in plan.trials:
        firsts.setdefault(trial.fold, trial)
    for stage in plan.stages:
        if stage.part == "svm":
            features, usable = machine_features(plan, stage)
            yield _probe_machine(plan, plan.trials[0], f"the machine of stage {stage.name}", features, usable, plan.data.arrays["clip"])
        elif stage.part != "inner":
            for trial in firsts.values():
                use = _probe_scalers(plan, stage, trial)
                if use is not None:
                    yield use
    if prepared.functionals is not None and plan.stages[-1].part != "svm":
        features, usable = functionals_of(plan, prepared.functionals)
        yield _probe_machine(plan, plan.trials[0], "the classical baseline", features, usable, np.arange(len(plan.clips)))


def late_fits(plan: Plan, outcome: LateOutcome) -> Iterator[FitUse]:
    """Probe the weights of late fusion: fitted once more while the networks below say something else of every test clip."""
    scrambled: list[Any] = [_OtherwiseOnTest(plan, one) for one in outcome.earlier]
    again = fit_late(plan, outcome.stage, scrambled)
    for fold, part in enumerate(plan.folds.folds):
        own = [position for position, trial in enumerate(plan.trials) if trial.fold == fold]
        changed = [position for position in own if again.joiners[position].to_json() != outcome.joiners[position].to_json()]
        yield FitUse("fusion weights", part.name, tuple(f"trial {plan.trials[position].number}" for position in changed))


class _OtherwiseOnTest:
    """A stage's outcome that turns its posteriors upside down on the test part of a trial's fold."""

    def __init__(self, plan: Plan, outcome: NetworkOutcome):
        self.stage, self._plan, self._outcome = outcome.stage, plan, outcome
        self._trials = plan.trials_of(outcome.stage)

    def posteriors(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        said = self._outcome.posteriors(positions, rows)
        tested = [self._plan.test_rows(self._trials[position]) for position in positions]
        return [
            np.where(np.isin(own, test)[:, None], posterior[:, ::-1], posterior)
            for posterior, own, test in zip(said, rows, tested, strict=True)
        ]


def _probe_scalers(plan: Plan, stage: Stage, trial: Trial) -> FitUse | None:
    recipe, data = plan.recipe(stage, trial), plan.data.only(stage.streams)
    if not recipe.standardized:
        return None
    train = data.examples_of(plan.part_clips(stage, trial)[0])
    train = train[data.arrays["usable"][train]]
    others = np.setdiff1d(np.arange(len(data.arrays["clip"])), train)
    arrays, num_train = _a_few(data, train, others)
    index = np.arange(num_train)

    def fit(content: Arrays) -> Any:
        if isinstance(data, StreamedSet):
            return fit_stream_scalers(recipe, lambda rows: {name: values[rows] for name, values in content.items()}, index)
        return fit_scalers(recipe, dict(content), jnp.asarray(index), jnp.asarray(num_train))

    changed = changed_by(fit, arrays, np.arange(num_train, len(arrays["label"])))
    return FitUse(f"the scaler of stage {stage.name}", plan.folds.folds[trial.fold].name, tuple(changed))


def _a_few(data: ResidentSet | StreamedSet, train: np.ndarray, others: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """Arrays of some training examples and some others after them, and how many the first are."""
    one = _read(data, train[:1])
    size = max(sum(values.nbytes for values in one.values()), 1)
    most = int(np.clip(_LARGEST_BYTES // size // 2, 2, _EXAMPLES_A_PART))
    train, others = (rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)] for rows in (train, others))
    rows = np.concatenate([train, others])
    kept = {name: data.arrays[name][rows] for name in ("label", "clip", "usable")}
    return {**kept, **_read(data, rows)}, len(train)


def _read(data: ResidentSet | StreamedSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    if isinstance(data, StreamedSet):
        return data.load(rows)
    return {name: data.arrays[name][rows] for stream in data.streams for name in (stream, f"{stream}_mask")}


def _probe_machine(plan: Plan, trial: Trial, what: str, features: np.ndarray, usable: np.ndarray, clip: np.ndarray) -> FitUse:
    """Fit a support vector machine on some clips of each class, with the test clips as they are and otherwise.

    Args:
      features, usable, clip: (N, D), (N,) bool, (N,) position in plan.clips of each row.
    """
    fold = plan.folds.folds[trial.fold]
    ids = np.asarray([one.clip_id for one in plan.clips])[clip]
    label = np.asarray(plan.classes)[clip]
    rows: dict[str, np.ndarray] = {}
    for part in ("train", "validation", "test"):
        inside = np.isin(ids, np.asarray(getattr(fold, part))) & usable
        of_class = [np.flatnonzero(inside & (label == index))[:_CLIPS_A_CLASS] for index in range(len(plan.labels.classes))]
        rows[part] = np.concatenate(of_class)
    if not len(rows["validation"]) or len(np.unique(label[rows["train"]])) < 2:
        return FitUse(what, fold.name, ())  # too few to fit; the fit itself says so
    order = np.concatenate(list(rows.values()))
    start = np.cumsum([0, *(len(one) for one in rows.values())])
    train, validation, test = (np.arange(start[index], start[index + 1]) for index in range(3))

    def fit(content: Arrays) -> Mapping[str, Any]:
        machine = fit_svm(content["features"], content["label"], train=train, validation=validation, num_classes=len(plan.labels.classes))
        return {
            "regularization": machine.regularization,
            "temperature": machine.temperature,
            "class_shares": machine.class_shares,
            "what it says": machine.probabilities(features[order[train]]),
        }

    return FitUse(what, fold.name, tuple(changed_by(fit, {"features": features[order], "label": label[order]}, test)))
