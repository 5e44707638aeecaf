"""The plan of a run, made before training: folds, trials, and the clips that each trial is trained, selected and tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.config import Experiment
from avemo_jax.config.overrides import with_fields
from avemo_jax.config.parsing import check_numbers
from avemo_jax.data.feed import FEEDS, Feed, check_stream_names, open_feed
from avemo_jax.data.prepared import LOST_KINDS, PreparedCorpus
from avemo_jax.degradation import parse_copies
from avemo_jax.dimensions import check_dimensions, ratings_of
from avemo_jax.evaluation.late_fusion import check_rule
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.features import feature_step
from avemo_jax.experiment.grid import Grid, make_grid, stages_of
from avemo_jax.experiment.networks import make_net, standardization
from avemo_jax.experiment.sources import sources_of
from avemo_jax.experiment.trial_groups import is_network
from avemo_jax.experiment.variation import tried_changes, variation_of
from avemo_jax.labels import label_set, labelled
from avemo_jax.protocols.audit.findings import check_allowed
from avemo_jax.protocols.folds import Fold, FoldTable, join_tables
from avemo_jax.protocols.inner import inner_folds, stacking_parts
from avemo_jax.protocols.rules import check_protocol, make_folds
from avemo_jax.search.studies import check_sampler
from avemo_jax.training.dimensions import Ratings, fit_ratings
from avemo_jax.training.execution import choose_execution
from avemo_jax.training.lengths import Limits, length_limits
from avemo_jax.training.machines import KERNELS
from avemo_jax.training.stage import CLASSICAL, Stage
from avemo_jax.training.state import Recipe, TrialInputs, check_choices
from avemo_jax.training.trials import Trial, make_inputs

# What selects epochs and settings: a part of a fold, or nothing: the last epoch is kept.
SELECTIONS = ("validation", "test", "last")


@dataclasses.dataclass(frozen=True)
class GridPlan:
    """The plan of a run, from which it is trained or evaluated.

    Attributes:
      blueprint: networks and recipes.
      grid: all trials.
      clips, classes: the labelled clips, sorted by id, and the class index of each.
      folds: fold table; where the config names several protocols, their folds one after another.
      data: all examples of the streams in use.
      ratings: (C, D) float64, of the clips in the dimensions that are predicted; NaN where a clip has none.
      num_undecodable, num_without_face: number of clips without an example, and of clips in which no face was found.
      inner: for each fold, the clips of the test part of each inner fold; empty where no stage needs inner folds.
      copies: the degraded copies of the corpus of `train.copies`, whose training clips are trained on too.
    """

    blueprint: Blueprint
    grid: Grid
    clips: tuple[Clip, ...]
    classes: tuple[int, ...]
    folds: FoldTable
    data: Feed
    ratings: np.ndarray
    num_undecodable: int
    num_without_face: int
    inner: tuple[tuple[tuple[str, ...], ...], ...] = ()
    copies: tuple[PreparedCorpus, ...] = ()

    @property
    def experiment(self) -> Experiment:
        return self.blueprint.experiment

    @property
    def trials(self) -> tuple[Trial, ...]:
        return self.grid.trials

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.grid.stages

    @property
    def trains_on_validation(self) -> bool:
        """Whether the validation part trains too, because nothing is selected on it; a stacked network is trained on it in any case."""
        return self.experiment.protocol.select != "validation" and all(stage.part != "stack" for stage in self.stages)

    def recipe(self, stage: Stage, trial: Trial) -> Recipe:
        """Return the recipe of a trial."""
        train = self.blueprint.experiment_of(stage, trial.fields).train
        limits = self._length_limits(stage, train.length_buckets)
        recipe = self.blueprint.recipe(stage, trial.fields, num_clips=len(self.clips), length_limits=limits)
        return dataclasses.replace(recipe, batch_size=min(recipe.batch_size, self.largest_batch_size))

    @property
    def largest_batch_size(self) -> int:
        """The first power of two that holds all examples; what a larger batch holds beyond it is padding, which only takes memory."""
        return 1 << (len(self.data.clip) - 1).bit_length()

    def inputs(self, stage: Stage, trials: Sequence[Trial], *, trains: bool = True) -> list[TrialInputs]:
        """Return the training and selection examples and the hyper-parameters of these trials of a stage.

        Training examples without a real step in the stage's streams are left out.

        Args:
          trains: False for trained networks that predict: no training clip needs data, as in the robustness panel without a stream.

        Raises:
          ValueError: no training clip of a fold has a real step in the stage's streams, or fewer than two have different ratings.
        """
        data = self.data.only(stage.streams)
        # By fold and inner fold, since the seeds and settings of a fold have the same rows: trials x clips would not fit into memory.
        found: dict[tuple[int, int], tuple[tuple[np.ndarray, np.ndarray], Ratings | None]] = {}
        for trial in trials:
            if (trial.fold, trial.inner) in found:
                continue
            train, select = self.part_clips(stage, trial)
            rows = data.examples_of(train)
            rows = rows[data.usable[rows]]
            if trains and not len(rows):
                fold = self.folds.folds[trial.fold].name
                raise ValueError(
                    f"protocol {self.folds.protocol}, fold {fold}: expected training clips with data in the streams {stage.streams}, found "
                    "none; choose other views, or check the media of the corpus"
                )
            ratings = fit_ratings(self.ratings, np.unique(data.clip[rows])) if self.blueprint.num_dimensions and len(rows) else None
            found[trial.fold, trial.inner] = (rows, data.examples_of(select)), ratings
        parts, ratings_of_trials = zip(*(found[trial.fold, trial.inner] for trial in trials), strict=True)
        # Hyper-parameters that are neither swept nor searched may differ between stages.
        own = self.blueprint.experiment_of(stage).train
        varied = self.blueprint.variation.varied_numbers
        return make_inputs(
            [
                dataclasses.replace(
                    trial, hyper={name: value if name in varied else getattr(own, name) for name, value in trial.hyper.items()}
                )
                for trial in trials
            ],
            parts,
            ratings_of_trials,
        )

    def part_clips(self, stage: Stage, trial: Trial) -> tuple[Sequence[str], Sequence[str]]:
        """Return the clips that a trial of a stage is trained on, and those on which its epochs, weights and settings are selected."""
        fold = self.folds.folds[trial.fold]
        on_test = self.experiment.protocol.select == "test"
        if stage.part == "stack":
            train, held_out = self._stacking_parts(trial)
            return train, fold.test if on_test else held_out
        train = self.train_clips(fold)
        if trial.inner >= 0:
            unseen = set(self.inner[trial.fold][trial.inner])
            train = tuple(clip_id for clip_id in train if clip_id not in unseen)
        return train, fold.test if on_test else fold.validation

    def train_clips(self, fold: Fold) -> tuple[str, ...]:
        """Return the clips of a fold that train: the training part, and the validation part too where nothing is selected on it."""
        return tuple(sorted((*fold.train, *fold.validation))) if self.trains_on_validation else fold.train

    def validation_clips(self, stage: Stage, trial: Trial) -> Sequence[str]:
        """Return the clips of the validation part; of a stacked network those that it is not trained on."""
        return self._stacking_parts(trial)[1] if stage.part == "stack" else self.folds.folds[trial.fold].validation

    def test_rows(self, trial: Trial) -> np.ndarray:
        """Return the examples of the test part of a trial's fold."""
        return self.data.examples_of(self.folds.folds[trial.fold].test)

    def _stacking_parts(self, trial: Trial) -> tuple[Sequence[str], Sequence[str]]:
        return stacking_parts(self.folds.table_of(trial.fold), self.folds.folds[trial.fold], self.clips, self.classes)

    def _length_limits(self, stage: Stage, num_buckets: int) -> Limits:
        if num_buckets == 1:
            return ()
        lengths = {stream: self.data.lengths_of(stream) for stream in stage.streams}
        return length_limits(lengths, self.blueprint.num_steps, num_buckets)


