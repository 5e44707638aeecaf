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
from avemo_jax.models.cnn import CNN, ConvPool
from avemo_jax.models.encoders import ENCODERS as PUBLISHED_ENCODERS
from avemo_jax.models.encoders.contract import encode, share_over_steps
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.fusion import ConcatFusion, DotAttentionFusion, TanhGRUFusion, TokenAttentionFusion
from avemo_jax.models.layer_weighting import LayerWeighting
from avemo_jax.models.norm import BatchNorm, dropout
from avemo_jax.models.recurrent import ACTIVATIONS, RecurrentStack
from avemo_jax.models.sequence_cnn import SequenceCNN
from avemo_jax.models.time_conv import TimeConv, spread_over_neighbours

ENCODERS = ("none", "mlp", "cnn", "conv_pool")  # beside those with published weights
LAYERS = ("concatenated", "weighted")
FRAME_CONTEXTS = ("none", "gru", "lstm")
CONTEXTS = ("gru", "lstm", "conv", "none")
FUSIONS = ("concat", "tanh_gru", "dot_attention", "token_attention")
TOKENS = ("modalities", "segments")


@dataclasses.dataclass(frozen=True)
class BranchSpec:
    """One stream of the network; fields and defaults are those of `configs.base.branch`, where each has its reason.

    Attributes:
      encoder: what turns one step of the view into a vector inside the network: one of ENCODERS, or an encoder with published weights.
      encoder_spec: of an encoder with published weights, see `encoders`.
      encoder_units: "mlp": widths of its layers; "cnn", "conv_pool": channels of its blocks.
      layers: of features with an axis of layers (B, T, L, D): "concatenated", L D numbers a step, or their learned mean, "weighted", see
        `layer_weighting`.
      frame_context, frame_units: recurrent layer over the frames of a step that has several (B, T, F, D), whose last state stands for the
        step; one of FRAME_CONTEXTS.
      time_conv_channels, time_conv_width_steps, time_conv_stride_steps: convolution over time in front of the context, see
        `time_conv`; 0 channels leave it out.
      context: temporal context over the steps, one of CONTEXTS; "conv" is `sequence_cnn.SequenceCNN`.
      context_units: of its layers: recurrent units of one direction, or channels of convolutions.
      context_activation: of recurrent layers "tanh" or "linear"; of convolutions "relu" or "relu_elu", in alternate layers.
      bidirectional, reset_after: of recurrent layers, see `recurrent.RecurrentStack`.
      context_batch_norm: between the layers of the context.
      context_dropout: after the convolution over time, between the layers of the context, and after pooling.
      pooling, attention_units, pooling_steps: from steps to a vector, see `attention.Pooling`.
      dense_units: of the ReLU layers after pooling, dropout between them; () leaves them out.
      batch_norm: before the classes of a single-stream net; a fused net has its own (`FusionSpec.batch_norm`).
    """

    encoder: str = "none"
    encoder_spec: EncoderSpec | None = None
    encoder_units: tuple[int, ...] = (64,)
    layers: str = "concatenated"
    frame_context: str = "none"
    frame_units: int = 256
    time_conv_channels: int = 0
    time_conv_width_steps: int = 5
    time_conv_stride_steps: int = 1
    context: str = "gru"
    context_units: tuple[int, ...] = (256,)
    context_activation: str = "tanh"
    bidirectional: bool = False
    reset_after: bool = True
    context_batch_norm: bool = False
    context_dropout: bool = False
    pooling: str = "attention"
    pooling_steps: int = 0
    attention_units: int = 0
    dense_units: tuple[int, ...] = (128,)
    batch_norm: bool = True

    def __post_init__(self):
        _expect("encoder", self.encoder, (*ENCODERS, *PUBLISHED_ENCODERS))
        if (self.encoder in PUBLISHED_ENCODERS) != (self.encoder_spec is not None):
            raise ValueError(f"encoder {self.encoder!r}: an encoder with published weights has an encoder_spec and no other has")
        _expect("layers", self.layers, LAYERS)
        _expect("frame_context", self.frame_context, FRAME_CONTEXTS)
        _expect("context", self.context, CONTEXTS)
        if self.context != "none":
            _expect("context_activation", self.context_activation, ("relu", "relu_elu") if self.context == "conv" else ACTIVATIONS)
        _expect("pooling", self.pooling, POOLINGS)


@dataclasses.dataclass(frozen=True)
class FusionSpec:
    """How two streams become one; fields and defaults are those of `model.fusion` in `configs.base`.

    Attributes:
      kind: "concat" joins the branches' vectors, the others their steps; see `fusion`.
      width: common width of the streams ("tanh_gru", "dot_attention"); of the scores' layer ("token_attention").
      num_units: of the GRU of "tanh_gru".
      batch_norm: of "concat".
      tokens: what "token_attention" attends over, one of TOKENS.
      dense_units: of ReLU layers between fusion and classes, dropout between them.
    """

    kind: str = "concat"
    width: int = 128
    num_units: int = 256
    batch_norm: bool = True
    tokens: str = "modalities"
    dense_units: tuple[int, ...] = ()

    def __post_init__(self):
        _expect("fusion kind", self.kind, FUSIONS)
        _expect("fusion tokens", self.tokens, TOKENS)


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
    """Turn the steps of a view into vectors."""

    spec: BranchSpec

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, drop) -> tuple[jax.Array, jax.Array]:
        """Encode x (B, T, ...) with mask (B, T) to (B, T', D) and its mask (B, T'); T' = T but with an encoder of sequences."""
        spec, steps = self.spec, x.shape[:2]
        if spec.encoder in PUBLISHED_ENCODERS:
            assert spec.encoder_spec is not None  # so says the spec itself
            # Batch norms stay at their moving statistics in training too: those of a small batch of frames that resemble each other are
            # poor ones, and padded steps would be in them.
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
        """(B, T, F, D) to (B, T, D'): the last state over the frames of each step."""
        if x.ndim != 4:
            raise ValueError(f"model frame_context takes steps of several frames, (B, T, F, D), got {x.shape}; set it to 'none'")
        num_frames, width = x.shape[2:]
        real = jnp.broadcast_to(mask.reshape(-1, 1), (mask.size, num_frames))
        stack = RecurrentStack(self.spec.frame_context, (self.spec.frame_units,), name="frames")
        return stack(x.reshape(-1, num_frames, width), real)[1].reshape(*mask.shape, -1)


