"""What an experiment consists of, worked out from its config and its prepared corpus before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import LOST_KINDS, PreparedCorpus
from avemo_jax.data.resident import ResidentSet, load_resident
from avemo_jax.data.stream import StreamedSet, open_stream
from avemo_jax.labels import LabelSet, label_set, labelled
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet, FusionSpec
from avemo_jax.protocols.folds import FoldTable, make_folds
from avemo_jax.training.augment import Augmentation
from avemo_jax.training.grid import Stage, Trial, make_inputs, make_stages, make_trials
from avemo_jax.training.state import Recipe, TrialInputs

Config = Mapping[str, Any]
FEEDS: dict[str, Callable[..., ResidentSet | StreamedSet]] = {"resident": load_resident, "stream": open_stream}


@dataclasses.dataclass(frozen=True)
class Plan:
    """An experiment, ready to be trained or evaluated.

    Attributes:
      config: the resolved config as nested plain dicts.
      labels: label set.
      clips, classes: the labelled clips, sorted by id, and the class of each.
      folds: fold table.
      data: all examples of the streams in use, in memory or as a stream (`config.devices.feed`).
      stages: in order.
      trials: the grid.
    """

    config: Config
    labels: LabelSet
    clips: tuple[Clip, ...]
    classes: tuple[int, ...]
    folds: FoldTable
    data: ResidentSet | StreamedSet
    stages: tuple[Stage, ...]
    trials: tuple[Trial, ...]
    num_undecodable: int
    num_without_face: int

    def net(self, stage: Stage) -> EmotionNet:
        """The network of a stage."""
        return make_net(self.config, stage.streams, len(self.labels.classes))

    def recipe(self, stage: Stage) -> Recipe:
        """The recipe of a stage."""
        train, protocol = self.config["train"], self.config["protocol"]
        shared = {field.name for field in dataclasses.fields(Recipe)} & train.keys()
        return Recipe(
            **{name: train[name] for name in shared - {"audio_augmentation", "video_augmentation"}},
            num_classes=len(self.labels.classes),
            num_clips=len(self.clips),
            metric=protocol["metric"],
            standardized=tuple(stream for stream in stage.streams if is_standardized(self.config, stream)),
            frozen=stage.frozen,
            use_mixup=any(trial.hyper["mixup_alpha"] > 0 for trial in self.trials),
            num_cepstra=self.config["model"]["num_cepstra"] if "audio" in stage.streams else 0,
            audio_augmentation=Augmentation(**train["audio_augmentation"]),
            video_augmentation=Augmentation(**train["video_augmentation"]),
        )

    def inputs(self, stage: Stage) -> list[TrialInputs]:
        """What each trial of a stage trains on and selects by; examples without a real step in the stage's streams are left out."""
        data = self.data.only(stage.streams)
        selection = {"validation": "validation", "test": "test"}[self.config["protocol"]["select"]]

        def usable(clip_ids):
            rows = data.examples_of(clip_ids)
            return rows[data.arrays["usable"][rows]]

        parts = [(usable(fold.train), data.examples_of(getattr(fold, selection))) for fold in self.folds.folds]
        for fold, (rows, _) in zip(self.folds.folds, parts, strict=True):
            if not len(rows):
                raise ValueError(f"protocol {self.folds.protocol}, fold {fold.name}: no training clip has anything in {stage.streams}")
        return make_inputs(self.trials, parts)

    def test_rows(self, trial: Trial) -> np.ndarray:
        """Examples of the test part of a trial's fold."""
        return self.data.examples_of(self.folds.folds[trial.fold].test)


def is_standardized(config: Config, stream: str) -> bool:
    """Whether a stream is z-scored; encoders with published weights expect their view as it is."""
    branch = config["model"][stream]
    return branch["standardize"] and branch["encoder"] not in ("vggish", "inception_v3")


def make_net(config: Config, streams: tuple[str, ...], num_classes: int) -> EmotionNet:
    """Build the network of the given streams from the config's `model` part."""
    model = config["model"]

    def branch(stream: str) -> BranchSpec | None:
        if stream not in streams:
            return None
        return BranchSpec(**{name: value for name, value in model[stream].items() if name != "standardize"})

    return EmotionNet(num_classes, audio=branch("audio"), video=branch("video"), fusion=FusionSpec(**model["fusion"]))


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
    labels = label_set(config["corpus"]["label_set"])
    clips, classes = labelled(prepared.clips, labels)
    protocol, train, system = config["protocol"], config["train"], config["system"]
    folds = make_folds(protocol["name"], clips, classes, num_folds=protocol["num_folds"], seed=protocol["seed"])
    swept = {name: tuple(values) for name, values in config["sweep"].items()}
    kept = {clip.clip_id for clip in clips}
    # (clip, kind): what is wrong with a clip's picture must not hide what is wrong with its sound.
    damaged = {(clip_id, one.kind) for found in prepared.sets.values() for clip_id, one in found.damage.items() if clip_id in kept}
    return Plan(
        config=config,
        labels=labels,
        clips=clips,
        classes=classes,
        folds=folds,
        data=FEEDS[config["devices"]["feed"]](clips, classes, prepared.sets),
        stages=make_stages(train["stages"], system["streams"], freeze_earlier=train["freeze_earlier"]),
        trials=tuple(
            make_trials(num_folds=len(folds.folds), seeds=train["seeds"], hyper={name: train[name] for name in swept}, sweep=swept)
        ),
        num_undecodable=len({clip_id for clip_id, kind in damaged if kind in LOST_KINDS}),
        num_without_face=len({clip_id for clip_id, kind in damaged if kind == "no_face"}),
    )
