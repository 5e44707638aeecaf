"""What an experiment consists of, worked out from its config and its prepared corpus before anything is trained."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.feed import FEEDS, Feed, open_feed
from avemo_jax.data.prepared import LOST_KINDS, PreparedCorpus
from avemo_jax.experiment import networks
from avemo_jax.experiment.features import sources_of
from avemo_jax.experiment.fields import for_stage, parsed, swept_fields, values_to_try, with_fields
from avemo_jax.labels import LabelSet, label_set, labelled
from avemo_jax.models.emotion_net import EmotionNet
from avemo_jax.protocols.folds import FoldTable, join_tables, make_folds
from avemo_jax.protocols.inner import inner_folds, stacking_parts
from avemo_jax.search.space import Axis, parse_space
from avemo_jax.search.studies import check_search
from avemo_jax.training.augment import Augmentation
from avemo_jax.training.lengths import Limits, length_limits
from avemo_jax.training.stage import Stage, make_stages
from avemo_jax.training.state import Recipe, StreamRecipe, TrialInputs
from avemo_jax.training.trials import Trial, make_inputs, make_trials, with_inner_trials

Config = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """An experiment, ready to be trained or evaluated.

    Attributes:
      config: the resolved config as nested plain dicts.
      labels: label set.
      clips, classes: the labelled clips, sorted by id, and the class of each.
      folds: fold table; of several protocols, where the config names several, one after another.
      data: all examples of the streams in use, in memory or as a stream (`config.devices.feed`).
      stages: in order.
      trials: the grid.
      inner: of each fold, the training clips of each inner fold's own test part; empty where no stage asks for any.
    """

    config: Config
    labels: LabelSet
    clips: tuple[Clip, ...]
    classes: tuple[int, ...]
    folds: FoldTable
    data: Feed
    stages: tuple[Stage, ...]
    trials: tuple[Trial, ...]
    num_undecodable: int
    num_without_face: int
    inner: tuple[tuple[tuple[str, ...], ...], ...] = ()

    def config_of(self, stage: Stage, trial: Trial) -> Config:
        """The config of one trial in one stage: `train.overrides` and swept fields put in."""
        return with_fields(for_stage(self.config, stage.name), trial.fields)

    def trials_of(self, stage: Stage) -> list[Trial]:
        """The trials that a stage trains: where a later stage learns from unseen predictions, one more an inner fold."""
        if self.inner and stage.part == "train" and stage is not self.stages[-1]:
            return with_inner_trials(self.trials, len(self.inner[0]))
        return list(self.trials)

    def net(self, stage: Stage, trial: Trial) -> EmotionNet:
        """The network of a trial."""
        return networks.make_net(self.config_of(stage, trial), stage, len(self.labels.classes))

    def recipe(self, stage: Stage, trial: Trial) -> Recipe:
        """The recipe of a trial."""
        config = self.config_of(stage, trial)
        train = config["train"]
        shared = {field.name for field in dataclasses.fields(Recipe)} & train.keys()
        return Recipe(
            **{name: train[name] for name in shared},
            num_classes=len(self.labels.classes),
            num_clips=len(self.clips),
            metric=config["protocol"]["metric"],
            segment_rule=config["system"]["segment_rule"],
            streams=tuple(self._stream_recipe(stream, config) for stream in stage.streams),
            frozen=(*stage.frozen, *self._held(stage, config)),
            use_mixup=any(alpha > 0 for alpha in config["sweep"]["mixup_alpha"] or (train["mixup_alpha"],))
            or any(axis.name == "mixup_alpha" for axis in searched_axes(config)),
            length_limits=self._length_limits(stage, train["length_buckets"]),
        )

    def _stream_recipe(self, stream: str, config: Config) -> StreamRecipe:
        return StreamRecipe(
            name=stream,
            key_index=("audio", "video").index(stream),  # the streams that the present config has fields for
            standardize=config["model"][stream]["standardize"] if networks.is_standardized(config, stream) else "none",
            num_cepstra=config["model"]["num_cepstra"] if stream == "audio" else 0,
            augmentation=Augmentation(**config["train"][f"{stream}_augmentation"]),
        )

    def _length_limits(self, stage: Stage, num_buckets: int) -> Limits:
        if num_buckets == 1:
            return ()
        lengths = {stream: self.data.lengths_of(stream) for stream in stage.streams}
        return length_limits(lengths, {stream: self.data.num_steps(stream) for stream in stage.streams}, num_buckets)

    def _held(self, stage: Stage, config: Config) -> list[tuple[str, ...]]:
        held: list[tuple[str, ...]] = []
        for stream in stage.streams:
            if networks.trained_encoder(config, stream) is not None:
                held += networks.held_parameters(config, stream, *self.data.step_of(stream))
        return held

    def inputs(self, stage: Stage, trials: Sequence[Trial]) -> list[TrialInputs]:
        """What each of these trials of a stage trains on and selects by; examples with nothing in the stage's streams are left out."""
        data = self.data.only(stage.streams)
        parts = []
        for trial in trials:
            train, select = self.part_clips(stage, trial)
            rows = data.examples_of(train)
            rows = rows[data.usable[rows]]
            if not len(rows):
                fold = self.folds.folds[trial.fold].name
                raise ValueError(f"protocol {self.folds.protocol}, fold {fold}: no training clip has anything in {stage.streams}")
            parts.append((rows, data.examples_of(select)))
        own = for_stage(self.config, stage.name)["train"]
        steady = {name: own[name] for name in trial_numbers(self.config) if name not in varied(self.config)}
        return make_inputs([dataclasses.replace(trial, hyper=dict(trial.hyper) | steady) for trial in trials], parts)

    def selection_clips(self, stage: Stage, trial: Trial) -> Sequence[str]:
        """Clips that a trial of a stage selects by: epochs, weights, settings."""
        return self.part_clips(stage, trial)[1]

    def part_clips(self, stage: Stage, trial: Trial) -> tuple[Sequence[str], Sequence[str]]:
        """Clips that a trial of a stage trains on, and those that it selects by."""
        fold = self.folds.folds[trial.fold]
        selection = {"validation": "validation", "test": "test"}[self.config["protocol"]["select"]]
        if stage.part == "stack":
            train, held_out = stacking_parts(self.folds.table_of(trial.fold), fold, self.clips, self.classes)
            return train, held_out if selection == "validation" else fold.test
        train = fold.train
        if trial.inner >= 0:
            unseen = set(self.inner[trial.fold][trial.inner])
            train = tuple(clip_id for clip_id in train if clip_id not in unseen)
        return train, getattr(fold, selection)

    def validation_clips(self, stage: Stage, trial: Trial) -> Sequence[str]:
        """Clips of the validation part that a trial of a stage is not trained on, whatever it selects by."""
        fold = self.folds.folds[trial.fold]
        if stage.part == "stack":
            return stacking_parts(self.folds.table_of(trial.fold), fold, self.clips, self.classes)[1]
        return fold.validation

    def test_rows(self, trial: Trial) -> np.ndarray:
        """Examples of the test part of a trial's fold."""
        return self.data.examples_of(self.folds.folds[trial.fold].test)


