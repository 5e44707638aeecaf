"""Speech transformers that hear the waveform: wav2vec 2.0, XLS-R, HuBERT, WavLM and data2vec-audio, one vector every 20 ms."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.encoders.layers import check_layers, layer_names, take_layers
from avemo_jax.models.encoders.wav2vec2.stem import Stem, standardized
from avemo_jax.models.relative_position import RelativePositions
from avemo_jax.models.transformer import EPSILON, PostNormBlock, PreNormBlock, gelu, zero_masked


@dataclasses.dataclass(frozen=True)
class Wav2Vec2Size:
    """The size and the kind of one published network of the family.

    Attributes:
      width: numbers D of a feature vector.
      num_layers: transformer blocks.
      num_heads: heads of their attention.
      pre_norm: layer norms in front of attention and feed-forward layer, and one behind the last block; else behind their sums, and one in
        front of the first block. Called "stable layer norm" by the transformers library.
      stem_norm: "group", a norm over time behind the first convolution alone, or "layer", one over channels behind each.
      stem_bias: whether the convolutions have a bias.
      stem_channels: channels of the convolutions.
      feature_norm: layer norm between convolutions and transformer.
      num_position_convs: convolutions in a row that make the position embedding; several have a layer norm without parameters each.
      position_steps: width of their kernels.
      position_groups: groups of their channels.
      num_distances: classes of distances that have a bias in attention; 0 for none (all but WavLM).
      most_distance_steps: longer distances are all of one class.
    """

    width: int
    num_layers: int
    num_heads: int
    pre_norm: bool = False
    stem_norm: str = "group"
    stem_bias: bool = False
    stem_channels: int = 512
    feature_norm: bool = True
    num_position_convs: int = 1
    position_steps: int = 128
    position_groups: int = 16
    num_distances: int = 0
    most_distance_steps: int = 800

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the layers: "layer0" is what the first block takes, "layer<n>" the nth block."""
        return layer_names(self.num_layers)


class Wav2Vec2(nn.Module):
    """A network of the family up to a named layer; what lies beyond it has no parameters.

    Parameters: `stem` (`Stem`); `feature_norm` with scale and bias (C,); `project` with kernel (C, D) and bias; `positions`
    (`ConvPositions`); `norm` with scale and bias (D,); `distances` (`RelativePositions`); `block1` ... `block<n>` (`PreNormBlock` or
    `PostNormBlock`). In "batch_stats", which is not trained: `keeps_level` (), 1 where the network was trained on samples at their own
    level, 0 where each segment was brought to zero mean and unit variance first. It is a property of the weights and comes with them.

    Source: Baevski et al. 2020, wav2vec 2.0, arXiv 2006.11477, section 2 and appendix B; Hsu et al. 2021, HuBERT, arXiv 2106.07447; Chen
    et al. 2022, WavLM, arXiv 2110.13900; Baevski et al. 2022, data2vec, arXiv 2202.03555. Layers are numbered as `hidden_states` of the
    transformers library, and the last one is its `last_hidden_state`. Differs: masked samples change nothing. The published code computes
    group norms over the padding of a batch too, and lets the padding into the later ones of several position convolutions; for a clip alone
    the two agree.

    Attributes:
      end_point: layer up to which the network is computed, see `Wav2Vec2Size.end_points`.
      size: of the network.
      layers: layers that are returned side by side; () returns `end_point` alone.
      lora_rank: of the attention, see `SelfAttention`.
    """

    end_point: str
    size: Wav2Vec2Size
    layers: tuple[str, ...] = ()
    lora_rank: int = 0

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode samples (B, S) at 16 kHz, as the view `waveform` has them, zero where mask (B, S) is False.

        Returns:
          Features (B, T', D), or (B, T', L, D) where `layers` are given, and their mask (B, T'): a step every 320 samples that sees 400.

        Raises:
          ValueError: an unknown layer, or values that are not samples.
        """
        size = self.size
        check_layers((self.end_point, *self.layers), size.end_points, "layers of this network")
        check_samples(values)
        values = values.astype(jnp.float32)
        keeps_level = self.variable("batch_stats", "keeps_level", jnp.zeros, (), jnp.float32)
        values = jnp.where(keeps_level.value > 0.5, values, standardized(values, mask))
        x, mask = Stem(size.stem_channels, size.stem_norm, size.stem_bias, name="stem")(values, mask)
        if size.feature_norm:
            x = nn.LayerNorm(EPSILON, name="feature_norm")(x)
        x = zero_masked(nn.Dense(size.width, name="project")(x), mask)
        x = x + ConvPositions(size.num_position_convs, size.position_steps, size.position_groups, name="positions")(x, mask)
        norm = nn.LayerNorm(EPSILON, name="norm")
        found = {"layer0": x if size.pre_norm else norm(x)}
        points = size.end_points
        wanted = points[1 : points.index(self.end_point) + 1]
        bias = None
        if size.num_distances and wanted:
            bias = RelativePositions(size.num_heads, size.num_distances, size.most_distance_steps, name="distances")(x.shape[1])
        block_of_kind = PreNormBlock if size.pre_norm else PostNormBlock
        x = found["layer0"]
        for number, point in enumerate(wanted, start=1):
            x = block_of_kind(size.num_heads, 4 * size.width, lora_rank=self.lora_rank, name=f"block{number}")(x, mask, bias)
            found[point] = norm(x) if size.pre_norm and point == points[-1] else x
        return take_layers(found, self.layers, self.end_point), mask


def check_samples(values: jax.Array) -> None:
    """Raise ValueError where values are not samples (B, S)."""
    if values.ndim != 2:
        raise ValueError(
            f"expected samples (B, S), got {values.shape}; choose the view of samples with --config.streams.STREAM.view=waveform"
        )


class ConvPositions(nn.Module):
    """Position embedding by convolutions over steps.

    Parameters: `conv1` ... `conv<n>` with kernel (position_steps, D / groups, D) and bias (D,).

    Source: Baevski et al. 2020, arXiv 2006.11477, section 2, with one convolution; data2vec-audio has several, each with a layer norm.

    Attributes:
      num_convs: convolutions in a row.
      num_steps: width of their kernels.
      num_groups: groups of their channels.
    """

    num_convs: int
    num_steps: int
    num_groups: int

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Map x (B, T, D), zero where mask (B, T) is False, to (B, T, D), which has no meaning there."""
        before = self.num_steps // 2
        padding = [(before, self.num_steps - 1 - before)]
        for number in range(1, self.num_convs + 1):
            conv = nn.Conv(x.shape[-1], (self.num_steps,), padding=padding, feature_group_count=self.num_groups, name=f"conv{number}")
            x = conv(x)
            if self.num_convs > 1:
                x = nn.LayerNorm(EPSILON, use_bias=False, use_scale=False)(x)
            x = gelu(x)
            x = zero_masked(x, mask) if number < self.num_convs else x
        return x
