"""Fusions: layers that join the branches of several streams into one vector a clip.

A fusion is a Flax module in a file of its own with the call

    fusion(values, masks, examples, train=...) -> vector (B, D), attention weights (B, T) over the steps of the last stream or None

where `values` holds one array a stream in the order of the system's streams, vectors (B, D) or steps (B, T, D) as its `FusionFamily` says,
`masks` their steps' masks (B, T) bool, all False where a clip lacks the stream, and `examples` (B,) bool is False for padding of the batch.
Streams come in sequences and not in mappings, since JAX sorts the keys of a mapping and the order decides how vectors are concatenated.

A new fusion is such a module and an entry in `FUSIONS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.linen as nn

from avemo_jax.config import Fusion
from avemo_jax.models.fusion.bottleneck import BottleneckFusion
from avemo_jax.models.fusion.concat import ConcatFusion
from avemo_jax.models.fusion.cross_modal import CrossModalFusion
from avemo_jax.models.fusion.dot_attention import DotAttentionFusion
from avemo_jax.models.fusion.gated import GatedFusion
from avemo_jax.models.fusion.tanh_gru import TanhGRUFusion
from avemo_jax.models.fusion.token_attention import TokenAttentionFusion

TOKENS = ("modalities", "segments")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusionSpec(Fusion):
    """How the streams of a network are joined, checked; fields and defaults are those of `config.Fusion`."""

    @classmethod
    def of(cls, fusion: Fusion) -> FusionSpec:
        """Return the spec of a fusion of the config."""
        return cls(**{field.name: getattr(fusion, field.name) for field in dataclasses.fields(Fusion)})

    def __post_init__(self):
        if self.kind not in FUSIONS:
            raise ValueError(f"expected fusion kind to be one of {tuple(FUSIONS)}, got {self.kind!r}; set --config.fusion.kind")
        if self.tokens not in TOKENS:
            raise ValueError(f"expected fusion tokens to be one of {TOKENS}, got {self.tokens!r}; set --config.fusion.tokens")
        if FUSIONS[self.kind].has_heads and self.width % self.num_heads:
            raise ValueError(
                f"fusion {self.kind!r} expects a width that its {self.num_heads} heads share equally, got {self.width}; set "
                "--config.fusion.width or --config.fusion.num_heads"
            )

    @property
    def pooled(self) -> bool:
        """Whether the fusion joins pooled vectors; else it joins steps."""
        return FUSIONS[self.kind].pooled

    def module(self, names: tuple[str, ...], name: str) -> nn.Module:
        """Make the layer for streams of these names, in this order.

        Args:
          names: of the streams, two or more; layers that each stream has for itself are named by them.
          name: of the module in the parameter tree.

        Raises:
          ValueError: a stream has the name of one of the fusion's own layers.
        """
        family = FUSIONS[self.kind]
        if taken := [one for one in names if one in family.layers]:
            raise ValueError(f"fusion {self.kind!r} has a layer named {taken[0]!r}, so no stream can have that name; rename the stream")
        return family.make(self, names, name)


@dataclasses.dataclass(frozen=True)
class FusionFamily:
    """A kind of fusion.

    Attributes:
      make: (spec, names of the streams, name of the module) -> the module.
      pooled: it takes a vector a stream; else steps.
      layers: names of its layers beside those named by streams.
      has_heads: it has attention with `fusion.num_heads` heads, which share the width.
    """

    make: Callable[[FusionSpec, tuple[str, ...], str], nn.Module]
    pooled: bool = False
    layers: tuple[str, ...] = ()
    has_heads: bool = False


FUSIONS: dict[str, FusionFamily] = {
    "concat": FusionFamily(lambda spec, names, name: ConcatFusion(spec.batch_norm, name=name), pooled=True),
    "tanh_gru": FusionFamily(
        lambda spec, names, name: TanhGRUFusion(names, spec.width, spec.num_units, name=name), layers=("join", "context")
    ),
    "dot_attention": FusionFamily(lambda spec, names, name: DotAttentionFusion(names, spec.width, name=name), layers=("query", "key")),
    "token_attention": FusionFamily(
        lambda spec, names, name: TokenAttentionFusion(names, spec.width, spec.tokens == "segments", name=name)
    ),
    "gated": FusionFamily(lambda spec, names, name: GatedFusion(names, spec.width, name=name), pooled=True, layers=("gate",)),
    "bottleneck": FusionFamily(
        lambda spec, names, name: BottleneckFusion(names, spec.width, spec.num_layers, spec.num_heads, spec.num_bottlenecks, name=name),
        layers=("bottleneck",),
        has_heads=True,
    ),
    "cross_modal": FusionFamily(
        lambda spec, names, name: CrossModalFusion(names, spec.width, spec.num_layers, spec.num_heads, name=name), has_heads=True
    ),
}
