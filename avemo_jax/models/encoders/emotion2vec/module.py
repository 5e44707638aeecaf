"""emotion2vec: a speech transformer that was trained on emotional speech, one vector every 20 ms."""

from __future__ import annotations

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.layers import check_layers, layer_names, take_layers
from avemo_jax.models.encoders.wav2vec2.module import ConvPositions, check_samples
from avemo_jax.models.encoders.wav2vec2.stem import Stem, standardized
from avemo_jax.models.transformer import EPSILON, PostNormBlock, zero_masked

_LEAST_VARIANCE = 1e-5  # of a segment, as the owner's code has it


@dataclasses.dataclass(frozen=True)
class Emotion2VecSize:
    """The size of a network.

    Attributes:
      width: numbers D of a feature vector.
      num_early: transformer blocks that the owner's code calls prenet; they differ from the others in their names alone.
      num_late: transformer blocks behind them.
      num_heads: heads A of their attention.
      num_tokens: learned tokens in front of the steps.
      stem_channels: channels of the convolutions over samples.
      num_position_convs, position_steps, position_groups: see `ConvPositions`.
    """

    width: int = 768
    num_early: int = 4
    num_late: int = 8
    num_heads: int = 12
    num_tokens: int = 10
    stem_channels: int = 512
    num_position_convs: int = 5
    position_steps: int = 19
    position_groups: int = 16

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the layers: "layer0" is what the first block takes, "layer<n>" the nth block."""
        return layer_names(self.num_early + self.num_late)


class Emotion2Vec(nn.Module):
    """The network up to a named layer; what lies beyond it has no parameters.

    Parameters: `stem` (`Stem`); `feature_norm` with scale and bias (C,); `project` with kernel (C, D) and bias; `positions`
    (`ConvPositions`); `tokens` (N, D); `norm` with scale and bias (D,); `distance_scale` (A,); `block1` ... `block<n>` (`PostNormBlock`).

    Source: Ma et al. 2024, emotion2vec, arXiv 2312.15185, section 3 and appendix A; its encoder is that of data2vec 2.0, Baevski et al.
    2023, arXiv 2212.07525, section 3. Differs: masked samples change nothing; the owner's code lets the padding of a batch into the
    position convolutions. For a clip alone both agree.

    Attributes:
      end_point: layer up to which the network is computed, see `Emotion2VecSize.end_points`.
      size: of the network.
      layers: layers that are returned side by side; () returns `end_point` alone.
      lora_rank: of the attention, see `SelfAttention`.
    """

    end_point: str
    size: Emotion2VecSize = Emotion2VecSize()
    layers: tuple[str, ...] = ()
    lora_rank: int = 0

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode samples (B, S) at 16 kHz, as the view `waveform` has them, zero where mask (B, S) is False.

        Returns:
          Features (B, T', D), or (B, T', L, D) where `layers` are given, and their mask (B, T'): a step every 320 samples that sees 400.
          The learned tokens take part in the attention, and are not returned.

        Raises:
          ValueError: an unknown layer, or values that are not samples.
        """
        size = self.size
        check_layers((self.end_point, *self.layers), size.end_points, "layers of this network")
        check_samples(values)
        values = standardized(values.astype(jnp.float32), mask, _LEAST_VARIANCE)
        x, mask = Stem(size.stem_channels, "layer", False, name="stem")(values, mask)
        x = nn.LayerNorm(EPSILON, name="feature_norm")(x)
        x = zero_masked(nn.Dense(size.width, name="project")(x), mask)
        x = x + ConvPositions(size.num_position_convs, size.position_steps, size.position_groups, name="positions")(x, mask)
        tokens = self.param("tokens", nn.initializers.normal(1.0), (size.num_tokens, size.width))
        x = jnp.concatenate([jnp.broadcast_to(tokens, (x.shape[0], *tokens.shape)), x], axis=1)
        attended = jnp.pad(mask, ((0, 0), (size.num_tokens, 0)), constant_values=True)
        x = nn.LayerNorm(EPSILON, name="norm")(x)
        found = {"layer0": x}
        wanted = size.end_points[1 : size.end_points.index(self.end_point) + 1]
        bias = None
        if wanted:
            scale = self.param("distance_scale", nn.initializers.ones, (size.num_heads,))
            bias = jnp.maximum(scale, 0)[:, None, None] * distance_bias(mask.shape[1], size.num_heads, size.num_tokens)
        for number, point in enumerate(wanted, start=1):
            block = PostNormBlock(size.num_heads, 4 * size.width, lora_rank=self.lora_rank, has_gate=False, name=f"block{number}")
            found[point] = x = block(x, attended, bias)
        found = {point: one[:, size.num_tokens :] for point, one in found.items()}
        return take_layers(found, self.layers, self.end_point), mask


def distance_bias(num_steps: int, num_heads: int, num_tokens: int) -> np.ndarray:
    """Return (A, N + T, N + T) float32, what is added to the scores of each head: minus its slope times the distance of two of the T steps.

    Nothing is added for the N tokens in front of the steps.

    Source: Press et al. 2022, ALiBi, arXiv 2108.12409, section 3, with distances in both directions.
    """
    steps = np.arange(num_steps, dtype=np.float32)
    bias = -head_slopes(num_heads)[:, None, None] * np.abs(steps[:, None] - steps)
    return np.pad(bias, ((0, 0), (num_tokens, 0), (num_tokens, 0)))


def head_slopes(num_heads: int) -> np.ndarray:
    """Return the slopes (A,) float32 of ALiBi: 2^(-8/A), 2^(-16/A), ... for a power of two.

    Other numbers of heads take those of the next lower power of two, and then every second one of the next higher.
    """
    lower = 2 ** math.floor(math.log2(num_heads))
    exponents = [8 * (i + 1) / lower for i in range(lower)] + [4 * (2 * i + 1) / lower for i in range(num_heads - lower)]
    return np.exp2(-np.array(exponents)).astype(np.float32)