def make_plan(experiment: Experiment, prepared: PreparedCorpus) -> GridPlan:
    """Return the plan of a run.

    Raises:
      ValueError: fields of the config contradict each other or do not fit the corpus.
      LeakError: parts of a fold share speakers or clips, are empty or leave clips out.
    """
    check_experiment(experiment)
    planned = plan_clips(experiment, prepared.clips)
    clips, classes = planned.clips, planned.classes
    variation = variation_of(experiment)
    data = load_data(experiment, clips, classes, prepared)
    used = {clip.clip_id for clip in clips}
    # Pairs (clip, kind), because a clip may have damage of several kinds, in its sound and in its picture.
    damaged = {(clip_id, one.kind) for found in prepared.sets.values() for clip_id, one in found.damage.items() if clip_id in used}
    return GridPlan(
        blueprint=Blueprint(
            experiment,
            variation,
            label_set(experiment.corpus.label_set),
            steps={stream: data.step_of(stream) for stream in data.streams},
            num_steps={stream: data.num_steps(stream) for stream in data.streams},
        ),
        grid=planned.grid,
        clips=clips,
        classes=classes,
        folds=planned.folds,
        data=data,
        ratings=planned.ratings,
        num_undecodable=len({clip_id for clip_id, kind in damaged if kind in LOST_KINDS}),
        num_without_face=len({clip_id for clip_id, kind in damaged if kind == "no_face"}),
        inner=planned.inner,
        copies=tuple(prepared.copies.values()),
    )


