"""The encoder of Whisper, a speech transformer: log-mel frames to one vector every 20 ms, from any of its layers."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.layers import check_layers, layer_names, take_layers
from avemo_jax.models.transformer import EPSILON, PreNormBlock, gelu, zero_masked

MOST_STEPS = 1500  # positions that the published weights have: 30 s
FRAMES_A_STEP = 2


@dataclasses.dataclass(frozen=True)
class WhisperSize:
    """The size of one published Whisper.

    Attributes:
      width: numbers D of a feature vector.
      num_layers: transformer blocks.
      num_heads: heads of their attention.
      num_mels: log-mel bands of its input.
    """

    width: int
    num_layers: int
    num_heads: int
    num_mels: int = 80

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the layers: "layer0" is the stem with positions, "layer<n>" the nth block; the last one is followed by a norm."""
        return layer_names(self.num_layers)


class Whisper(nn.Module):
    """Whisper's encoder up to a named layer; what lies beyond it has no parameters.

    Parameters: `conv1` with kernel (3, M, D), `conv2` with kernel (3, D, D), and their biases; `positions` (1500, D); `block1` ...
    `block<n>` (`PreNormBlock`, keys without bias); `norm`, behind the last block, with scale and bias (D,).

    Source: Radford et al. 2022, arXiv 2212.04356, section 2.2 and table 1. Layers are numbered as `hidden_states` of the transformers
    library. Differs: segments need not be padded to 30 s. Masked frames are not attended to, so a clip is encoded in the time of its own
    length; a segment of 3,000 real frames is encoded as the paper has it.

    Attributes:
      end_point: layer up to which the network is computed, see `WhisperSize.end_points`.
      size: of the network.
      layers: layers that are returned side by side; () returns `end_point` alone.
      lora_rank: of the attention, see `SelfAttention`.
    """

    end_point: str
    size: WhisperSize
    layers: tuple[str, ...] = ()
    lora_rank: int = 0

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode log-mel frames (B, T, M), as the view `logmel_whisper` has them, with mask (B, T).

        Returns:
          Features (B, T', D), or (B, T', L, D) where `layers` are given, and their mask (B, T'); T' is half of T, rounded up.

        Raises:
          ValueError: an unknown layer, another number of bands, or more than 30 s.
        """
        self._check(values)
        # Masked frames are zero, which is also what the convolutions pad with.
        x = nn.Conv(self.size.width, (3,), padding=1, name="conv1")(values.astype(jnp.float32))
        x = zero_masked(gelu(x), mask)
        x = gelu(nn.Conv(self.size.width, (3,), FRAMES_A_STEP, padding=1, name="conv2")(x))
        mask = mask[:, ::FRAMES_A_STEP]
        positions = self.param("positions", sinusoids, (MOST_STEPS, self.size.width))
        x = x + positions[: x.shape[1]]
        found = {"layer0": x}
        points = self.size.end_points
        for number, point in enumerate(points[1 : points.index(self.end_point) + 1], start=1):
            block = PreNormBlock(self.size.num_heads, 4 * self.size.width, key_bias=False, lora_rank=self.lora_rank, name=f"block{number}")
            x = block(x, mask)
            found[point] = nn.LayerNorm(EPSILON, name="norm")(x) if point == points[-1] else x
        return take_layers(found, self.layers, self.end_point), mask

    def _check(self, values: jax.Array) -> None:
        check_layers((self.end_point, *self.layers), self.size.end_points, "layers of Whisper")
        if values.ndim != 3 or values.shape[-1] != self.size.num_mels:
            raise ValueError(
                f"this Whisper takes frames of {self.size.num_mels} log-mel bands, (B, T, {self.size.num_mels}), got {values.shape}; set "
                f"--config.views.logmel_whisper.num_mels={self.size.num_mels}"
            )
        if values.shape[1] > FRAMES_A_STEP * MOST_STEPS:
            raise ValueError(
                f"Whisper has positions for 30 s, {FRAMES_A_STEP * MOST_STEPS} frames, got {values.shape[1]}; set "
                "--config.views.logmel_whisper.segment_s to 30 or less"
            )


def sinusoids(_: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Return sinusoids of position (T, D) as initial values: sines in the first half of D, cosines in the second.

    Source: Whisper's published code, which the published `positions` agree with; Vaswani et al. 2017, section 3.5, alternates them.
    """
    num_steps, width = shape
    wavelengths = np.exp(np.log(10_000) * np.arange(width // 2) / (width // 2 - 1))
    angles = np.arange(num_steps)[:, None] / wavelengths
    return jnp.asarray(np.concatenate([np.sin(angles), np.cos(angles)], axis=1), jnp.float32)