def make_plan(config: Config, prepared: PreparedCorpus) -> Plan:
    """Work out an experiment.

    Raises:
      ValueError: the config does not fit together or does not fit the corpus.
      LeakError: the folds share what the protocol promises to keep apart.
    """
    if config["protocol"]["select"] not in ("validation", "test"):
        raise ValueError(f"protocol.select must be 'validation' or 'test', got {config['protocol']['select']!r}")
    if config["devices"]["feed"] not in FEEDS:
        raise ValueError(f"devices.feed must be one of {tuple(FEEDS)}, got {config['devices']['feed']!r}")
    check_grid(config)
    labels = label_set(config["corpus"]["label_set"])
    clips, classes = labelled(prepared.clips, labels)
    protocol = config["protocol"]
    options = {
        "num_folds": protocol["num_folds"],
        "seed": protocol["seed"],
        "groups_may_differ": "groups_differ" in protocol["allow_leaks"],
    }
    folds = join_tables([make_folds(name.strip(), clips, classes, **options) for name in protocol["name"].split(",")])
    kept = {clip.clip_id for clip in clips}
    # (clip, kind): what is wrong with a clip's picture must not hide what is wrong with its sound.
    damaged = {(clip_id, one.kind) for found in prepared.sets.values() for clip_id, one in found.damage.items() if clip_id in kept}
    stages = stages_of(config)
    wants_inner = any(stage.part == "inner" for stage in stages)
    num_inner = config["late"]["num_inner_folds"]
    return Plan(
        config=config,
        labels=labels,
        clips=clips,
        classes=classes,
        folds=folds,
        data=load_data(config, clips, classes, prepared),
        stages=stages,
        trials=tuple(trials_of(config, len(folds.folds))),
        num_undecodable=len({clip_id for clip_id, kind in damaged if kind in LOST_KINDS}),
        num_without_face=len({clip_id for clip_id, kind in damaged if kind == "no_face"}),
        inner=tuple(inner_folds(table, fold, clips, classes, num_inner) for table in folds.tables for fold in table.folds)
        if wants_inner
        else (),
    )


