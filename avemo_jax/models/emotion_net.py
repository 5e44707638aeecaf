"""The network of a trial: one branch a stream (encoder, temporal context, pooling), fusion, classes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from avemo_jax.models.attention import POOLINGS, Pooling, last_step
from avemo_jax.models.cnn import CNN
from avemo_jax.models.fusion import ConcatFusion, DotAttentionFusion, TanhGRUFusion
from avemo_jax.models.inception_v3 import InceptionV3
from avemo_jax.models.norm import BatchNorm, dropout
from avemo_jax.models.recurrent import RecurrentStack
from avemo_jax.models.time_conv import TimeConv, spread_over_neighbours
from avemo_jax.models.vggish import VGGish

ENCODERS = ("none", "mlp", "cnn", "vggish", "inception_v3")
CONTEXTS = ("gru", "lstm", "none")
FUSIONS = ("concat", "tanh_gru", "dot_attention")


@dataclasses.dataclass(frozen=True)
class BranchSpec:
    """One stream of the network; fields and defaults are those of `configs.base.branch`, where each has its reason.

    Attributes:
      encoder: what turns one step of the view into a vector, one of ENCODERS.
      encoder_units: "mlp": widths of its layers; "cnn": channels of its blocks.
      time_conv_channels, time_conv_width_steps, time_conv_stride_steps: convolution over time in front of the context, see
        `time_conv`; 0 channels leave it out.
      context: temporal context over the steps, one of CONTEXTS.
      num_layers, num_units, bidirectional, reset_after: of the context, see `recurrent.RecurrentStack`.
      context_batch_norm: between the layers of the context.
      context_dropout: after the convolution over time, between the layers of the context, and after pooling.
      pooling, attention_units: from steps to a vector, see `attention.Pooling`.
      dense_units: of the ReLU layer after pooling; 0 leaves it out.
      batch_norm: before the classes of a single-stream net; a fused net has its own (`FusionSpec.batch_norm`).
    """

    encoder: str = "none"
    encoder_units: tuple[int, ...] = (64,)
    time_conv_channels: int = 0
    time_conv_width_steps: int = 5
    time_conv_stride_steps: int = 1
    context: str = "gru"
    num_layers: int = 1
    num_units: int = 256
    bidirectional: bool = False
    reset_after: bool = True
    context_batch_norm: bool = False
    context_dropout: bool = False
    pooling: str = "attention"
    attention_units: int = 0
    dense_units: int = 128
    batch_norm: bool = True

    def __post_init__(self):
        _expect("encoder", self.encoder, ENCODERS)
        _expect("context", self.context, CONTEXTS)
        _expect("pooling", self.pooling, POOLINGS)


@dataclasses.dataclass(frozen=True)
class FusionSpec:
    """How two streams become one; fields and defaults are those of `model.fusion` in `configs.base`.

    Attributes:
      kind: "concat" joins the branches' vectors, "tanh_gru" and "dot_attention" their steps; see `fusion`.
      width: common width of the streams; unused by "concat".
      num_units: of the GRU of "tanh_gru".
      batch_norm: of "concat".
    """

    kind: str = "concat"
    width: int = 128
    num_units: int = 256
    batch_norm: bool = True

    def __post_init__(self):
        _expect("fusion kind", self.kind, FUSIONS)


def _expect(what: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ValueError(f"expected {what} to be one of {known}, got {found!r}")


class _Dropout:
    """Dropout of one rate with a fresh key at each use while training, nothing otherwise."""

    def __init__(self, module: nn.Module, rate: float | jax.Array, train: bool):
        self._module, self._rate, self._train = module, rate, train

    def __call__(self, x: jax.Array) -> jax.Array:
        return dropout(x, self._rate, self._module.make_rng("dropout")) if self._train else x


class Encoder(nn.Module):
    """Turn each step of a view into a vector."""

    spec: BranchSpec

    @nn.compact
    def __call__(self, x: jax.Array, drop) -> jax.Array:
        """Encode x (B, T, ...) to (B, T, D)."""
        kind, num_examples, num_steps = self.spec.encoder, *x.shape[:2]
        if kind in ("none", "mlp"):
            x = x.reshape(num_examples, num_steps, -1).astype(jnp.float32)
            for index, width in enumerate(self.spec.encoder_units if kind == "mlp" else ()):
                x = drop(nn.relu(nn.Dense(width, name=f"dense{index}")(x)))
            return x
        steps = x.reshape(num_examples * num_steps, *x.shape[2:])
        if kind == "cnn":
            steps = CNN(self.spec.encoder_units, name="cnn")(steps)
        elif kind == "vggish":
            steps = VGGish(name="vggish")(steps)
        else:
            # Its batch norms stay at their moving statistics in training too: those of a small batch of frames that resemble each other
            # are poor ones, and padded steps would be in them.
            steps = InceptionV3(name="inception_v3")(steps)
        return steps.reshape(num_examples, num_steps, -1)


class Context(nn.Module):
    """Encoder of each step, convolution over time, recurrent layers: what fusions of steps take of a branch."""

    spec: BranchSpec

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, examples: jax.Array, drop, *, train: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Map a view x (B, T, ...) with mask (B, T) and real examples (B,) bool to the context's steps.

        Returns:
          Steps (B, T', D), the last real state (B, D), and the steps' mask (B, T'); T' = T but with a stride over time.
        """
        spec = self.spec
        real = mask.reshape(*mask.shape, *(1,) * (x.ndim - 2))
        x = Encoder(spec, name="encoder")(jnp.where(real, x, 0), drop)  # what lies in padded steps, NaN even, goes no further
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

        stack = RecurrentStack(spec.context, spec.num_layers, spec.num_units, spec.bidirectional, spec.reset_after, name="layers")
        x, last = stack(x, mask, between)
        return x, last, mask


