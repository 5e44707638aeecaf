"""The network of a trial: one branch for each stream (encoder, temporal context, pooling), fusion, classes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from avemo_jax.config import Branch as BranchConfig
from avemo_jax.models.attention import POOLINGS, Pooling, last_step
from avemo_jax.models.cnn import CNN, ConvPool
from avemo_jax.models.encoders import ENCODERS as PUBLISHED_ENCODERS
from avemo_jax.models.encoders.contract import encode, share_over_steps
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.models.layer_weighting import LayerWeighting
from avemo_jax.models.norm import BatchNorm, dropout
from avemo_jax.models.recurrent import ACTIVATIONS, RecurrentStack
from avemo_jax.models.sequence_cnn import SequenceCNN
from avemo_jax.models.time_conv import TimeConv, spread_over_neighbours
from avemo_jax.text import nearest

ENCODERS = ("none", "mlp", "cnn", "conv_pool")  # without published weights
LAYERS = ("concatenated", "weighted")
FRAME_CONTEXTS = ("none", "gru", "lstm")
CONTEXTS = ("gru", "lstm", "conv", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchSpec(BranchConfig):
    """The branch of one stream, with checked values; fields and defaults are those of `config.Branch`.

    Attributes:
      encoder_spec: spec of the encoder with published weights that is trained with the network; None for other encoders.
    """

    encoder_spec: EncoderSpec | None = None

    @classmethod
    def of(cls, branch: BranchConfig, **changes: Any) -> BranchSpec:
        """Return the spec of a branch of the config, with some fields changed."""
        return cls(**{field.name: getattr(branch, field.name) for field in dataclasses.fields(BranchConfig)} | changes)

    def __post_init__(self):
        _expect("encoder", self.encoder, (*ENCODERS, *PUBLISHED_ENCODERS))
        if (self.encoder in PUBLISHED_ENCODERS) != (self.encoder_spec is not None):
            raise ValueError(f"encoder {self.encoder!r}: expected an encoder_spec exactly for encoders with published weights")
        _expect("layers", self.layers, LAYERS)
        _expect("frame_context", self.frame_context, FRAME_CONTEXTS)
        _expect("context", self.context, CONTEXTS)
        if self.context != "none":
            _expect("context_activation", self.context_activation, ("relu", "relu_elu") if self.context == "conv" else ACTIVATIONS)
        _expect("pooling", self.pooling, POOLINGS)


def _expect(what: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ValueError(f"expected {what} to be one of {known}, got {found!r}{nearest(found, known)}")


class _Dropout:
    """Dropout of one rate, with a new random key at each use; outside training it does nothing."""

    def __init__(self, module: nn.Module, rate: float | jax.Array, train: bool):
        self._module, self._rate, self._train = module, rate, train

    def __call__(self, x: jax.Array) -> jax.Array:
        return dropout(x, self._rate, self._module.make_rng("dropout")) if self._train else x


class Encoder(nn.Module):
    """Encoder of the steps of a view into vectors."""

    spec: BranchSpec

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, drop) -> tuple[jax.Array, jax.Array]:
        """Encode x (B, T, ...) with mask (B, T) to (B, T', D) and its mask (B, T'); T' = T except for encoders of sequences."""
        spec, steps = self.spec, x.shape[:2]
        if spec.encoder in PUBLISHED_ENCODERS:
            assert spec.encoder_spec is not None  # checked by BranchSpec
            # Batch norms use their moving statistics in training too: statistics of a small batch of similar frames are poor estimates, and
            # they would include padded steps.
            x, mask = encode(spec.encoder_spec.module(name=spec.encoder), spec.encoder_spec, x, mask)
            steps = mask.shape
        elif spec.encoder in ("cnn", "conv_pool"):
            pictures = x.reshape(-1, *x.shape[-3:]) if x.ndim > 4 else x.reshape(-1, *x.shape[2:])
            if spec.encoder == "cnn":
                pictures = CNN(spec.encoder_units, name="cnn")(pictures)
            else:
                pictures = ConvPool(spec.encoder_units, name="conv_pool")(pictures, drop if spec.context_dropout else None)
            x = pictures.reshape(*(x.shape[:-3] if x.ndim > 4 else steps), -1)
        if spec.layers == "weighted":
            x = LayerWeighting(name="layer_weighting")(x)
        if spec.frame_context != "none":
            x = self._last_of_frames(x.astype(jnp.float32), mask)
        x = x.reshape(*steps, -1).astype(jnp.float32)
        for index, width in enumerate(spec.encoder_units if spec.encoder == "mlp" else ()):
            x = drop(nn.relu(nn.Dense(width, name=f"dense{index}")(x)))
        return x, mask

    def _last_of_frames(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Map x (B, T, F, D) to the last recurrent state over the frames of each step, (B, T, D')."""
        if x.ndim != 4:
            raise ValueError(f"frame_context expects steps of several frames, (B, T, F, D), got {x.shape}; set frame_context=none")
        num_frames, width = x.shape[2:]
        real = jnp.broadcast_to(mask.reshape(-1, 1), (mask.size, num_frames))
        stack = RecurrentStack(self.spec.frame_context, (self.spec.frame_units,), name="frames")
        return stack(x.reshape(-1, num_frames, width), real)[1].reshape(*mask.shape, -1)


class Context(nn.Module):
    """The part of a branch before pooling: encoder of each step, convolution over time, recurrent layers."""

    spec: BranchSpec

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, examples: jax.Array, drop, *, train: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Map a view x (B, T, ...) with mask (B, T) and real examples (B,) bool to the context's steps.

        Returns:
          Steps (B, T', D), the last real state (B, D), and the steps' mask (B, T'); T' = T unless a stride or an encoder changes it.
        """
        spec = self.spec
        real = mask.reshape(*mask.shape, *(1,) * (x.ndim - 2))
        x, mask = Encoder(spec, name="encoder")(jnp.where(real, x, 0), mask, drop)  # values of padded steps, even NaN, have no effect
        if spec.time_conv_channels:
            conv = TimeConv(spec.time_conv_channels, spec.time_conv_width_steps, spec.time_conv_stride_steps, name="time_conv")
            x, mask = conv(x, mask, examples, train=train)
            x = drop(x) if spec.context_dropout else x
        if spec.context == "none":
            return x, last_step(x, mask), mask

        def between(x, index):
            if spec.context_batch_norm:
                x = BatchNorm(name=f"norm{index}")(x, mask & examples[:, None], train=train)
            return drop(x) if spec.context_dropout else x

        if spec.context == "conv":
            return SequenceCNN(spec.context_units, spec.context_activation == "relu_elu", name="layers")(x, mask)
        stack = RecurrentStack(
            spec.context, spec.context_units, spec.bidirectional, spec.reset_after, spec.context_activation, name="layers"
        )
        x, last = stack(x, mask, between)
        return x, last, mask


class Branch(nn.Module):
    """The branch of one stream: steps with their context and, for a pooled output, pooling and dense ReLU layers."""

    spec: BranchSpec

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, examples: jax.Array, drop, *, train: bool, pooled: bool
    ) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """Map a view x (B, T, ...) with mask (B, T) and real examples (B,) bool to a vector, or to steps.

        Returns:
          pooled=True: a vector (B, D), the mask, and attention's weights (B, T) or None.
          pooled=False: the context's steps (B, T', D), their mask (B, T'), and None.
        """
        spec = self.spec
        steps, last, steps_mask = Context(spec, name="context")(x, mask, examples, drop, train=train)
        if not pooled:
            return steps, steps_mask, None
        vector, weights = Pooling(spec.pooling, spec.attention_units, spec.pooling_steps, name="pooling")(steps, last, steps_mask)
        if spec.context_dropout:
            vector = drop(vector)
        vector = _dense_layers(vector, spec.dense_units, drop)
        if weights is not None and weights.shape != mask.shape:
            if spec.encoder_spec is not None and spec.encoder_spec.record.takes_sequences:
                weights = share_over_steps(weights, mask, spec.encoder_spec, _stride_steps(spec))
            else:
                weights = spread_over_neighbours(weights, mask, _stride_steps(spec))
        return vector, mask, weights


def _stride_steps(spec: BranchSpec) -> int:
    """Return the number of steps of the view in one step of the context."""
    return (spec.time_conv_stride_steps if spec.time_conv_channels else 1) * (2 ** len(spec.context_units) if spec.context == "conv" else 1)


def _dense_layers(x: jax.Array, units: tuple[int, ...], drop) -> jax.Array:
    """Return x after ReLU layers `dense0`, `dense1`, ... with dropout between them, but not after the last one."""
    for index, width in enumerate(units):
        x = nn.relu(nn.Dense(width, name=f"dense{index}")(drop(x) if index else x))
    return x


class _Head(nn.Module):
    """Batch norm (of single-stream networks), dense ReLU layers (of fused networks), dropout, classes and dimensions."""

    num_classes: int
    batch_norm: bool
    dense_units: tuple[int, ...] = ()
    num_dimensions: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, drop, *, train: bool) -> jax.Array:
        if self.batch_norm:
            x = BatchNorm(name="norm")(x, mask, train=train)
        x = _dense_layers(x, self.dense_units, drop)
        x = drop(x)
        logits = nn.Dense(self.num_classes, name="classes")(x)
        if not self.num_dimensions:
            return logits
        return jnp.concatenate([logits, nn.Dense(self.num_dimensions, name="dimensions")(x)], axis=1)


class EmotionNet(nn.Module):
    """A single-stream network, or a fused one where there are several streams.

    The collections "params" and "batch_stats" have at their top level the branches, by the names of the streams; in addition,
    single-stream networks have "<stream>_head", fused networks "fusion" and "head". A fused network takes its branches over from
    single-stream networks by these names (`take_over`); layers that only a single-stream network has, such as its batch norm, are in its
    head. The collection "intermediates" has the attention weights {"attention": {<stream>: (B, T)}} of streams with attention pooling, and
    as "fusion" those of "dot_attention", or of "token_attention" over segments, over the steps of the last stream.

    Attributes:
      num_classes: K.
      streams: (name, branch) of each stream, in the order in which the fusion takes them; a mapping is converted to such a tuple.
      fusion: how several branches are joined; unused with one stream.
      frozen: streams with a frozen branch, which is computed in training as in prediction, without dropout and batch statistics.
      num_dimensions: D.

    Raises:
      ValueError: no stream, several without a fusion, or a stream name that is reserved.
    """

    num_classes: int
    streams: tuple[tuple[str, BranchSpec], ...] | Mapping[str, BranchSpec]
    fusion: FusionSpec | None = None
    frozen: tuple[str, ...] = ()
    num_dimensions: int = 0

    def __post_init__(self):
        object.__setattr__(self, "streams", tuple(dict(self.streams).items()))  # networks are compared and hashed
        names = self.stream_names
        if not names or (len(names) > 1 and self.fusion is None):
            raise ValueError(f"expected one stream, or several and a fusion; got streams {names} and fusion {self.fusion}")
        for name in names:
            if name in _OTHER_PARAMETERS or name.endswith("_head") or hasattr(_Network, name) or name in _Network.__dataclass_fields__:
                raise ValueError(f"the network reserves the name {name!r} for other parameters; rename the stream")
        super().__post_init__()

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Names of the streams, in order."""
        return tuple(dict(self.streams))

    def setup(self):
        # Names of streams in the parameter tree must not collide with fields of a module, so the inner module has as few as possible.
        self.network = _Network(self.num_classes, tuple(dict(self.streams).items()), self.fusion, self.frozen, self.num_dimensions)
        nn.share_scope(self, self.network)

    def __call__(self, batch: Mapping[str, jax.Array], *, train: bool, dropout_rate: float | jax.Array = 0.0) -> jax.Array:
        """Return the logits (B, K) float32 of a batch, followed by the z-scored values of its dimensions: (B, K + D).

        Args:
          batch: for each stream its values by its name, (B, T, ...), and `<stream>_mask` (B, T) bool; `mask` (B,) bool, True
            where the example is real; without it all examples are real. Other keys are ignored.
          train: True for batch norm with the batch's statistics (collection "batch_stats" must be mutable) and dropout (rng "dropout").
          dropout_rate: in [0, 1), a number or a scalar array; unused where train is False.
        """
        return self.network(batch, train=train, dropout_rate=dropout_rate)


_OTHER_PARAMETERS = ("fusion", "head", "network")


class _Network(nn.Module):
    """The layers of `EmotionNet`, in a module without fields that are named as its parameters."""

    num_classes: int
    branches: tuple[tuple[str, BranchSpec], ...]
    fusion_spec: FusionSpec | None
    frozen: tuple[str, ...] = ()
    num_dimensions: int = 0

    @nn.compact
    def __call__(self, batch, *, train: bool, dropout_rate) -> jax.Array:
        names = tuple(name for name, _ in self.branches)
        drop = _Dropout(self, dropout_rate, train)
        fusion = self.fusion_spec if len(names) > 1 else None
        examples = batch.get("mask", jnp.ones(batch[f"{names[0]}_mask"].shape[0], bool))
        outputs, masks, attention = [], [], {}
        for name, spec in self.branches:
            train_branch = train and name not in self.frozen
            branch_drop = drop if train_branch else _Dropout(self, 0.0, train=False)
            pooled = fusion is None or fusion.pooled
            branch = Branch(spec, name=name)
            output, mask, weights = branch(batch[name], batch[f"{name}_mask"], examples, branch_drop, train=train_branch, pooled=pooled)
            outputs.append(output)
            masks.append(mask)
            if weights is not None:
                attention[name] = weights
        if fusion is None:
            x, name, batch_norm = outputs[0], f"{names[0]}_head", self.branches[0][1].batch_norm
        else:
            x, weights = fusion.module(names, "fusion")(outputs, masks, examples, train=train)
            if weights is not None:
                attention["fusion"] = weights
            name, batch_norm = "head", False
        if attention:
            self.sow("intermediates", "attention", attention, reduce_fn=lambda _, new: new)
        dense_units = () if fusion is None else fusion.dense_units
        head = _Head(self.num_classes, batch_norm, dense_units, self.num_dimensions, name=name)
        return head(x, examples, drop, train=train)


def take_over(collection: Mapping[str, Any], earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a fused network's collection with its branches replaced by those of trained single-stream networks.

    Args:
      collection: the fused network's "params" or "batch_stats".
      earlier: stream name -> the same collection of that stream's single-stream network. Leaves that the fused network lacks (its head; its
        pooling where the fusion takes steps) are ignored.

    Returns:
      A new collection with the structure of `collection`.

    Raises:
      ValueError: an earlier network lacks a leaf of the branch, or has it in another shape; the message names the leaf.
    """
    flat = traverse_util.flatten_dict(dict(collection))
    for stream, other in earlier.items():
        trained = traverse_util.flatten_dict(dict(other))
        for path in flat:
            if path[0] != stream:
                continue
            if path not in trained or trained[path].shape != flat[path].shape:
                found = trained[path].shape if path in trained else "nothing"
                raise ValueError(
                    f"the fused network expects {'/'.join(path)} of shape {flat[path].shape} from the {stream} network, found {found}; "
                    f"give both stages the same streams.{stream} fields"
                )
            flat[path] = trained[path]
    return traverse_util.unflatten_dict(flat)


def overlay(collection: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree with the leaves of `part` in place of its own.

    Raises:
      ValueError: a leaf of `part` is not in the tree or has another shape there; the message names the leaf.
    """
    flat = traverse_util.flatten_dict(dict(collection))
    for path, leaf in traverse_util.flatten_dict(dict(part)).items():
        if path not in flat or flat[path].shape != leaf.shape:
            found = f"shape {flat[path].shape}" if path in flat else "no parameter of that name"
            raise ValueError(f"weights for {'/'.join(path)} have shape {leaf.shape}, but the network has {found}")
        flat[path] = leaf
    return traverse_util.unflatten_dict(flat)


def attended_streams(net: EmotionNet) -> tuple[str, ...]:
    """Return the streams over whose steps a network has attention weights."""
    streams = dict(net.streams)
    is_pooled = len(streams) == 1 or net.fusion is None or net.fusion.pooled
    return tuple(name for name, spec in streams.items() if is_pooled and spec.pooling.startswith("attention"))


def attention_weights(net: EmotionNet, variables: Mapping[str, Any], batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return stream name -> attention weights (B, T), which sum to one over real steps; empty without attention pooling."""
    apply = jax.jit(functools.partial(net.apply, train=False, mutable=["intermediates"]))
    _, collected = apply(variables, batch)
    return dict(collected.get("intermediates", {}).get("attention", {}))