@dataclasses.dataclass(frozen=True)
class PlannedClips:
    """The part of a plan that needs no media; attributes as in `GridPlan`."""

    grid: Grid
    clips: tuple[Clip, ...]
    classes: tuple[int, ...]
    folds: FoldTable
    inner: tuple[tuple[tuple[str, ...], ...], ...]
    ratings: np.ndarray


def plan_clips(experiment: Experiment, clips: Sequence[Clip]) -> PlannedClips:
    """Return the folds and trials over the clips of a corpus, before any of them is decoded.

    Raises:
      ValueError: the label set, the dimensions, the protocol or its number of folds do not fit the clips.
      LeakError: parts of a fold share speakers or clips, are empty or leave clips out.
    """
    labelled_clips, classes = labelled(clips, label_set(experiment.corpus.label_set))
    folds = _folds(experiment, labelled_clips, classes)
    grid = make_grid(experiment, variation_of(experiment), stages_of(experiment), len(folds.folds))
    num_inner = grid.num_inner
    inner = [inner_folds(table, fold, labelled_clips, classes, num_inner) for table in folds.tables for fold in table.folds if num_inner]
    ratings = ratings_of(labelled_clips, experiment.corpus.dimensions, experiment.corpus.dimension_bounds)
    return PlannedClips(grid, labelled_clips, classes, folds, tuple(inner), ratings)


def load_data(experiment: Experiment, clips: Sequence[Clip], classes: Sequence[int], prepared: PreparedCorpus) -> Feed:
    """Return all examples of the streams in use, z-scored by speaker where `streams.<name>.per_speaker` is set.

    Raises:
      ValueError: a stream that is to be z-scored by speaker is streamed from disk, has pictures, or has a clip without a speaker.
    """
    data = open_feed(experiment.devices.feed, clips, classes, prepared.sets)
    names = tuple(name for name, stream in experiment.streams_in_use.items() if stream.per_speaker)
    return data.per_speaker(names, np.asarray([clip.speaker for clip in clips])) if names else data


def check_experiment(experiment: Experiment) -> None:
    """Check everything in a config that can be checked without the corpus, before hours of preparing and training.

    Raises:
      ValueError: an unknown value; stages, overrides, sweeps and searches that contradict each other; or one of them changes the encoder or
        view of a stream's features, which all trials share.
    """
    check_numbers(experiment)
    for name in experiment.protocol.name.split(","):
        check_protocol(name.strip(), experiment.corpus.name)
    check_allowed(experiment.protocol.allow_leaks)
    check_rule(experiment.late.rule)
    choose_execution(experiment.devices.execution, backend="cpu", convolves=False)  # checks its form
    if (select := experiment.protocol.select) not in SELECTIONS:
        raise ValueError(f"protocol.select must be one of {SELECTIONS}, got {select!r}")
    if experiment.devices.feed not in FEEDS:
        raise ValueError(f"devices.feed must be one of {tuple(FEEDS)}, got {experiment.devices.feed!r}")
    check_stream_names(experiment.system.streams)
    variation, stages = variation_of(experiment), stages_of(experiment)
    selects = len(tried_changes(experiment, variation)) > 1 or bool(variation.varied_numbers)
    if select == "last" and (selects or (stages[-1].is_classical and stages[-1].part not in KERNELS)):
        raise ValueError(
            "protocol.select=last leaves no part to select settings on, but a sweep, a search and the stage 'svm' select them there; "
            "set --config.protocol.select=validation"
        )
    _check_targets(experiment, stages)
    make_grid(experiment, variation, stages, 1)  # checks seeds
    if variation.axes:
        check_sampler(experiment.search.sampler)
        if stages[-1].is_classical:
            raise ValueError(
                f"search.space searches fields of networks, and the stage {stages[-1].name!r} has none (it selects its regularization "
                'itself); set --config.search.space="()"'
            )
    blueprint = Blueprint(experiment, variation, label_set(experiment.corpus.label_set), {}, {})
    shared = {stream: sources_of(experiment, stream) for stream in experiment.system.streams}
    for stage in stages:
        for changes in tried_changes(experiment, variation):
            own_experiment = with_fields(blueprint.experiment_of(stage), changes)
            if own_experiment.train.length_buckets > 1 and experiment.devices.feed != "resident":
                raise ValueError(
                    "train.length_buckets needs all examples in memory; set --config.devices.feed=resident, or length_buckets=1"
                )
            for stream in stage.streams:
                if sources_of(own_experiment, stream) != shared[stream]:
                    raise ValueError(
                        f"a sweep, search or train.overrides changes the frozen encoder of the {stream} stream (streams.{stream}.encoder, "
                        "encoder_trained_from or encoder_beside), but its features are made once for all trials; run separate experiments"
                    )
            if is_network(stage):
                _check_network(own_experiment, stage, blueprint.num_classes)
            elif stage.is_classical:
                _check_pooling(own_experiment, stage)
    if experiment.fusion.fallback and (len(stages) == 1 or not is_network(stages[-1])):
        raise ValueError(
            "fusion.fallback answers clips that lack streams by an earlier stage; expected stages of some streams and a last one that "
            f"trains a network of all, found {', '.join(one.name for one in stages)}; set --config.fusion.fallback=False"
        )
    if parse_copies(experiment.train.copies) and not stages[-1].is_classical:
        raise ValueError(
            f"train.copies are used by the stages {CLASSICAL}, and the last of train.stages is {stages[-1].name!r}; set "
            '--config.train.copies="()" (networks have streams.<name>.augmentation)'
        )


