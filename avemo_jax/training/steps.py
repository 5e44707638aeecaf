"""The pure functions of training, for one trial; `execution.py` maps them over trials and steps.

`data` is the resident set: values (N, T, ...) of each stream by its name, `<stream>_mask` (N, T), `label` (N,), `clip` (N,) and `usable`
(N,), with N examples. A batch has the same keys with B rows, and `mask` (B,) bool in place of `usable`: False for padding and for examples
in which no stream has a real step. Where dimensions are predicted, a training batch has `rating` (B, D) too, NaN where there is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from avemo_jax.evaluation.metrics import metric_named, segment_share, selectable_values
from avemo_jax.models.emotion_net import overlay, take_over
from avemo_jax.parallel import split_batch
from avemo_jax.training.augment import disturb_features, disturb_view, drop_streams, mixup
from avemo_jax.training.dimensions import RATING, Ratings, dimension_loss, selection_metrics, targets_of, with_values
from avemo_jax.training.frontend import features, network_input
from avemo_jax.training.lengths import Limits, by_length
from avemo_jax.training.optimizers import Hyper, Plateau, learning_rate_at, make_optimizer
from avemo_jax.training.scaler import fit_scaler
from avemo_jax.training.state import Best, EpochMetrics, Learner, Recipe, StreamRecipe, TrialInputs, TrialState, trial_key

Data = dict[str, Any]  # name -> array, on the host or on a device


def init_trial(net: nn.Module, recipe: Recipe, data: Data, inputs: TrialInputs, warm: Any) -> TrialState:
    """Return the initial state of a trial: its scaler, fitted on the training part, and random weights or those of earlier stages.

    Args:
      warm: {"params": {...}, "batch_stats": {...}}, each stream -> the collection of the trained single-stream network; empty dicts for
        none. An optional key "published" has the same two collections with initial weights of encoders, in the network's own tree.
    """
    scaler = fit_scalers(recipe, data, inputs.train_index, inputs.train_count)
    example = gather(data, inputs.train_index[:2], jnp.ones(len(inputs.train_index[:2]), bool))
    return start_trial(net, recipe, inputs, warm, scaler, network_input(recipe.streams, scaler, example))


def trial_shape(net: nn.Module, recipe: Recipe, rows: Mapping[str, Any], inputs: TrialInputs, warm: Any) -> TrialState:
    """Return the shapes and types of one trial's state, without computing it.

    Args:
      rows: stream, and `<stream>_mask`, -> shape and type of one example, as in a batch without its first axis.
      warm: as in `init_trial`.
    """
    data = {name: jax.ShapeDtypeStruct((2, *one.shape), one.dtype) for name, one in rows.items()}
    data |= {name: jax.ShapeDtypeStruct((2,), kind) for name, kind in (("label", jnp.int32), ("clip", jnp.int32), ("usable", jnp.bool_))}
    state: TrialState = jax.eval_shape(partial(init_trial, net, recipe), data, inputs, warm)
    return state


def fit_scalers(recipe: Recipe, data: Data, train_index: jax.Array, train_count: jax.Array) -> dict[str, Any]:
    """Return the scaler of each standardised stream, fitted on the examples `train_index` (M,), the first `train_count` of them real."""
    weight = jnp.zeros(data["label"].shape[0]).at[train_index].max((jnp.arange(train_index.shape[0]) < train_count).astype(jnp.float32))
    values = features(recipe.streams, data)
    return {
        one.name: fit_scaler(values[one.name], data[f"{one.name}_mask"], weight, by_step=one.standardize == "steps")
        for one in recipe.streams
        if one.standardize != "none"
    }


def start_trial(net: nn.Module, recipe: Recipe, inputs: TrialInputs, warm: Any, scaler: Any, example: Data) -> TrialState:
    """Return the initial state of a trial with a fitted scaler; of the batch `example` only the shapes are used."""
    variables = net.init({"params": trial_key(inputs.hyper.seed, "init")}, example, train=False, dropout_rate=0.0)
    params = take_over(variables["params"], warm["params"])
    batch_stats = take_over(variables.get("batch_stats", {}), warm["batch_stats"])
    published = warm.get("published", {})
    params, batch_stats = overlay(params, published.get("params", {})), overlay(batch_stats, published.get("batch_stats", {}))
    if inputs.ratings is not None:
        scaler = dict(scaler) | inputs.ratings.scaler
    optimizer = make_optimizer(recipe.optimizer, inputs.hyper, jnp.float32(0), clip_norm=recipe.clip_norm).init(params)
    return TrialState(
        epoch=jnp.int32(0),
        learner=Learner(
            step=jnp.int32(0),
            params=params,
            batch_stats=batch_stats,
            optimizer=optimizer,
            average=params if recipe.ema_decay else {},
            failed=jnp.bool_(False),
        ),
        best=Best(metric=jnp.float32(-jnp.inf), loss=jnp.float32(jnp.inf), epoch=jnp.int32(-1), params=params, batch_stats=batch_stats),
        plateau=Plateau.start(),
        scaler=scaler,
        active=jnp.bool_(True),
    )


def epoch_order(seed: jax.Array, epoch: jax.Array, index: jax.Array, count: jax.Array, padded_size: int) -> tuple[jax.Array, jax.Array]:
    """Shuffle the examples of a part, as a pure function of seed and epoch that does not depend on the padding of `index`.

    Returns:
      (padded_size,) int32 examples, the `count` real ones first, and (padded_size,) bool, True where an entry is real.
    """
    key = jax.random.fold_in(trial_key(seed, "order"), epoch)
    position = jnp.arange(index.shape[0])
    # One random draw a position, so that more padding does not change the draws of real examples.
    draw = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i)))(position)
    order = jnp.lexsort((draw, position >= count))
    shuffled = jnp.pad(index[order], (0, max(0, padded_size - index.shape[0])))[:padded_size]
    return shuffled, jnp.arange(padded_size) < count


def gather(data: Data, index: jax.Array, mask: jax.Array) -> Data:
    """Return the rows `index` (B,) of the resident set as a batch."""
    batch = {name: jnp.take(values, index, axis=0) for name, values in data.items() if name != "usable"}
    return batch | {"mask": mask & jnp.take(data["usable"], index)}


def train_step(
    net: nn.Module,
    recipe: Recipe,
    learner: Learner,
    scaler: Any,
    batch: Data,
    hyper: Hyper,
    learning_rate: jax.Array,
    *,
    mesh: Mesh | None = None,
) -> tuple[Learner, jax.Array]:
    """Return the learner after one update on one batch of views from the prepared set.

    A batch without a real example, or a learner that has failed, changes nothing, neither the weights nor the statistics nor the step
    count, so that a trial gives the same results whether it runs alone or together with longer ones.

    Returns:
      The learner, and (2 + 2 K,) sums over real examples: their losses, their number, for each class those that were predicted correctly in
      this step, and for each class all of them.
    """
    batch = split_batch(batch, mesh)
    dropout_key, augment_key, mixup_key = jax.random.split(jax.random.fold_in(trial_key(hyper.seed, "step"), learner.step), 3)
    batch = augmented(recipe, scaler, batch, augment_key)
    target = optax.smooth_labels(jax.nn.one_hot(batch["label"], recipe.num_classes), hyper.label_smoothing)
    if recipe.num_dimensions:
        target = jnp.concatenate([target, targets_of(batch[RATING])], axis=1)
    if recipe.use_mixup:
        batch, target = mixup(batch, target, hyper.mixup_alpha, mixup_key, [one.name for one in recipe.streams])
    if recipe.use_stream_dropout:
        # A key of its own, so that all other draws are the same with and without it.
        streams_key = jax.random.fold_in(trial_key(hyper.seed, "streams"), learner.step)
        batch = drop_streams(batch, hyper.stream_dropout_rate, streams_key, [one.name for one in recipe.streams])
    weight = batch["mask"].astype(jnp.float32)
    count = weight.sum()

    def loss_of(params, inputs):
        params = _without_gradient(params, recipe.frozen)  # saves the backward pass of frozen parameters
        output, updates = net.apply(
            {"params": params, "batch_stats": learner.batch_stats},
            inputs,
            train=True,
            dropout_rate=hyper.dropout_rate,
            rngs={"dropout": dropout_key},
            mutable=["batch_stats"],
        )
        total = _loss_sum(recipe, output, target, weight)
        sums = jnp.concatenate([jnp.stack([total, count]), _hits(recipe, output, batch["label"], weight)])
        return total / jnp.maximum(count, 1), (sums, updates.get("batch_stats", {}))

    graded = partial(jax.value_and_grad(loss_of, has_aux=True), learner.params)
    (_, (sums, batch_stats)), gradient = by_length(recipe.length_limits, batch, graded)
    optimizer = make_optimizer(recipe.optimizer, hyper, learning_rate, clip_norm=recipe.clip_norm)
    updates, optimizer_state = optimizer.update(gradient, learner.optimizer, learner.params)
    updates = _zeroed(updates, recipe.frozen)
    params = optax.apply_updates(learner.params, updates)
    finite = jnp.isfinite(sums[0]) & jnp.isfinite(optax.tree.norm(gradient)) & jnp.isfinite(optax.tree.norm(updates))
    average = learner.average
    if recipe.ema_decay:
        # The usual correction for a short history: a smaller decay in the first steps.
        decay = jnp.minimum(recipe.ema_decay, (learner.step + 1) / (learner.step + 10))
        # In this form the average of frozen parameters does not change by a bit.
        average = jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), average, params)
    trained = Learner(
        step=learner.step + 1, params=params, batch_stats=batch_stats, optimizer=optimizer_state, average=average, failed=jnp.bool_(False)
    )
    real = (count > 0) & ~learner.failed
    learner = choose(real & finite, trained, learner)
    return dataclasses.replace(learner, failed=learner.failed | (real & ~finite)), jnp.where(real, sums, 0.0)


def _hits(recipe: Recipe, output: jax.Array, label: jax.Array, weight: jax.Array) -> jax.Array:
    """Return (2 K,): for each class the number of real examples that are predicted correctly, and of all real ones."""
    truth = jax.nn.one_hot(label, recipe.num_classes) * weight[:, None]
    is_right = output[:, : recipe.num_classes].argmax(axis=1) == label
    return jnp.concatenate([(truth * is_right[:, None]).sum(axis=0), truth.sum(axis=0)])


def no_sums(recipe: Recipe) -> jax.Array:
    """Return the sums of `train_step` before the first step of an epoch."""
    return jnp.zeros(2 + 2 * recipe.num_classes)


def _loss_sum(recipe: Recipe, output: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Return the sum of the losses over real examples; the loss of dimensions is one number a batch, so each example has it."""
    num_classes = recipe.num_classes
    if not recipe.num_dimensions:
        return (optax.softmax_cross_entropy(output, target) * weight).sum()
    of_classes = (optax.softmax_cross_entropy(output[:, :num_classes], target[:, :num_classes]) * weight).sum()
    of_dimensions = dimension_loss(recipe.dimension_loss, output[:, num_classes:], target[:, num_classes:], weight)
    return of_classes + recipe.dimension_weight * of_dimensions * weight.sum()