def load_data(config: Config, clips: Sequence[Clip], classes: Sequence[int], prepared: PreparedCorpus) -> Feed:
    """All examples of the streams in use, in memory or as a stream; speaker by speaker where `system.speaker_normalized` asks for it.

    Raises:
      ValueError: a stream that is to be normalised is none of the system's, stays on disk, is of pictures, or has a clip without a speaker.
    """
    data = open_feed(config["devices"]["feed"], clips, classes, prepared.sets)
    names = config["system"]["speaker_normalized"]
    if not names:
        return data
    if unknown := [name for name in names if name not in config["system"]["streams"]]:
        raise ValueError(f"system.speaker_normalized names {unknown[0]!r}, but system.streams is {tuple(config['system']['streams'])}")
    if unsaid := [clip.clip_id for clip in clips if not clip.speaker]:
        raise ValueError(f"system.speaker_normalized: the corpus does not say the speaker of {len(unsaid)} clips, the first is {unsaid[0]}")
    return data.per_speaker(names, np.asarray([clip.speaker for clip in clips]))


def check_grid(config: Config) -> None:
    """Check that stages, overrides and sweeps go together, before hours go into preparing or training.

    Raises:
      ValueError: they do not; or one of them changes what a stream's features are made of, which all trials share.
    """
    if searched_axes(config):
        own = config["search"]
        check_search(**{name: own[name] for name in ("num_settings", "batch", "sampler", "lease_s")})
        if "svm" in config["train"]["stages"]:
            raise ValueError("search.space is for networks: the stage 'svm' tries its own few numbers on the validation part")
    shared = {stream: sources_of(config, stream) for stream in config["system"]["streams"]}
    for stage in stages_of(config):
        for fields in tried_fields(config):
            own = with_fields(for_stage(config, stage.name), fields)
            for stream in stage.streams:
                if sources_of(own, stream) != shared[stream]:
                    raise ValueError(
                        f"a sweep, a search or train.overrides changes the frozen encoder of the {stream} stream (model.{stream}.encoder, "
                        "encoder_trained_from or encoder_beside); its features are made once for all trials, so make it two experiments"
                    )


def stages_of(config: Config) -> tuple[Stage, ...]:
    """The stages that a config asks for."""
    return make_stages(config["train"]["stages"], config["system"]["streams"], freeze_earlier=config["train"]["freeze_earlier"])


def trials_of(config: Config, num_folds: int) -> list[Trial]:
    """The grid that a config asks for, without inner folds."""
    swept = {name: tuple(config["sweep"][name]) for name in trial_numbers(config)}
    hyper = {name: config["train"][name] for name in swept}
    return make_trials(num_folds=num_folds, seeds=config["train"]["seeds"], hyper=hyper, sweep=swept, fields=swept_fields(config))


def trial_numbers(config: Config) -> tuple[str, ...]:
    """The hyper-parameters that each trial has its own value of."""
    return tuple(name for name in config["sweep"] if name != "fields")


def searched_axes(config: Config) -> tuple[Axis, ...]:
    """The axes of `config.search.space`.

    Raises:
      ValueError: a text that is none, or a sweep beside it.
    """
    if not config["search"]["space"]:
        return ()

    def check(name: str, texts: Sequence[str]) -> None:
        values_to_try(config, name, texts, where="search.space")

    if swept := [name for name, values in config["sweep"].items() if values]:
        raise ValueError(f"search.space and sweep.{swept[0]} are both set; search or sweep, not both in one run")
    return parse_space(config["search"]["space"], trial_numbers(config), check)


def varied(config: Config) -> set[str]:
    """The hyper-parameters that are swept or searched, and are the same in all stages."""
    return {name for name in trial_numbers(config) if config["sweep"][name]} | {axis.name for axis in searched_axes(config)}


def tried_fields(config: Config) -> list[tuple[tuple[str, Any], ...]]:
    """All that a sweep or a search may put in place of fields which change the program."""
    searched = {
        axis.name: tuple(parsed(config, axis.name, text) for text in axis.choices) for axis in searched_axes(config) if axis.is_field
    }
    axes = searched or swept_fields(config)
    return [tuple(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