class Branch(nn.Module):
    """One stream: steps with their context and, where a vector is wanted, pooling and a dense ReLU layer."""

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
        vector, weights = Pooling(spec.pooling, spec.attention_units, name="pooling")(steps, last, steps_mask)
        if spec.context_dropout:
            vector = drop(vector)
        if spec.dense_units:
            vector = nn.relu(nn.Dense(spec.dense_units, name="dense")(vector))
        if weights is not None and weights.shape != mask.shape:
            weights = spread_over_neighbours(weights, mask, spec.time_conv_stride_steps)
        return vector, mask, weights


class _Head(nn.Module):
    """Batch norm (of single-stream nets), dropout, classes."""

    num_classes: int
    batch_norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, drop, *, train: bool) -> jax.Array:
        if self.batch_norm:
            x = BatchNorm(name="norm")(x, mask, train=train)
        return nn.Dense(self.num_classes, name="classes")(drop(x))


class EmotionNet(nn.Module):
    """A single-stream or a fused network, by which of `audio` and `video` are given.

    Collections "params" and "batch_stats" have at their top level "audio" and "video" (the branches), for single-stream nets
    "audio_head" or "video_head", for fused nets "fusion" and "head". A fused net takes its branches over from single-stream
    nets by those names (`take_over`); what belongs to a single-stream net alone, batch norm included, is in its head.
    Collection "intermediates" gets attention's weights: {"attention": {"audio": (B, T), "video": (B, T)}}, the streams that are
    pooled by attention alone; "dot_attention" gives those over the video's steps as "fusion".

    Attributes:
      num_classes: K.
      audio, video: the branches; None leaves the stream out.
      fusion: how two branches become one; unused with one stream.
    """

    num_classes: int
    audio: BranchSpec | None = None
    video: BranchSpec | None = None
    fusion: FusionSpec | None = None

    def setup(self):
        # The tree's names "audio" and "video" would collide with the fields of that name; the inner module has the tree alone.
        self.network = _Network(self.num_classes, {"audio": self.audio, "video": self.video}, self.fusion)
        nn.share_scope(self, self.network)

    def __call__(self, batch: Mapping[str, jax.Array], *, train: bool, dropout_rate: float | jax.Array = 0.0) -> jax.Array:
        """Logits (B, K) float32 of a batch.

        Args:
          batch: for each stream in use `audio` (B, T, ...) and `audio_mask` (B, T) bool, likewise `video`; `mask` (B,) bool, True
            where the example is real (all are where it is absent). Other keys are ignored.
          train: batch norm by the batch's statistics (collection "batch_stats" must be mutable), and dropout (rng "dropout").
          dropout_rate: in [0, 1), a number or a scalar array; unused where train is False.

        Raises:
          ValueError: no stream, or two without a fusion.
        """
        return self.network(batch, train=train, dropout_rate=dropout_rate)