def augmented(recipe: Recipe, scaler: Any, batch: Data, key: jax.Array) -> Data:
    """Return the network's input for a training batch: augmented views, their standardised features, and these augmented too."""
    keys = {one.name: jax.random.split(jax.random.fold_in(key, one.key_index)) for one in recipe.streams}
    for one in recipe.streams:
        values, mask = disturb_view(batch[one.name], batch[f"{one.name}_mask"], keys[one.name][0], one.augmentation)
        batch = batch | {one.name: values, f"{one.name}_mask": mask}
    batch = network_input(recipe.streams, scaler, batch)
    return batch | {
        one.name: disturb_features(batch[one.name], batch[f"{one.name}_mask"], keys[one.name][1], one.augmentation)
        for one in recipe.streams
    }


def learning_rate_of(recipe: Recipe, state: TrialState, learner: Learner, inputs: TrialInputs) -> jax.Array:
    """Return the learning rate of the next step of a trial."""
    steps_per_epoch = -(-inputs.train_count // recipe.batch_size)
    return learning_rate_at(
        recipe.schedule,
        inputs.hyper.learning_rate,
        learner.step,
        total_steps=recipe.num_epochs * steps_per_epoch,
        warmup_steps=recipe.warmup_epochs * steps_per_epoch,
        plateau=state.plateau,
    )


def probabilities(
    net: nn.Module, streams: Sequence[StreamRecipe], variables: Any, scaler: Any, data: Data, index: jax.Array, *, limits: Limits = ()
) -> jax.Array:
    """Return probabilities (B, K) float32 of the examples `index` (B,); `streams` and `limits` (`length_limits`) as in the Recipe.

    Where the network predicts dimensions, their values in units of the scale follow: (B, K + D).
    """
    batch = gather(data, index, jnp.ones(index.shape[0], bool))
    return by_length(limits, network_input(streams, scaler, batch), partial(probabilities_of, net, variables, scaler))


def probabilities_and_attention(
    net: nn.Module, streams: Sequence[StreamRecipe], variables: Any, scaler: Any, data: Data, index: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return `probabilities`, and of each stream with attention pooling its weights (B, T) float32."""
    batch = network_input(streams, scaler, gather(data, index, jnp.ones(index.shape[0], bool)))
    output: Any
    output, collected = net.apply(variables, batch, train=False, dropout_rate=0.0, mutable=["intermediates"])
    return _answers(net, output, scaler), dict(collected["intermediates"]["attention"])


def probabilities_of(net: Any, variables: Any, scaler: Any, batch: Data) -> jax.Array:
    """Return probabilities (B, K) float32, or (B, K + D) as `probabilities`, of a batch from `network_input`."""
    return _answers(net, net.apply(variables, batch, train=False, dropout_rate=0.0), scaler)


def _answers(net: Any, output: Any, scaler: Any) -> jax.Array:
    return with_values(output, net.num_classes, scaler) if net.num_dimensions else jax.nn.softmax(output)


def validation_metrics(
    recipe: Recipe, data: Data, probabilities: jax.Array, index: jax.Array, count: jax.Array, ratings: Ratings | None = None
) -> dict[str, jax.Array]:
    """Return every selectable metric of a part at clip level: the probabilities of a clip's segments are averaged first.

    Args:
      probabilities: (V, K) of the examples `index` (V,), padding from `count` on; (V, K + D) where dimensions are predicted.
      ratings: of all clips, where dimensions are predicted; the loss is then that of classes and dimensions together.
    """
    probabilities, values = probabilities[:, : recipe.num_classes], probabilities[:, recipe.num_classes :]
    real = (jnp.arange(index.shape[0]) < count).astype(jnp.float32)
    clip, label = data["clip"][index], data["label"][index]
    total = jax.ops.segment_sum(segment_share(probabilities, recipe.segment_rule) * real[:, None], clip, recipe.num_clips)
    segments = jax.ops.segment_sum(real, clip, recipe.num_clips)
    clip_label = jax.ops.segment_max(jnp.where(real > 0, label, 0), clip, recipe.num_clips)
    present = (segments > 0).astype(jnp.float32)
    mean = total / jnp.maximum(segments, 1)[:, None]
    truth = jax.nn.one_hot(jnp.maximum(clip_label, 0), recipe.num_classes) * present[:, None]
    confusion = truth.T @ jax.nn.one_hot(mean.argmax(axis=1), recipe.num_classes)
    found = selectable_values(confusion, clip_label, mean, present)
    if ratings is not None:
        of_clip = jax.ops.segment_sum(values * real[:, None], clip, recipe.num_clips) / jnp.maximum(segments, 1)[:, None]
        of_dimensions, loss = selection_metrics(ratings, of_clip, present, loss=recipe.dimension_loss)
        found |= of_dimensions | {"loss": found["loss"] + recipe.dimension_weight * loss}
    return found


def end_epoch(
    recipe: Recipe, data: Data, inputs: TrialInputs, state: TrialState, learner: Learner, probabilities: jax.Array, sums: jax.Array
) -> tuple[TrialState, EpochMetrics]:
    """Return the trial state at the end of an epoch, with metrics, plateau, best weights and early stop; a stopped trial is unchanged.

    Args:
      probabilities: (V, K) of the selection part.
      sums: (2 + 2 K,) of the epoch's steps, see `train_step`.
    """
    metrics = validation_metrics(recipe, data, probabilities, inputs.select_index, inputs.select_count, inputs.ratings)
    score = metric_named(recipe.metric).score(metrics[recipe.metric])
    best = state.best
    # Small validation parts give many equal scores; the loss decides between them.
    better = (score > best.metric) | ((score == best.metric) & (metrics["loss"] < best.loss)) | recipe.keeps_last
    current = Best(metric=score, loss=metrics["loss"], epoch=state.epoch, **learner.validated_variables)
    best = choose(better & ~learner.failed, current, best)
    epochs_since_best = state.epoch - best.epoch
    patience = recipe.early_stop_patience_epochs
    active = ~learner.failed & ((patience == 0) | (epochs_since_best < patience))
    after = TrialState(
        epoch=state.epoch + 1,
        learner=learner,
        best=best,
        plateau=state.plateau.after_epoch(metrics["loss"], patience_epochs=recipe.plateau_patience_epochs, factor=recipe.plateau_factor),
        scaler=state.scaler,
        active=active,
    )
    has_classes = recipe.num_classes > 1  # a single class is predicted by anything
    right, seen = sums[2 : 2 + recipe.num_classes], sums[2 + recipe.num_classes :]
    none = jnp.float32(jnp.nan)
    record = EpochMetrics(
        train_loss=sums[0] / jnp.maximum(sums[1], 1),
        train_war=right.sum() / jnp.maximum(seen.sum(), 1) if has_classes else none,
        train_uar=(right / jnp.maximum(seen, 1)).sum() / jnp.maximum((seen > 0).sum(), 1) if has_classes else none,
        val_loss=metrics["loss"],
        val_war=metrics["war"] if has_classes else none,
        val_uar=metrics["uar"] if has_classes else none,
        learning_rate=learning_rate_of(recipe, state, learner, inputs),
        active=state.active,
        failed=learner.failed,
        val_ccc=metrics.get("ccc"),
    )
    return choose(state.active, after, state), record


def choose(condition: jax.Array, new: Any, old: Any) -> Any:
    """Return the tree `new` where the scalar condition is True, else `old`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _where_frozen(change: Callable[[jax.Array], jax.Array], tree: dict[str, Any], frozen: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    def one(path, leaf):
        names = tuple(key.key for key in path)
        return change(leaf) if any(names[: len(prefix)] == prefix for prefix in frozen) else leaf

    return jax.tree_util.tree_map_with_path(one, tree)


def _without_gradient(tree: dict[str, Any], frozen: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """Return the tree with the leaves below the frozen paths as constants."""
    return _where_frozen(jax.lax.stop_gradient, tree, frozen)


def _zeroed(tree: dict[str, Any], frozen: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    """Return the tree with zeros below the frozen paths."""
    return _where_frozen(jnp.zeros_like, tree, frozen)
