"""An experiment on random arrays, with the networks and recipes of a real config but without media or prepared sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import jax
import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.config import parse
from avemo_jax.config.overrides import with_fields
from avemo_jax.data.resident import ResidentSet
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.grid import make_grid, stages_of
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.stages import program_of
from avemo_jax.experiment.variation import variation_of
from avemo_jax.labels import label_set
from avemo_jax.models import cnn
from avemo_jax.protocols.folds import join_tables
from avemo_jax.protocols.rules import make_folds
from avemo_jax.training import steps
from avemo_jax.training.memory import traces_inside
from avemo_jax.training.programs import Program
from avemo_jax.training.stage import NO_WARM_START, Stage
from avemo_jax.training.trials import trial_groups
from configs import ravdess


@dataclasses.dataclass(frozen=True)
class System:
    """One network of the benchmarks.

    Attributes:
      config: system of `configs/ravdess.py`.
      shapes: stream -> shape of every example, its steps first.
      num_folds: number of folds of the cross-validation.
      stage: name of the training stage that is timed.
      twin: name of its twins in `benchmarks.twins_torch` and `benchmarks.twins_keras`.
    """

    config: str
    shapes: dict[str, tuple[int, ...]]
    num_folds: int
    stage: str
    twin: str


SYSTEMS = {
    "a2": System("contextual_temporal", {"audio": (5, 128), "video": (16, 2048)}, 10, "fused", "ContextualTemporal"),
    "e_audio": System("gru_attention", {"audio": (64, 13)}, 5, "audio", "GRUAttention"),
    "small_cnn": System("small_video", {"video": (8, 32, 32, 1)}, 5, "video", "SmallCNN"),
}


def plan(
    system: str,
    shapes: dict[str, tuple[int, ...]],
    *,
    num_clips: int,
    num_folds: int,
    execution: str = "auto",
    lengths: Mapping[str, np.ndarray] | None = None,
    signal: float = 0.0,
    **fields: Any,
) -> GridPlan:
    """Return the plan of a run of `configs/ravdess.py:<system>` on `num_clips` examples of random numbers.

    Args:
      shapes: stream -> (T, ...), steps and the shape of a step.
      lengths: stream -> (num_clips,), number of real steps of each clip; all steps are real in a stream that is not named.
      signal: weight of a pattern of each class that is added to streams of features, so that there is something to learn.
      fields: fields of the config, with two underscores for each dot: train__batch_size=16.
    """
    given = {name.replace("__", "."): value for name, value in fields.items()}
    changes = {"protocol.name": "random_k", "protocol.num_folds": num_folds, "devices.execution": execution} | given
    experiment = with_fields(parse(ravdess.get_config(system).to_dict()), changes)
    labels = label_set("ravdess8")
    rng = np.random.default_rng(0)
    classes = tuple(int(one) for one in rng.permutation(num_clips) % len(labels.classes))
    clips = tuple(
        Clip(clip_id=f"clip{i:05}", corpus="made", label=labels.classes[classes[i]], speaker=f"s{i % 24:02}", gender="female")
        for i in range(num_clips)
    )
    arrays: dict[str, np.ndarray] = {}
    for stream, shape in shapes.items():
        if len(shape) > 2:
            arrays[stream] = rng.integers(0, 256, (num_clips, *shape), dtype=np.uint8)
        else:
            arrays[stream] = rng.normal(size=(num_clips, *shape)).astype(np.float32)
            if signal:
                patterns = np.random.default_rng(1).normal(size=(len(labels.classes), *shape)).astype(np.float32)
                arrays[stream] += np.float32(signal) * patterns[list(classes)]
        real = (lengths or {}).get(stream, np.full(num_clips, shape[0]))
        arrays[f"{stream}_mask"] = np.arange(shape[0]) < real[:, None]
    arrays |= {"label": np.asarray(classes, np.int32), "clip": np.arange(num_clips, dtype=np.int32), "usable": np.ones(num_clips, bool)}
    times = {stream: np.tile(np.arange(shape[0], dtype=np.float32), (num_clips, 1)) for stream, shape in shapes.items()}
    table = make_folds("random_k", clips, classes, num_folds=num_folds, seed=0)
    data = ResidentSet(tuple(clip.clip_id for clip in clips), arrays, times)
    variation, stages = variation_of(experiment), stages_of(experiment)
    steps_of = {stream: data.step_of(stream) for stream in data.streams}
    num_steps = {stream: data.num_steps(stream) for stream in data.streams}
    return GridPlan(
        blueprint=Blueprint(experiment, variation, labels, steps_of, num_steps),
        grid=make_grid(experiment, variation, stages, num_folds),
        clips=clips,
        classes=classes,
        folds=join_tables([table]),
        data=data,
        ratings=np.empty((len(clips), 0)),
        num_undecodable=0,
        num_without_face=0,
    )


def laid_out(plan: GridPlan, stage_name: str) -> tuple[Stage, Program, Any]:
    """Return a stage, the program of all its trials, which are one group, and their lanes.

    Raises:
      ValueError: the trials need several programs.
    """
    stage = next(one for one in plan.stages if one.name == stage_name)
    trials = plan.grid.trials_of(stage)
    if len(trial_groups(trials)) != 1:
        raise ValueError("expected trials of one program, got several; sweep hyper-parameters that do not change the program")
    inputs = plan.inputs(stage, trials)
    program = program_of(plan, stage, trials, inputs)
    return stage, program, program.lanes(inputs)


def one_more_epoch(plan: GridPlan, program: Program, lanes: Any) -> Callable[[], float]:
    """Return a function that trains one more epoch of all trials and returns their mean validation loss."""
    states = [fresh_states(plan, program, lanes)]

    def epoch() -> float:
        states[0], metrics = program.epoch(lanes, states[0])
        return float(np.mean([one.val_loss for one in program.trials(metrics, len(plan.trials))]))

    return epoch


def parts_of(plan: GridPlan, stage: Stage) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of the training part and of the selection part of each trial."""
    return [(one.train_index[: one.train_count], one.select_index[: one.select_count]) for one in plan.inputs(stage, plan.trials)]