class _Network(nn.Module):
    """`EmotionNet` with its streams as a mapping."""

    num_classes: int
    streams: Mapping[str, BranchSpec | None]
    fusion_spec: FusionSpec | None

    @nn.compact
    def __call__(self, batch, *, train: bool, dropout_rate) -> jax.Array:
        specs = {name: spec for name, spec in self.streams.items() if spec is not None}
        if not specs or (len(specs) == 2 and self.fusion_spec is None):
            raise ValueError(f"expected one stream, or two and a fusion; got streams {tuple(specs)} and fusion {self.fusion_spec}")
        drop = _Dropout(self, dropout_rate, train)
        pooled = self.fusion_spec is None or len(specs) == 1 or self.fusion_spec.kind == "concat"
        num_examples = len(next(batch[f"{name}_mask"] for name in specs))
        mask = batch.get("mask", jnp.ones(num_examples, bool))
        outputs, masks, attention = {}, {}, {}
        for name, spec in specs.items():
            branch = Branch(spec, name=name)
            outputs[name], masks[name], weights = branch(batch[name], batch[f"{name}_mask"], mask, drop, train=train, pooled=pooled)
            if weights is not None:
                attention[name] = weights
        if len(specs) == 1:
            x, head = outputs[name], _Head(self.num_classes, spec.batch_norm, name=f"{name}_head")
        else:
            x, weights = self._fuse(self.fusion_spec, outputs, masks, mask, train)
            if weights is not None:
                attention["fusion"] = weights
            head = _Head(self.num_classes, batch_norm=False, name="head")
        if attention:
            self.sow("intermediates", "attention", attention, reduce_fn=lambda _, new: new)
        return head(x, mask, drop, train=train)

    def _fuse(self, spec, outputs, masks, mask, train) -> tuple[jax.Array, jax.Array | None]:
        if spec.kind == "concat":
            return ConcatFusion(spec.batch_norm, name="fusion")(outputs["audio"], outputs["video"], mask, train=train), None
        steps = (outputs["audio"], masks["audio"], outputs["video"], masks["video"])
        if spec.kind == "dot_attention":
            return DotAttentionFusion(spec.width, name="fusion")(*steps)
        return TanhGRUFusion(spec.width, spec.num_units, name="fusion")(*steps), None


def take_over(collection: Mapping[str, Any], earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Replace the branches of a fused net by those of trained single-stream nets.

    Args:
      collection: the fused net's "params" or "batch_stats".
      earlier: stream name -> the same collection of the single-stream net of that name. What it has and the fused net lacks (its
        head; its pooling where the fusion takes steps) is left behind.

    Returns:
      A new collection of the structure of the first.

    Raises:
      ValueError: an earlier net lacks a leaf of the branch, or has it in another shape, named.
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
                    f"the fused net wants {'/'.join(path)} of shape {flat[path].shape} from the {stream} net and finds {found}; "
                    f"give both nets the same model.{stream} fields"
                )
            flat[path] = trained[path]
    return traverse_util.unflatten_dict(flat)


def attention_weights(net: EmotionNet, variables: Mapping[str, Any], batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Attention over time, stream name -> (B, T) summing to one over real steps; empty where nothing is pooled by attention."""
    apply = jax.jit(functools.partial(net.apply, train=False, mutable=["intermediates"]))
    _, collected = apply(variables, batch)
    return dict(collected.get("intermediates", {}).get("attention", {}))