class Context(nn.Module):
    """Encoder of each step, convolution over time, recurrent layers: what fusions of steps take of a branch."""

    spec: BranchSpec

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, examples: jax.Array, drop, *, train: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Map a view x (B, T, ...) with mask (B, T) and real examples (B,) bool to the context's steps.

        Returns:
          Steps (B, T', D), the last real state (B, D), and the steps' mask (B, T'); T' = T unless a stride or an encoder changes it.
        """
        spec = self.spec
        real = mask.reshape(*mask.shape, *(1,) * (x.ndim - 2))
        x, mask = Encoder(spec, name="encoder")(jnp.where(real, x, 0), mask, drop)  # what lies in padded steps, NaN even, goes no further
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
    """Steps of the view that become one of the context."""
    return (spec.time_conv_stride_steps if spec.time_conv_channels else 1) * (2 ** len(spec.context_units) if spec.context == "conv" else 1)


def _dense_layers(x: jax.Array, units: tuple[int, ...], drop) -> jax.Array:
    """ReLU layers `dense0`, `dense1`, ... with dropout between them; what follows the last one has its own."""
    for index, width in enumerate(units):
        x = nn.relu(nn.Dense(width, name=f"dense{index}")(drop(x) if index else x))
    return x


class _Head(nn.Module):
    """Batch norm (of single-stream nets), dense ReLU layers (of fused nets), dropout, classes."""

    num_classes: int
    batch_norm: bool
    dense_units: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, drop, *, train: bool) -> jax.Array:
        if self.batch_norm:
            x = BatchNorm(name="norm")(x, mask, train=train)
        x = _dense_layers(x, self.dense_units, drop)
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
      held: streams whose branch is finished: it works in training as it does outside, without dropout and batch statistics.
    """

    num_classes: int
    audio: BranchSpec | None = None
    video: BranchSpec | None = None
    fusion: FusionSpec | None = None
    held: tuple[str, ...] = ()

    def setup(self):
        # The tree's names "audio" and "video" would collide with the fields of that name; the inner module has the tree alone.
        self.network = _Network(self.num_classes, {"audio": self.audio, "video": self.video}, self.fusion, self.held)
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
    held: tuple[str, ...] = ()

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
            learns = train and name not in self.held
            dropped = drop if learns else _Dropout(self, 0.0, train=False)
            branch = Branch(spec, name=name)
            outputs[name], masks[name], weights = branch(batch[name], batch[f"{name}_mask"], mask, dropped, train=learns, pooled=pooled)
            if weights is not None:
                attention[name] = weights
        if len(specs) == 1:
            x, head = outputs[name], _Head(self.num_classes, spec.batch_norm, name=f"{name}_head")
        else:
            assert self.fusion_spec is not None  # so it was seen above
            x, weights = self._fuse(self.fusion_spec, outputs, masks, mask, train)
            if weights is not None:
                attention["fusion"] = weights
            head = _Head(self.num_classes, batch_norm=False, dense_units=self.fusion_spec.dense_units, name="head")
        if attention:
            self.sow("intermediates", "attention", attention, reduce_fn=lambda _, new: new)
        return head(x, mask, drop, train=train)

    def _fuse(self, spec, outputs, masks, mask, train) -> tuple[jax.Array, jax.Array | None]:
        if spec.kind == "concat":
            return ConcatFusion(spec.batch_norm, name="fusion")(outputs["audio"], outputs["video"], mask, train=train), None
        steps = (outputs["audio"], masks["audio"], outputs["video"], masks["video"])
        if spec.kind == "dot_attention":
            return DotAttentionFusion(spec.width, name="fusion")(*steps)
        if spec.kind == "token_attention":
            return TokenAttentionFusion(spec.width, spec.tokens == "segments", name="fusion")(*steps)
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


def overlay(collection: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Put a part of a tree in place of what the tree has there, leaf by leaf.

    Raises:
      ValueError: a leaf of the part is not in the tree, or has another shape there, named.
    """
    flat = traverse_util.flatten_dict(dict(collection))
    for path, leaf in traverse_util.flatten_dict(dict(part)).items():
        if path not in flat or flat[path].shape != leaf.shape:
            found = flat[path].shape if path in flat else "nothing of that name"
            raise ValueError(f"weights for {'/'.join(path)} have shape {leaf.shape}, and the network has {found} there")
        flat[path] = leaf
    return traverse_util.unflatten_dict(flat)


def attention_weights(net: EmotionNet, variables: Mapping[str, Any], batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Attention over time, stream name -> (B, T) summing to one over real steps; empty where nothing is pooled by attention."""
    apply = jax.jit(functools.partial(net.apply, train=False, mutable=["intermediates"]))
    _, collected = apply(variables, batch)
    return dict(collected.get("intermediates", {}).get("attention", {}))
