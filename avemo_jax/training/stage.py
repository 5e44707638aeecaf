"""Stages: rounds of training, each of which may start from the weights of earlier ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # brings JAX, which the prediction of classical systems does not need
    from avemo_jax.training.state import TrialState


@dataclasses.dataclass(frozen=True)
class Stage:
    """One round of training.

    Attributes:
      name: name of the stage and of its checkpoints.
      streams: names of its inputs, in the order of the system's streams.
      takes_over: streams with branches that start from the weights of an earlier stage, in the order of these stages.
      frozen: paths in the parameter tree; the leaves below them are not trained.
      part: the data that it is fitted on: "train", the train part of a fold; "stack", most of the validation part, on which no earlier
        stage was trained; "inner", out-of-fold predictions of the train part (no network); one of CLASSICAL, the train part (no network).
      from_joined: (stream, stage) of the branches that are taken over from a stage of several streams, such as ("image", "image+video");
        the other branches are taken over from the stage with the name of the stream.
    """

    name: str
    streams: tuple[str, ...]
    takes_over: tuple[str, ...] = ()
    frozen: tuple[tuple[str, ...], ...] = ()
    part: str = "train"
    from_joined: tuple[tuple[str, str], ...] = ()

    @property
    def is_classical(self) -> bool:
        """Whether it fits the classical system, not a network."""
        return self.part in CLASSICAL

    def source(self, stream: str) -> str:
        """Return the name of the earlier stage that a stream's branch is taken over from: the last one that trained it."""
        return dict(self.from_joined).get(stream, stream)


# Stages of the classical system: a support vector machine, ridge regression, kernel ridge regression.
CLASSICAL = ("svm", "linear", "kernel")
# Stages without the name of a stream.
STAGES = ("fused", "stacked", "late", *CLASSICAL)
# Empty variables, used when no earlier stage exists, see `warm_start`.
NO_WARM_START: Mapping[str, Any] = {"params": {}, "batch_stats": {}}


def answering(stages: Sequence[Stage], *, fallback: bool) -> tuple[Stage, ...]:
    """Return the stages whose networks predict: those that late fusion joins, else the last one.

    Args:
      fallback: the earlier stages of fewer streams follow the last one; `answers_from` chooses among them.
    """
    last = stages[-1]
    if last.part == "inner":
        return tuple(stage for stage in stages if stage.name in last.takes_over)
    return (last, *(stage for stage in stages[:-1] if fallback))