def check_tokens(experiment: Experiment, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Check, before anything is prepared, that the streams fit the fusion "token_attention", which joins steps of one width.

    Args:
      steps: view -> shape and type of one step.

    Raises:
      ValueError: they do not; the message has the width of each.
    """
    stages = stages_of(experiment)
    if experiment.fusion.kind != "token_attention" or not is_network(stages[-1]):
        return
    of_streams = {stream: feature_step(experiment, stream, steps) for stream in stages[-1].streams}
    variation = variation_of(experiment)
    blueprint = Blueprint(experiment, variation, label_set(experiment.corpus.label_set), of_streams, dict.fromkeys(of_streams, 2))
    blueprint.state_shape(stages[-1], make_grid(experiment, variation, stages, 1).trials[0])


def _check_pooling(experiment: Experiment, stage: Stage) -> None:
    """Check that the classical system has the pooling of its streams."""
    for stream in stage.streams:
        if (pooling := experiment.streams[stream].pooling) not in ("mean", "mean_std"):
            raise ValueError(
                f"the stage {stage.name!r} pools a clip's steps by 'mean' or 'mean_std', and streams.{stream}.pooling is {pooling!r}; set "
                f"--config.streams.{stream}.pooling=mean"
            )


def _check_targets(experiment: Experiment, stages: Sequence[Stage]) -> None:
    """Check that a system has classes or dimensions, and that its stages can predict them."""
    corpus = experiment.corpus
    check_dimensions(corpus.dimensions, corpus.dimension_bounds)
    if label_set(corpus.label_set).takes_all and not corpus.dimensions:
        raise ValueError("--config.corpus.label_set=none has no classes; name what is predicted in --config.corpus.dimensions")
    if corpus.dimensions and (wrong := [stage.name for stage in stages if stage.is_classical or stage.part == "inner"]):
        raise ValueError(
            f"--config.corpus.dimensions={corpus.dimensions} needs networks, and the stage {wrong[0]!r} predicts classes alone; choose "
            "a system that trains a network, with the stage 'fused' for several streams; where there is sound, ridge regression on "
            "functionals is reported beside it"
        )


def _check_network(experiment: Experiment, stage: Stage, num_classes: int) -> None:
    """Check the fields that a network and its recipe are made of."""
    make_net(experiment, stage, num_classes)
    for stream in stage.streams:
        standardization(stream, experiment.streams[stream])
    check_choices(
        optimizer=experiment.train.optimizer,
        schedule=experiment.train.schedule,
        metric=experiment.protocol.metric,
        segment_rule=experiment.system.segment_rule,
        dimension_loss=experiment.train.dimension_loss,
        num_classes=num_classes,
        num_dimensions=len(experiment.corpus.dimensions),
    )


def _folds(experiment: Experiment, clips: Sequence[Clip], classes: Sequence[int]) -> FoldTable:
    protocol = experiment.protocol
    tables = [
        make_folds(
            name.strip(),
            clips,
            classes,
            num_folds=protocol.num_folds,
            seed=protocol.seed,
            groups_may_differ="groups_differ" in protocol.allow_leaks,
        )
        for name in protocol.name.split(",")
    ]
    return join_tables(tables)
