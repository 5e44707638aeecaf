"""The execution of trials and steps: its choice, and the compiled programs of resident examples.

Trials run side by side (`vmap`) or one after another (`loop`); the steps of an epoch run inside one compiled loop (`scan`) or are
dispatched one by one (`python`). The results are the same up to rounding; which one is faster depends on backend and network.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from avemo_jax import parallel
from avemo_jax.training import steps
from avemo_jax.training.dimensions import RATING
from avemo_jax.training.lengths import bucketed_epoch_order, by_class
from avemo_jax.training.state import EpochMetrics, Learner, Recipe, TrialInputs, TrialState

EVALUATION_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Execution:
    """How trials and steps are executed.

    Attributes:
      trials: "vmap" (side by side) or "loop" (one after another).
      steps: "scan" (one compiled loop) or "python" (dispatched one by one).
    """

    trials: str
    steps: str

    def __post_init__(self):
        if self.trials not in ("vmap", "loop") or self.steps not in ("scan", "python"):
            raise ValueError(f"devices.execution must be auto or <vmap|loop>_<scan|python>, got {self.trials}_{self.steps}")


def choose_execution(setting: str, *, backend: str, convolves: bool) -> Execution:
    """Return the execution that `config.devices.execution` asks for.

    Args:
      setting: "auto", or "<trials>_<steps>".
      backend: `jax.default_backend()`.
      convolves: whether the network has XLA convolutions (VGGish, InceptionV3), which on CPU are far slower inside a compiled
        loop (jax issue 12868).
    """
    if setting != "auto":
        return Execution(*setting.split("_", 1)) if setting.count("_") == 1 else Execution(setting, "")
    if backend != "cpu":
        return Execution("vmap", "scan")
    if convolves:
        return Execution("loop", "python")
    # XLA on CPU runs the batched products of trials side by side no faster than one trial after another, and in a loop a trial that has
    # stopped early takes no time.
    return Execution("loop", "scan")


class TrialProgram:
    """The compiled program of a group of trials of equal shape.

    It has no state of trials: every method takes the trials and returns them. `Lanes` are trials in the form of the execution: one stacked
    tree on the mesh, or a list of trees. Trials that run side by side are padded to `num_lanes`, or to the largest group so far, so that
    smaller groups run the same compiled program.
    """

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        data: dict[str, np.ndarray],
        execution: Execution,
        mesh: Mesh,
        num_steps: int,
        *,
        num_lanes: int = 0,
    ):
        self.execution = execution
        self._num_lanes = num_lanes
        self.mesh = mesh
        # Trials in a loop are spread over the devices, each of which has a copy of the shared data.
        self._meshes = parallel.trial_meshes(mesh) if execution.trials == "loop" else [mesh]
        copies = [parallel.place_everywhere(data, one) for one in self._meshes]
        self._data = copies[0]
        self._data_on = {frozenset(one.devices.flat): copy for one, copy in zip(self._meshes, copies, strict=True)}
        self.num_steps = num_steps
        self._threads = ThreadPoolExecutor(os.cpu_count())
        self._batch_size = recipe.batch_size
        split_over = mesh if mesh.devices.size > 1 else None
        each = self._over_trials
        self._init_one = partial(steps.init_trial, net, recipe)
        self._init = each(self._init_one, shared=1)
        self._predict = each(partial(_predict, net, recipe, scan=execution.steps == "scan"), shared=1)
        if execution.steps == "scan":
            self._epoch = each(partial(_epoch, net, recipe, num_steps=num_steps, mesh=split_over), shared=1, donate=(2,))
        else:
            self._order = each(partial(order_of_epoch, recipe, num_steps=num_steps), shared=1)
            self._step = each(partial(_indexed_step, net, recipe, mesh=split_over), shared=2)
            self._end = each(partial(steps.end_epoch, recipe), shared=1, donate=(2,))
            self._no_sums = steps.no_sums(recipe)

    # Conversion to lanes and back.

    def lanes(self, trials: Sequence[Any]) -> Any:
        """Return trees of one trial each as lanes, padded with copies of the last trial to fill the mesh."""
        if self.execution.trials == "loop":
            share = parallel.Sharing() if all(isinstance(trial, TrialInputs) for trial in trials) else None
            meshes = (self._meshes[i % len(self._meshes)] for i in range(len(trials)))
            return [parallel.place_everywhere(trial, mesh, share) for trial, mesh in zip(trials, meshes, strict=True)]
        self._num_lanes = max(self._num_lanes, len(trials))
        num_lanes = parallel.pad_trials(self._num_lanes, self.mesh)
        padded = list(trials) + [trials[-1]] * (num_lanes - len(trials))
        return parallel.place_trials(jax.tree.map(lambda *leaves: np.stack(leaves), *padded), self.mesh)

    def trials(self, lanes: Any, num_trials: int) -> list[Any]:
        """Return lanes as one tree of numpy arrays a trial."""
        if self.execution.trials == "loop":
            return [jax.device_get(lane) for lane in lanes]
        host = parallel.to_host(lanes)
        return [jax.tree.map(lambda leaf, i=i: leaf[i], host) for i in range(num_trials)]

    def trial_shape(self, inputs: TrialInputs, warm: Any) -> TrialState:
        """Return the shapes and types of one trial's state."""
        return jax.eval_shape(self._init_one, self._data, inputs, warm)

    # Functions of lanes.

    def init(self, inputs: Any, warm: Any) -> Any:
        """Return initial trial states."""
        return self._init(self._data, inputs, warm)

    def epoch(self, inputs: Any, states: Any) -> tuple[Any, Any]:
        """Train all trials for one epoch; return new states and EpochMetrics on the devices. The buffers of `states` are donated."""
        if self.execution.trials == "vmap":
            return self._epoch_of(inputs, states)

        # A trial that has stopped is skipped.
        def one_epoch(trial):
            one, state = trial
            return jax.block_until_ready(self._epoch_of([one], [state])) if state.active else ([state], [IDLE])

        results = self._side_by_side(one_epoch, zip(inputs, states, strict=True))
        return [state for (state,), _ in results], [metrics for _, (metrics,) in results]

    def lower_epoch(self, inputs: Any, states: Any) -> Any:
        """Return the lowered program of an epoch of trials side by side, for what its compiler states of it."""
        return self._epoch.lower(self._data, inputs, states)  # type: ignore[attr-defined]  # a compiled function where trials are mapped

    def _epoch_of(self, inputs: Any, states: Any) -> tuple[Any, Any]:
        if self.execution.steps == "scan":
            return self._unzip(self._epoch(self._data, inputs, states))
        return self._epoch_of_steps(inputs, states)

    def predict(self, states: Any, index: Any) -> Any:
        """Return the probabilities (V, K) of the examples `index` (V,) of each trial, by its best weights."""
        variables = self._map_host(lambda state: state.best.variables, states)
        scalers = self._map_host(lambda state: state.scaler, states)
        return self._all_chunks(variables, scalers, index)

    def _epoch_of_steps(self, inputs: Any, states: Any) -> tuple[Any, Any]:
        order, mask = self._unzip(self._order(self._data, inputs, states))
        learner = self._map_host(lambda state: state.learner, states)
        sums = self._map_host(lambda state: jnp.broadcast_to(self._no_sums, (*state.epoch.shape, *self._no_sums.shape)), states)
        for step in range(self.num_steps):
            start = np.int32(step * self._batch_size)
            learner, sums = self._unzip(self._step(self._data, start, inputs, states, learner, sums, order, mask))
        weights = self._map_host(lambda one: one.validated_variables, learner)
        scalers = self._map_host(lambda state: state.scaler, states)
        probabilities = self._all_chunks(weights, scalers, self._map_host(lambda one: one.select_index, inputs))
        return self._unzip(self._end(self._data, inputs, states, learner, probabilities, sums))

    def _all_chunks(self, variables: Any, scalers: Any, index: Any) -> Any:
        if self.execution.steps == "scan":
            return self._predict(self._data, variables, scalers, index)
        chunks = []
        size = (index[0] if isinstance(index, list) else index).shape[-1]
        for start in range(0, size, EVALUATION_BATCH):
            piece = self._map_host(itemgetter((..., slice(start, start + EVALUATION_BATCH))), index)
            chunks.append(self._predict(self._data, variables, scalers, piece))
        if self.execution.trials == "loop":
            return [jnp.concatenate(parts) for parts in zip(*chunks, strict=True)]
        return jnp.concatenate(chunks, axis=1)

    # Mapping over trials.

    def _over_trials(self, function: Callable[..., Any], *, shared: int, donate: tuple[int, ...] = ()) -> Callable[..., Any]:
        """Return `function(*shared, *per_trial)` compiled, taking lanes in place of each per-trial argument."""
        if self.execution.trials == "vmap":

            def mapped(*arguments):
                axes = (None,) * shared + (0,) * (len(arguments) - shared)
                return parallel.over_trials(function, axes)(*arguments)

            return jax.jit(mapped, donate_argnums=donate)
        compiled = jax.jit(function, donate_argnums=donate)

        def one_after_another(*arguments):
            common, lanes = arguments[:shared], arguments[shared:]
            return self._side_by_side(lambda lane: compiled(*self._on_devices_of(lane, common), *lane), zip(*lanes, strict=True))

        return one_after_another

    def _on_devices_of(self, lane: Any, shared: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shared arguments on the devices of a lane."""
        if len(self._data_on) == 1:
            return shared
        devices = next(leaf for leaf in jax.tree.leaves(lane) if isinstance(leaf, jax.Array)).sharding.device_set
        return tuple(self._data_on[frozenset(devices)] if one is self._data else one for one in shared)

    def _side_by_side(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return `function` of every item, computed in one thread a core, since a small network keeps only one core busy."""
        first, *rest = items
        # The first call compiles; the others wait for it, as they would otherwise compile the same program too.
        return [function(first), *self._threads.map(function, rest)]

    def _map_host(self, function: Callable[[Any], Any], lanes: Any) -> Any:
        return [function(lane) for lane in lanes] if isinstance(lanes, list) else function(lanes)

    def _unzip(self, result: Any) -> Any:
        """Return a list of pairs as a pair of lists, and anything else unchanged."""
        return tuple(list(column) for column in zip(*result, strict=True)) if isinstance(result, list) else result


IDLE = EpochMetrics(*(np.float32(np.nan),) * 7, active=np.bool_(False), failed=np.bool_(False))  # type: ignore[arg-type]  # on the host


def order_of_epoch(recipe: Recipe, data: Any, inputs: TrialInputs, state: TrialState, *, num_steps: int) -> tuple[jax.Array, jax.Array]:
    """Return the examples of an epoch, one batch after another, and which of them are real."""
    seed, size = inputs.hyper.seed, num_steps * recipe.batch_size
    order, real = steps.epoch_order(seed, state.epoch, inputs.train_index, inputs.train_count, size)
    return bucketed_epoch_order(recipe, data, seed, state.epoch, order, real)


def step_on_batch(
    net: nn.Module, recipe: Recipe, mesh: Mesh | None, inputs: TrialInputs, state: TrialState, learner: Learner, sums: jax.Array, batch: Any
) -> tuple[Learner, jax.Array]:
    """Return the learner after one step at the current learning rate, and `sums` of the epoch so far, see `steps.train_step`."""
    rate = steps.learning_rate_of(recipe, state, learner, inputs)
    if inputs.ratings is not None:
        batch = batch | {RATING: inputs.ratings.of_clip[batch["clip"]]}
    learner, own = steps.train_step(net, recipe, learner, state.scaler, batch, inputs.hyper, rate, mesh=mesh)
    return learner, sums + own


def _indexed_step(net, recipe, data, start, inputs, state, learner, sums, order, mask, *, mesh):
    index = jax.lax.dynamic_slice_in_dim(order, start, recipe.batch_size)
    real = jax.lax.dynamic_slice_in_dim(mask, start, recipe.batch_size)
    return step_on_batch(net, recipe, mesh, inputs, state, learner, sums, steps.gather(data, index, real & state.active))


def _epoch(
    net: nn.Module, recipe: Recipe, data: Any, inputs: TrialInputs, state: TrialState, *, num_steps: int, mesh: Mesh | None
) -> tuple[TrialState, EpochMetrics]:
    """Return the state and metrics of one trial after one epoch: its steps, the selection part, the update of the state."""
    order, mask = order_of_epoch(recipe, data, inputs, state, num_steps=num_steps)

    def body(carry, batch):
        index, real = batch
        return step_on_batch(net, recipe, mesh, inputs, state, *carry, steps.gather(data, index, real & state.active)), None

    batches = (order.reshape(num_steps, -1), mask.reshape(num_steps, -1))
    (learner, sums), _ = jax.lax.scan(body, (state.learner, steps.no_sums(recipe)), batches)
    probabilities = _predict(net, recipe, data, learner.validated_variables, state.scaler, inputs.select_index, scan=True)
    return steps.end_epoch(recipe, data, inputs, state, learner, probabilities, sums)


def _predict(net: nn.Module, recipe: Recipe, data: Any, variables: Any, scaler: Any, index: jax.Array, *, scan: bool) -> jax.Array:
    """Return probabilities (V, K), computed in chunks of EVALUATION_BATCH where `scan`, so that memory does not grow with the part."""
    predict = partial(steps.probabilities, net, recipe.streams, variables, scaler, data, limits=recipe.length_limits)
    if not scan:
        return predict(index)
    size, place = index.shape[0], None
    if recipe.length_limits:
        place = by_class(recipe.length_limits, data, index)
        index = index[place]
    chunks = jnp.pad(index, (0, -size % EVALUATION_BATCH)).reshape(-1, EVALUATION_BATCH)
    probabilities = jax.lax.map(predict, chunks)
    probabilities = probabilities.reshape(-1, probabilities.shape[-1])[:size]
    return probabilities if place is None else probabilities[jnp.argsort(place)]
