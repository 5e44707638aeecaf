"""One Optuna study a fold: it proposes settings and records the validation score of each on that fold.

A test speaker of one fold is a validation speaker of others. So a study receives no score of another fold: the settings of a fold are
proposed and chosen by its own validation part alone.

Every setting has a slot, 0 to num_settings - 1 of its fold. It is stored in one transaction, with its slot and its values, so a process
that dies leaves either a complete setting or none. If two processes fill the same slot, the first one counts and the other is marked as
failed: each slot is finished once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.search.space import Axis

SAMPLERS = ("tpe", "random")
_SLOT = "slot"


def check_sampler(sampler: str) -> None:
    """Check `config.search.sampler`.

    Raises:
      ValueError: there is no such sampler.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"search.sampler must be one of {SAMPLERS}, got {sampler!r}")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting in one slot of a fold.

    Attributes:
      fold: index of the fold.
      slot: 0 to num_settings - 1.
      number: of its Optuna trial.
      values: name of an axis -> value.
      value: validation score on the fold, higher is better; -inf if training failed, None until it is finished.
    """

    fold: int
    slot: int
    number: int
    values: Mapping[str, Any]
    value: float | None = None


class Studies:
    """The studies of a search.

    Args:
      storage: an Optuna storage.
      name: of the search; its studies are named name/fold-0, name/fold-1, ...
      sampler: "tpe" or "random".
      seed: of the sampler. A proposed setting is a pure function of the seed, the fold, the slot and the fold's settings so far, so a
        single process that is killed and restarted proposes the same settings as without the kill.
    """

    def __init__(self, storage: Any, name: str, axes: Sequence[Axis], *, num_folds: int, num_settings: int, sampler: str, seed: int):
        import optuna

        self.axes = tuple(axes)
        self.num_folds, self.num_settings = num_folds, num_settings
        self._sampler, self._seed = sampler, seed
        self._studies = [
            optuna.create_study(
                storage=storage,
                study_name=f"{name}/fold-{fold}",
                direction="maximize",
                load_if_exists=True,
                sampler=self._make_sampler(fold, 0),
            )
            for fold in range(num_folds)
        ]

    def settings(self, fold: int) -> list[Setting]:
        """Return all settings of a fold, sorted by slot, finished or not."""
        first: dict[int, Setting] = {}
        for trial in self._live_trials(fold):
            slot = trial.user_attrs[_SLOT]
            first.setdefault(slot, Setting(fold, slot, trial.number, dict(trial.params), trial.value))
        return [first[slot] for slot in sorted(first)]

    def ask(self, fold: int, slots: Sequence[int]) -> list[Setting]:
        """Return the unfinished settings of these slots of a fold: those that a killed process left unfinished, and newly proposed ones."""
        import optuna

        known = {one.slot: one for one in self.settings(fold)}
        missing = [slot for slot in slots if slot not in known]
        if missing:
            # Proposed in memory, so that the storage receives each setting in one transaction.
            in_memory_study = optuna.create_study(direction="maximize", sampler=self._make_sampler(fold, 0))
            for one in known.values():
                in_memory_study.add_trial(self._frozen(one))
            for slot in missing:
                in_memory_study.sampler = self._make_sampler(fold, slot)
                trial = in_memory_study.ask()
                values = {axis.name: axis.suggest(trial) for axis in self.axes}
                self._studies[fold].add_trial(self._frozen(Setting(fold, slot, -1, values)))
            known = {one.slot: one for one in self.settings(fold)}
            self._fail_duplicates(fold)
        return [known[slot] for slot in slots if known[slot].value is None]

    def tell(self, setting: Setting, value: float) -> bool:
        """Record the score of a setting; return False if another process has finished it first, in which case its score stays.

        Raises:
          ValueError: the score is NaN (a failed training has -inf).
        """
        if np.isnan(value):
            raise ValueError(f"fold {setting.fold}, setting {setting.slot}: expected a number or -inf, got NaN")
        return self._finish(setting.fold, setting.number, value)

    def _finish(self, fold: int, number: int, value: float | None) -> bool:
        import optuna

        state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
        study = self._studies[fold]
        try:
            study.tell(number, value, state=state)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            if not study.get_trials(deepcopy=False)[number].state.is_finished():
                raise
            return False
        return True

    def _live_trials(self, fold: int) -> list[Any]:
        """Return the trials of a fold that are running or complete, in order of their numbers."""
        from optuna.trial import TrialState

        trials = self._studies[fold].get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.COMPLETE))
        return sorted(trials, key=lambda trial: trial.number)

    def _fail_duplicates(self, fold: int) -> None:
        """Mark all trials of a slot but the first as failed."""
        filled = set()
        for trial in self._live_trials(fold):
            if trial.user_attrs[_SLOT] in filled:
                self._finish(fold, trial.number, None)
            filled.add(trial.user_attrs[_SLOT])

    def _frozen(self, setting: Setting) -> Any:
        import optuna

        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING if setting.value is None else optuna.trial.TrialState.COMPLETE,
            value=setting.value,
            params=dict(setting.values),
            distributions={axis.name: axis.distribution() for axis in self.axes},
            user_attrs={_SLOT: setting.slot},
        )

    def _make_sampler(self, fold: int, slot: int) -> Any:
        import optuna

        (seed,) = np.random.SeedSequence((self._seed, fold, slot)).generate_state(1)
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=int(seed))
        # constant_liar counts unfinished settings as bad ones, so that the settings of one round differ.
        return optuna.samplers.TPESampler(seed=int(seed), constant_liar=True)


def chosen(settings: Sequence[Setting]) -> Setting:
    """Return the setting with the highest validation score; of equal ones the first."""
    return max(settings, key=lambda one: (-np.inf if one.value is None else one.value, -one.slot))