def answers_from(streams: Sequence[tuple[str, ...]], present: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return (N,) int, which of these networks answers each example: the one of exactly the streams that it has, else the first.

    Args:
      streams: of each network; the first one has all.
      present: stream -> (N,) bool, whether an example has real steps of it.
    """
    has = np.stack([present[name] for name in streams[0]], axis=1)
    chosen = np.zeros(len(has), int)
    for number, own in enumerate(streams[1:], 1):
        chosen[(has == np.array([name in own for name in streams[0]])).all(axis=1)] = number
    return chosen


def make_stages(names: Sequence[str], streams: Sequence[str], *, freeze_earlier: bool) -> tuple[Stage, ...]:
    """Return the stages of `config.train.stages`.

    A stage with the name of a stream trains that stream alone. "fused" trains all streams; branches that an earlier stage has trained start
    from its weights. "image+video" trains these streams together in the same way, and later stages take their branches over from it.
    "stacked" takes over all branches, freezes them, and is trained on clips that they were not trained on (document D). "late" joins the
    predictions of the earlier stages by a rule that is fitted on their out-of-fold predictions (system A1). "svm", on one
    stream, "linear" and "kernel" are the classical system and must be the only stage.

    Args:
      names: names of the stages, in order.
      streams: names of the system's streams, in order.
      freeze_earlier: whether "fused" freezes the branches that it takes over.

    Raises:
      ValueError: an unknown stage; a stream with the name of a stage; a joining stage with only one stream, without the stages that it
        joins, or of all streams but not in the last place.
    """
    streams = tuple(streams)
    if taken := [stream for stream in streams if stream in STAGES]:
        raise ValueError(f"a stream cannot be named {taken[0]!r}, which is a stage; rename the stream in --config.system.streams")
    stages: list[Stage] = []
    for name in names:
        if name in streams:
            stages.append(Stage(name, (name,)))
        elif name not in STAGES and "+" in name:
            stages.append(_joined_part(name, streams, stages))
        elif name not in STAGES:
            raise ValueError(
                f"expected each of --config.train.stages to be a stream, one of {streams}, several such as 'a+b', or one of {STAGES}, "
                f"got {name!r} (--config.system.streams names the streams)"
            )
        elif name in CLASSICAL:
            if len(names) != 1 or (name == "svm" and len(streams) != 1):
                which = "the only stage, on one stream" if name == "svm" else "the only stage"
                raise ValueError(f"the stage {name!r} is {which}; got stages {tuple(names)} and streams {streams}")
            stages.append(Stage(name, streams, part=name))
        else:
            stages.append(_joining_stage(name, streams, stages, freeze_earlier=freeze_earlier))
    if len({stage.name for stage in stages}) != len(stages) or not stages:
        raise ValueError(f"--config.train.stages must name at least one stage and none twice, got {tuple(names)}")
    if set(stages[-1].streams) != set(streams) or any(set(one.streams) == set(streams) for one in stages[:-1]):
        raise ValueError(f"the last of train.stages, and no other, must use all streams {streams}; got {tuple(names)}")
    return tuple(stages)


def _joining_stage(name: str, streams: tuple[str, ...], earlier: Sequence[Stage], *, freeze_earlier: bool) -> Stage:
    """Return a stage of all streams."""
    if len(streams) < 2:
        raise ValueError(f"the stage {name!r} joins two streams or more; --config.system.streams is {streams}")
    before = tuple(stage.name for stage in earlier)
    if name != "fused" and set(before) != set(streams):
        raise ValueError(f"the stage {name!r} joins one stage for each stream of {streams}; the stages before it are {before}")
    takes_over, from_joined = _taken_over(streams, earlier)
    frozen = tuple((one,) for one in takes_over) if freeze_earlier or name == "stacked" else ()
    return Stage(name, streams, takes_over, frozen, {"stacked": "stack", "late": "inner"}.get(name, "train"), from_joined)


def _joined_part(name: str, streams: tuple[str, ...], earlier: Sequence[Stage]) -> Stage:
    """Return a stage of some streams; it trains the branches that it takes over, even if `freeze_earlier` is set."""
    named = name.split("+")
    if len(set(named)) != len(named) or not set(named) < set(streams):
        raise ValueError(
            f"the stage {name!r} of --config.train.stages must name some of the streams {streams}, each once; 'fused' trains all of them"
        )
    own = tuple(stream for stream in streams if stream in named)
    takes_over, from_joined = _taken_over(own, earlier)
    return Stage(name, own, takes_over, from_joined=from_joined)


def _taken_over(streams: tuple[str, ...], earlier: Sequence[Stage]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return `Stage.takes_over` and `Stage.from_joined` of a stage of these streams after the stages `earlier`."""
    last = {stream: stage for stage in earlier for stream in stage.streams if stream in streams}
    return tuple(last), tuple((stream, stage.name) for stream, stage in last.items() if len(stage.streams) > 1)


def warm_start(
    stage: Stage, finished: Mapping[str, Sequence[TrialState]], num_trials: int, published: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the variables that each trial of a stage starts from: the best weights of the same trial in the earlier stages.

    Args:
      finished: earlier stage -> the state of each trial.
      published: {"params": ..., "batch_stats": ...}, initial weights of encoders that are trained with the network, at their paths in its
        tree; unused for streams that the stage takes over, which have trained weights.
    """
    encoders = {
        kind: {stream: tree for stream, tree in trees.items() if stream in stage.streams and stream not in stage.takes_over}
        for kind, trees in (published or {}).items()
    }
    return [
        {
            "params": {stream: finished[stage.source(stream)][i].best.params for stream in stage.takes_over},
            "batch_stats": {stream: finished[stage.source(stream)][i].best.batch_stats for stream in stage.takes_over},
            **({"published": encoders} if any(encoders.values()) else {}),
        }
        for i in range(num_trials)
    ]