def fresh_states(plan: GridPlan, program: Program, lanes: Any) -> Any:
    """Return the states of all trials before their first epoch."""
    return program.init(lanes, program.lanes([NO_WARM_START] * len(plan.trials)))


def product_flops(plan: GridPlan, stage: Stage) -> float:
    """Return the floating-point operations of matrix products in one epoch of all trials: training steps, and the validation part.

    For a convolution they are those of its definition, without the products with zeros in `ProductConv`.
    """
    with mock.patch.object(cnn, "columns_at_once", lambda channels: 1):
        return every_product_flops(plan, stage)


def every_product_flops(plan: GridPlan, stage: Stage) -> float:
    """As `product_flops`, with the zeros that `ProductConv` multiplies in vain."""
    trials = plan.grid.trials_of(stage)
    inputs = plan.inputs(stage, trials)
    net, recipe = plan.blueprint.net(stage, trials[0].fields), plan.recipe(stage, trials[0])
    data = {name: jax.ShapeDtypeStruct(values.shape, values.dtype) for name, values in plan.data.only(stage.streams).arrays.items()}
    state = jax.eval_shape(lambda data, one: steps.init_trial(net, recipe, data, one, NO_WARM_START), data, inputs[0])
    index = jax.ShapeDtypeStruct((recipe.batch_size,), np.int32)
    mask = jax.ShapeDtypeStruct((recipe.batch_size,), bool)

    def step(data, state, one, index, mask):
        batch = steps.gather(data, index, mask)
        return steps.train_step(net, recipe, state.learner, state.scaler, batch, one.hyper, one.hyper.learning_rate)

    def predict(data, state, index):
        return steps.probabilities(net, recipe.streams, state.best.variables, state.scaler, data, index)

    of_step = count_products(jax.make_jaxpr(step)(data, state, inputs[0], index, mask).jaxpr)
    of_batch = count_products(jax.make_jaxpr(predict)(data, state, index).jaxpr)
    num_steps = sum(-(-int(one.train_count) // recipe.batch_size) for one in inputs)
    num_predicted = sum(int(one.select_count) for one in inputs) / recipe.batch_size
    return of_step * num_steps + of_batch * num_predicted


def count_products(jaxpr: Any) -> float:
    """Return the number of multiplications and additions of all products in a program; bodies of loops count as often as they run."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracting, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2.0 * np.prod(equation.outvars[0].aval.shape) * np.prod([left[axis] for axis in contracting])
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += repeats * sum(map(count_products, traces_inside(equation)))
    return total
