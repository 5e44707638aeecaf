"""Training with batches from disk: one trial after another, each batch split over all devices.

Steps, order and the end of an epoch are those of `execution.TrialProgram`, behind the same methods; only the batches come from disk
instead of from the devices' memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from avemo_jax import parallel
from avemo_jax.data.feed import Feed
from avemo_jax.data.stream import StreamedSet
from avemo_jax.runs.time_spent import waited_for
from avemo_jax.training import execution, steps
from avemo_jax.training.frontend import features, network_input
from avemo_jax.training.scaler import deviation_of
from avemo_jax.training.state import Learner, Recipe, StreamRecipe, TrialInputs, TrialState


class StreamProgram:
    """The program of trials with tf.data batches. It has the methods of `execution.TrialProgram`; lanes are lists of trees."""

    def __init__(self, net: nn.Module, recipe: Recipe, data: StreamedSet, mesh: Mesh, num_steps: int):
        if recipe.length_limits:
            raise ValueError("train.length_buckets needs all examples in memory; set --config.devices.feed=resident, or length_buckets=1")
        self._net = net
        self._recipe = recipe
        self._stream = data
        self._mesh = mesh
        self.num_steps = num_steps
        # Labels and clips of all examples are small, and the end of an epoch needs them.
        self._data = parallel.place_everywhere({"label": data.label, "clip": data.clip, "usable": data.usable}, mesh)
        self._init = jax.jit(partial(_start, net, recipe))
        self._order = jax.jit(partial(execution.order_of_epoch, recipe, self._data, num_steps=num_steps))
        self._step = jax.jit(partial(_step, net, recipe), donate_argnums=(2,))
        self._probabilities = jax.jit(partial(_probabilities, net, recipe.streams))
        self._end = jax.jit(partial(steps.end_epoch, recipe))

    def lanes(self, trials: Sequence[Any]) -> list[Any]:
        """Return trees of one trial each as lanes, with a whole copy on each device."""
        return [parallel.place_everywhere(trial, self._mesh) for trial in trials]

    def trials(self, lanes: list[Any], num_trials: int) -> list[Any]:
        """Return lanes as one tree of numpy arrays a trial."""
        return [jax.device_get(lane) for lane in lanes[:num_trials]]

    def trial_shape(self, inputs: TrialInputs, warm: Any) -> TrialState:
        """Return the shapes and types of one trial's state."""
        return steps.trial_shape(self._net, self._recipe, row_shapes(self._stream), inputs, warm)

    def init(self, inputs: list[TrialInputs], warm: list[Any]) -> list[TrialState]:
        """Return initial trial states; the scaler is fitted in one pass over each training part."""
        example = self._stream.load(np.zeros(2, np.int32)) | {"mask": np.ones(2, bool)}
        return [self._init(one, earlier, self._scalers(one), example) for one, earlier in zip(inputs, warm, strict=True)]

    def _scalers(self, inputs: TrialInputs) -> dict[str, Any]:
        rows = np.asarray(inputs.train_index)[: int(inputs.train_count)]
        return fit_stream_scalers(self._recipe, self._stream.load, rows)

    def epoch(self, inputs: list[TrialInputs], states: list[TrialState]) -> tuple[list[TrialState], list[Any]]:
        """Train all trials for one epoch; return new states and EpochMetrics."""
        results = [
            self._epoch_of(one, state) if state.active else (state, execution.IDLE) for one, state in zip(inputs, states, strict=True)
        ]
        return [state for state, _ in results], [metrics for _, metrics in results]

    def predict(self, states: list[TrialState], index: list[Any]) -> list[np.ndarray]:
        """Return the probabilities (V, K) of the examples `index` (V,) of each trial, by its best weights."""
        return [self._all(state.best.variables, state.scaler, np.asarray(rows)) for state, rows in zip(states, index, strict=True)]

    def _epoch_of(self, inputs: TrialInputs, state: TrialState) -> tuple[TrialState, Any]:
        order, real = (np.asarray(one) for one in self._order(inputs, state))
        # A copy, since a step donates its learner and the state is read again at the end.
        learner, sums = jax.tree.map(jnp.copy, state.learner), steps.no_sums(self._recipe)
        for batch in waited_for(self._stream.batches(order, real, self._recipe.batch_size)):
            learner, sums = self._step(inputs, state, (learner, sums), parallel.place_batch(batch, self._mesh))
        probabilities = self._all(learner.validated_variables, state.scaler, np.asarray(inputs.select_index))
        return self._end(self._data, inputs, state, learner, probabilities, sums)

    def _all(self, variables: Any, scaler: Any, rows: np.ndarray) -> np.ndarray:
        size = self._recipe.batch_size
        order = np.pad(rows, (0, -len(rows) % size)).astype(np.int32)
        batches = waited_for(self._stream.batches(order, np.ones(len(order), bool), size))
        probabilities = [self._probabilities(variables, scaler, parallel.place_batch(batch, self._mesh)) for batch in batches]
        return np.concatenate([np.asarray(one) for one in probabilities])[: len(rows)]


def row_shapes(feed: Feed) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shape and type of one example of each stream and its mask, as in a batch without its first axis."""
    rows = {}
    for name in feed.streams:
        step_shape, dtype = feed.step_of(name)
        rows[name] = jax.ShapeDtypeStruct((feed.num_steps(name), *step_shape), np.dtype(dtype))
        rows[f"{name}_mask"] = jax.ShapeDtypeStruct((feed.num_steps(name),), np.bool_)
    return rows


def fit_stream_scalers(recipe: Recipe, load: Callable[[np.ndarray], Any], rows: np.ndarray) -> dict[str, Any]:
    """Return the scaler of each standardised stream, fitted on the examples `rows` with sums in float64, which lose no digits.

    Args:
      load: function that loads rows (B,), as `StreamedSet.load` does.
    """
    by_step = {one.name: one.standardize == "steps" for one in recipe.streams if one.standardize != "none"}
    sums = {name: [0.0, 0.0, 0.0] for name in by_step}
    for row in rows if sums else ():
        example = jax.device_get(features(recipe.streams, load(np.asarray([row]))))
        for name, total in sums.items():
            values, mask = np.asarray(example[name], np.float64)[0], example[f"{name}_mask"][0]
            steps_of = values.reshape(len(values), -1, values.shape[-1])
            for power in range(3):
                of_steps = (steps_of**power).sum(axis=1) * mask[:, None]
                total[power] = total[power] + (of_steps if by_step[name] else of_steps.sum(axis=0))
    scaler = {}
    for name, (count, first, second) in sums.items():
        mean = first / np.maximum(count, 1)
        variance = np.maximum(second / np.maximum(count, 1) - mean**2, 0)
        scaler[name] = {"mean": np.float32(mean), "deviation": np.asarray(deviation_of(jnp.float32(variance)))}
    return scaler


def _start(net: nn.Module, recipe: Recipe, inputs: TrialInputs, warm: Any, scaler: Any, example: steps.Data) -> TrialState:
    return steps.start_trial(net, recipe, inputs, warm, scaler, network_input(recipe.streams, scaler, example))


def _step(
    net: nn.Module, recipe: Recipe, inputs: TrialInputs, state: TrialState, carry: tuple[Learner, jax.Array], batch: steps.Data
) -> tuple[Learner, jax.Array]:
    return execution.step_on_batch(net, recipe, None, inputs, state, *carry, batch)


def _probabilities(net: nn.Module, streams: Sequence[StreamRecipe], variables: Any, scaler: Any, batch: steps.Data) -> jax.Array:
    return steps.probabilities_of(net, variables, scaler, network_input(streams, scaler, batch))
