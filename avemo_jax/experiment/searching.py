"""Adaptive search within an experiment: each fold searches for its own setting, and the grid is then trained with the chosen settings.

The settings of all folds and seeds in a round are one trial group of one program, which is compiled once, or several groups of equal size
where that does not fit into memory. In systems of several stages, a setting holds in all stages, and its value is the selection metric of
the last one.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from avemo_jax.config import Experiment, to_plain
from avemo_jax.config.overrides import parse_value
from avemo_jax.evaluation.results import SearchResult
from avemo_jax.experiment.encoder_weights import published_weights
from avemo_jax.experiment.grid import Grid
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.memory_plan import estimate_need, num_fitting
from avemo_jax.experiment.outcomes import NetworkOutcome, Outcome, TrainedGroup, fit_late
from avemo_jax.experiment.stages import program_of
from avemo_jax.experiment.trial_groups import in_pieces
from avemo_jax.experiment.variation import Variation, variation_of
from avemo_jax.redaction import redacted_address
from avemo_jax.runs.checkpoints import NullCheckpoints
from avemo_jax.runs.ownership import read_owned, write_owned
from avemo_jax.runs.preemption import Preempted, StopRequest, listen
from avemo_jax.runs.run_directory import RunDirectory, compare_configs
from avemo_jax.search.leases import Leases
from avemo_jax.search.rounds import run_rounds
from avemo_jax.search.space import split_values
from avemo_jax.search.storage import is_single_process, open_storage, sqlite_address
from avemo_jax.search.studies import Setting, Studies, chosen
from avemo_jax.training.memory import Need
from avemo_jax.training.programs import Program
from avemo_jax.training.stage import Stage, warm_start
from avemo_jax.training.train_loop import train_group
from avemo_jax.training.trials import Trial, trial_groups

LOG = logging.getLogger(__name__)
SEARCH_FILE = "search.json"
Kind = tuple[str, tuple[tuple[str, Any], ...]]  # identifies a program: the stage, and the fields that change it


def search(plan: GridPlan, run: RunDirectory, hashes: Mapping[str, Any]) -> GridPlan:
    """Finish a run's search, write search.json, and return the plan with each fold's chosen setting.

    A plan without a search is returned unchanged, and a finished search is read from search.json.

    Args:
      hashes: facts that the stored search must agree with, see `run_hashes`.
    """
    if not plan.blueprint.variation.axes:
        return plan
    if not run.has(SEARCH_FILE):
        with run.phase("search"):
            address = plan.experiment.search.storage or sqlite_address((run.path / "search.db").resolve())
            write_owned(run.path, SEARCH_FILE, _search(plan, address, hashes))
    return with_chosen(plan, run.path)


def add_to_search(plan: GridPlan, hashes: Mapping[str, Any]) -> None:
    """Work on a search together with other processes until it is finished; write only to its storage."""
    check_shared(plan.experiment)
    _search(plan, plan.experiment.search.storage, hashes)
    LOG.info("the search is finished; its run trains the chosen settings")


def check_shared(experiment: Experiment) -> None:
    """Check that a config has a search that several processes can share.

    Raises:
      ValueError: search.space is empty, or the storage supports only one process.
    """
    address = experiment.search.storage
    if not variation_of(experiment).axes:
        raise ValueError("nothing to search: --config.search.space is empty; set it, for example to \"('learning_rate=1e-4..1e-2 log',)\"")
    if not address or is_single_process(address):
        raise ValueError(
            "--mode=search joins a search that several processes share, and SQLite supports only one; start a server and set "
            "--config.search.storage=postgresql+psycopg://user@host/database, or search in one process with --mode=train"
        )


def with_chosen(plan: GridPlan, workdir: Path) -> GridPlan:
    """Return the plan with the settings that a finished search chose; a plan without a search is returned unchanged.

    Raises:
      FileNotFoundError: the search has not finished.
    """
    return dataclasses.replace(plan, grid=chosen_grid(plan.experiment, plan.blueprint.variation, plan.grid, workdir))


def chosen_grid(experiment: Experiment, variation: Variation, grid: Grid, workdir: Path) -> Grid:
    """Return the grid with the settings that a finished search chose, as `with_chosen`."""
    if not variation.axes:
        return grid
    if not (workdir / SEARCH_FILE).is_file():
        raise FileNotFoundError(f"the search in {workdir} has not finished (no {SEARCH_FILE}); run the same command with --mode=train")
    values = {}
    for fold in _read_folds(workdir):
        values[fold["index"]] = next(one["tried"] for one in fold["settings"] if one["setting"] == fold["chosen"])
    trials = [_with_values(experiment, variation.axes, trial, values[trial.fold]) for trial in grid.trials]
    return dataclasses.replace(grid, trials=tuple(trials))


def summarise_search(plan: GridPlan, workdir: Path, folds: Container[int]) -> tuple[SearchResult, ...]:
    """Return the setting that each fold's search selected, with its selection metric; () where nothing is searched.

    Args:
      folds: indices of the folds to include.
    """
    if not plan.blueprint.variation.axes:
        return ()
    entries = []
    for fold in _read_folds(workdir):
        if fold["index"] in folds:
            values = [one["validation"] for one in fold["settings"]]
            best = next(one for one in fold["settings"] if one["setting"] == fold["chosen"])
            median = float(np.median([-np.inf if value is None else value for value in values]))
            entries.append(
                SearchResult(
                    fold=fold["fold"],
                    num_settings=len(values),
                    num_failed=sum(value is None for value in values),
                    setting=fold["chosen"],
                    tried=best["tried"],
                    validation=best["validation"],
                    median_validation=median if np.isfinite(median) else None,
                )
            )
    return tuple(entries)


def _read_folds(workdir: Path) -> list[dict[str, Any]]:
    fix = f"remove {SEARCH_FILE} and run the same command with --mode=train: it is written again from the storage of the search"
    return read_owned(workdir, SEARCH_FILE, fix=fix)["folds"]


def _search(plan: GridPlan, address: str, hashes: Mapping[str, Any]) -> dict[str, Any]:
    """Work on the search until it is finished; return the content of search.json."""
    if jax.process_count() > 1:
        raise ValueError(
            "a search cannot run in several processes of jax.distributed; start processes without it (devices.distributed=False) that join "
            "one search with --mode=search and a search.storage that all of them reach"
        )
    own, axes = plan.experiment.search, plan.blueprint.variation.axes
    folds = range(len(plan.folds.folds))
    name = own.name or "-".join((plan.experiment.corpus.name, plan.experiment.system.name, plan.experiment.protocol.name))
    with open_storage(address) as storage:
        leases = Leases(storage, name, lease_s=own.lease_s, is_single_process=is_single_process(address))
        leases.bind({"config": _without_storage(to_plain(plan.experiment)), "hashes": dict(hashes)}, _differences)
        studies = Studies(storage, name, axes, num_folds=len(folds), num_settings=own.num_settings, sampler=own.sampler, seed=own.seed)
        num_seeds = len(plan.experiment.train.seeds)
        batch = min(own.batch, own.num_settings)
        LOG.info(
            "search %s in %s: %d settings of each of %d folds; a round trains %d settings x %d folds x %d seeds together",
            *(name, redacted_address(own.storage) or "search.db", own.num_settings, len(folds), batch, len(folds), num_seeds),
        )
        with tqdm(total=len(folds) * own.num_settings, desc="search", unit="setting") as bar, listen() as stop:
            trainer = Trainer(plan, stop, bar)
            run_rounds(studies, leases, batch=own.batch, train=trainer.train, progress=trainer.finished)
        found = [studies.settings(fold) for fold in folds]
    for fold, settings in zip(plan.folds.folds, found, strict=True):
        if _finite(chosen(settings).value) is None:
            LOG.warning("fold %s: all settings of the search have failed; search smaller learning rates", fold.name)
    facts = {name: to_plain(getattr(own, name)) for name in ("space", "num_settings", "batch", "sampler", "seed")}
    return facts | {
        "storage": redacted_address(own.storage) or "search.db",
        "metric": plan.experiment.protocol.metric,
        "select": plan.experiment.protocol.select,
        "stage": plan.stages[-1].name,
        "folds": [
            {
                "fold": plan.folds.folds[fold].name,
                "index": fold,
                "chosen": chosen(found[fold]).slot,
                "settings": [{"setting": one.slot, "tried": dict(one.values), "validation": _finite(one.value)} for one in found[fold]],
            }
            for fold in folds
        ],
    }


class Trainer:
    """Trains rounds of settings; compiled programs are used again in later rounds.

    Args:
      stop: stop request, read between epochs.
      bar: progress bar of finished settings.
    """

    def __init__(self, plan: GridPlan, stop: StopRequest, bar: tqdm):
        self._plan = plan
        self._stop = stop
        self._bar = bar
        self._axes = plan.blueprint.variation.axes
        self._programs: dict[Kind, Program] = {}
        self._needs: dict[Kind, Need] = {}
        self._num_finished: int | None = None

    def finished(self, count: int) -> None:
        """Show how many settings all processes together have finished.

        Raises:
          Preempted: the process was asked to stop.
        """
        if self._stop.signal_number is not None:
            raise Preempted(self._stop.signal_number)
        if self._num_finished is None:
            self._bar.initial = count  # the time left is estimated from later progress alone
        self._num_finished = count
        self._bar.n = count
        self._bar.refresh()

    def train(self, number: int, settings: Sequence[Setting]) -> dict[tuple[int, int], float]:
        """Return (fold, slot) -> value of the setting: its selection metric, averaged over seeds."""
        seeds = self._plan.experiment.train.seeds
        pairs = [(one, seed) for one in settings for seed in seeds]
        base = self._plan.trials[0]
        trials = tuple(
            _with_values(self._plan.experiment, self._axes, Trial(position, one.fold, seed, one.slot, base.hyper), one.values)
            for position, (one, seed) in enumerate(pairs)
        )
        plan = dataclasses.replace(self._plan, grid=dataclasses.replace(self._plan.grid, trials=trials))
        finished: dict[str, NetworkOutcome] = {}
        outcome: Outcome | None = None
        for index, stage in enumerate(plan.stages):
            if stage.part == "inner":
                outcome = fit_late(plan, stage, [finished[name] for name in stage.takes_over])
            else:
                share = (index / len(plan.stages), 1 / len(plan.stages))
                outcome = finished[stage.name] = self._train_stage(plan, stage, finished, self._progress(number, len(settings), share))
        assert outcome is not None
        scores: dict[tuple[int, int], list[float]] = {}
        for position, trial in enumerate(trials):
            scores.setdefault((trial.fold, trial.setting), []).append(outcome.score(position))
        return {key: float(np.mean(values)) for key, values in scores.items()}

    def _train_stage(self, plan: GridPlan, stage: Stage, finished: Mapping[str, NetworkOutcome], progress: Any) -> NetworkOutcome:
        trials = plan.grid.trials_of(stage)
        warm = warm_start(stage, {name: one.states for name, one in finished.items()}, len(trials), self._published(plan, stage, trials))
        trained = []
        groups = [piece for group in trial_groups(trials) for piece in self._in_memory(plan, stage, trials, group)]
        for index, positions in enumerate(groups):
            mine = [trials[position] for position in positions]
            inputs = plan.inputs(stage, [*mine, *self._one_a_fold(mine[0])])
            kind = _kind(stage, mine[0])
            if kind not in self._programs:
                self._programs[kind] = program_of(plan, stage, mine, inputs)
            program = self._programs[kind]

            def show(done: int, total: int, text: str, index: int = index) -> None:
                progress((index + done / total) / len(groups), stage.name, done, total)

            states = train_group(
                stage=stage,
                trials=mine,
                inputs=inputs[: len(mine)],
                warm=[warm[position] for position in positions],
                program=program,
                num_epochs=plan.recipe(stage, mine[0]).num_epochs,
                checkpoints=NullCheckpoints(),
                checkpoint_every_epochs=plan.recipe(stage, mine[0]).num_epochs,
                write_rows=lambda rows: None,
                resume_rows=lambda epochs: None,
                stop=self._stop,
                progress=show,
            )
            trained.append(TrainedGroup(program, positions, states))
        return NetworkOutcome(stage, trained)

    def _in_memory(self, plan: GridPlan, stage: Stage, trials: Sequence[Trial], group: Sequence[int]) -> list[Sequence[int]]:
        """Return the trials of one program, cut into groups that fit into memory."""
        first = trials[group[0]]
        kind = _kind(stage, first)
        if kind not in self._needs:
            self._needs[kind] = estimate_need(plan, stage, first)
        return in_pieces(group, num_fitting(plan, stage, self._needs[kind], len(group)))

    def _one_a_fold(self, like: Trial) -> list[Trial]:
        """Return a trial of each fold, so that parts are padded to the same length whichever folds a round has."""
        return [dataclasses.replace(like, fold=fold, inner=-1) for fold in range(len(self._plan.folds.folds))]

    def _published(self, plan: GridPlan, stage: Stage, trials: Sequence[Trial]) -> Any:
        return published_weights(plan.blueprint.experiment_of(stage, trials[0].fields), stage, plan.blueprint.steps)

    def _progress(self, number: int, num_settings: int, share: tuple[float, float]) -> Callable[[float, str, int, int], None]:
        start, width = share

        def progress(part: float, stage: str, done: int, total: int) -> None:
            self._bar.n = (self._num_finished or 0) + int(num_settings * (start + width * part))
            self._bar.set_postfix_str(f"round {number + 1}, {stage}: epoch {done} of {total}", refresh=True)

        return progress


def _kind(stage: Stage, trial: Trial) -> Kind:
    return stage.name, trial.fields


def _with_values(experiment: Experiment, axes: Sequence[Any], trial: Trial, values: Mapping[str, Any]) -> Trial:
    numbers, fields = split_values(axes, values)
    pairs = tuple((name, parse_value(experiment, name, text)) for name, text in fields.items())
    return dataclasses.replace(trial, hyper=dict(trial.hyper) | numbers, fields=pairs)


def _without_storage(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config without the fields of the search's storage and of how its processes share it."""
    return config | {"search": {name: value for name, value in config["search"].items() if name not in ("storage", "name", "lease_s")}}


def _differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    lines = compare_configs(stored["config"], given["config"])
    return lines + compare_configs(stored["hashes"], given["hashes"])


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
