"""Vision transformers: a picture, or a window of frames, cut into patches that attend to one another, to one vector."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.encoders.layers import check_layers, layer_names, take_layers
from avemo_jax.models.encoders.vision_transformer.positions import resize_positions
from avemo_jax.models.sinusoids import alternating_sinusoids
from avemo_jax.models.transformer import PreNormBlock, gelu

CLASS, PATCHES, CLASS_AND_PATCHES = "class", "patches", "class_and_patches"
FINAL = "final"


def quick_gelu(x: jax.Array) -> jax.Array:
    """Return CLIP's approximation of GELU, x times the sigmoid of 1.702 x."""
    return x * jax.nn.sigmoid(1.702 * x)


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """How pixels in [0, 1] are normalised: (pixel - mean) / deviation, of red, green and blue."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


def normalise(x: jax.Array, normalisation: Normalisation) -> jax.Array:
    """Return pictures (..., 3) in [0, 255], or grey ones (..., 1), normalised, (..., 3) float32."""
    mean, deviation = (jnp.asarray(values, jnp.float32) for values in (normalisation.mean, normalisation.deviation))
    return (x.astype(jnp.float32) / 255 - mean) / deviation  # grey is repeated by the broadcast


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisionDesign:
    """The design of one published vision transformer.

    Attributes:
      width: numbers D of a token.
      num_layers: transformer blocks.
      num_heads: heads of their attention.
      patch_px: side of a patch.
      normalisation: of its pictures.
      size_px: side of the pictures that its positions are for.
      num_frames: frames of a window; 1 for pictures.
      tubelet_frames: frames that a patch reaches over.
      class_token: whether a learned token is put in front of the patches.
      num_registers: learned tokens between the class token and the patches, which no feature is read from.
      learned_positions: whether positions are parameters; else they are sinusoids.
      interpolation: how positions are brought to pictures of another size: "bicubic", "antialiased", or "" where only pictures of size_px
        are taken.
      patch_bias: whether the projection of patches has a bias.
      norm_first: whether a layer norm precedes the first block.
      key_bias, activation, epsilon, layer_scale: of the blocks (`PreNormBlock`).
      norm_after_mean: whether the last norm follows the mean over patches; else it precedes it.
    """

    width: int
    num_layers: int
    num_heads: int
    patch_px: int
    normalisation: Normalisation
    size_px: int = 224
    num_frames: int = 1
    tubelet_frames: int = 1
    class_token: bool = True
    num_registers: int = 0
    learned_positions: bool = True
    interpolation: str = ""
    patch_bias: bool = True
    norm_first: bool = False
    key_bias: bool = True
    activation: Callable[[jax.Array], jax.Array] = gelu
    epsilon: float = 1e-5
    layer_scale: bool = False
    norm_after_mean: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers: "layer0" is what the first block takes, "layer<n>" what the nth block gives."""
        return layer_names(self.num_layers)

    @property
    def end_points(self) -> tuple[str, ...]:
        """The layers, and "final", the last layer behind the last norm."""
        return (*self.layers, FINAL)

    @property
    def tokens(self) -> tuple[str, ...]:
        """What a feature may be read from, the owner's choice first."""
        return (CLASS, PATCHES, CLASS_AND_PATCHES) if self.class_token else (PATCHES,)

    @property
    def num_patches(self) -> int:
        """Patches of a picture or window of size_px."""
        return self.num_frames // self.tubelet_frames * (self.size_px // self.patch_px) ** 2

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a picture (H, W, 3) or window (F, H, W, 3) of the size that the positions are for."""
        picture = (self.size_px, self.size_px, 3)
        return picture if self.num_frames == 1 else (self.num_frames, *picture)


class PatchEmbedding(nn.Module):
    """Patches, class token and registers with their positions.

    Parameters: `patches` with kernel (F P P 3, D), P the side of a patch and F its frames, and a bias where the design has one;
    `class_token` (D,), `registers` (R, D) and `positions` (T, D), the class token's first, where the design has them.

    Attributes:
      design: of the network.
    """

    design: VisionDesign

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map normalised windows (N, F, H, W, 3), or pictures as windows of one frame, to tokens (N, T, D)."""
        design = self.design
        frames, side = design.tubelet_frames, design.patch_px
        num_times, num_rows, num_columns = x.shape[1] // frames, x.shape[2] // side, x.shape[3] // side
        x = x.reshape(len(x), num_times, frames, num_rows, side, num_columns, side, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7)
        x = x.reshape(len(x), num_times * num_rows * num_columns, -1)
        x = nn.Dense(design.width, use_bias=design.patch_bias, name="patches")(x)
        first = int(design.class_token)
        if design.class_token:
            token = self.param("class_token", nn.initializers.zeros, (design.width,))
            x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, design.width)), x], axis=1)
        if design.learned_positions:
            positions = self.param("positions", nn.initializers.normal(0.02), (design.num_patches + first, design.width))
            if x.shape[1] != len(positions) or num_rows != num_columns:
                antialias = design.interpolation == "antialiased"
                patches = resize_positions(positions[first:], num_rows, num_columns, antialias=antialias)
                positions = jnp.concatenate([positions[:first], patches])
        else:
            positions = jnp.asarray(alternating_sinusoids(design.num_patches, design.width))
        x = x + positions
        if design.num_registers:
            registers = self.param("registers", nn.initializers.zeros, (design.num_registers, design.width))
            registers = jnp.broadcast_to(registers, (len(x), *registers.shape))
            x = jnp.concatenate([x[:, :first], registers, x[:, first:]], axis=1)
        return x


class VisionTransformer(nn.Module):
    """A vision transformer up to a named end point; what lies beyond it has no parameters.

    Parameters: `embed` (`PatchEmbedding`); `first_norm`, where the design has it; `block1` ... `block<n>` (`PreNormBlock`); `norm`, of the
    end point "final". Norms have scale and bias (D,).

    Source: Dosovitskiy et al. 2021, arXiv 2010.11929, section 3.1; Radford et al. 2021 (CLIP), arXiv 2103.00020, section 2.4; Oquab et
    al. 2023 (DINOv2), arXiv 2304.07193; Darcet et al. 2023 (registers), arXiv 2309.16588; Tong et al. 2022 (VideoMAE), arXiv 2203.12602.
    Layers are numbered as `hidden_states` of the transformers library. Differs: pictures of another size are resized bilinearly, where
    `resize_px` is set; CLIP's and DINOv2's owners resize bicubically.

    Attributes:
      end_point: one of `VisionDesign.end_points`.
      design: of the network.
      layers: layers that are returned side by side; () returns `end_point` alone.
      tokens: what a feature is read from: "class", the class token; "patches", the mean of all patches; "class_and_patches", both one
        after the other, 2 D numbers. "" is the first of `VisionDesign.tokens`.
      resize_px: pictures are brought to this height and width first; 0 leaves them as they are.
      lora_rank: of the attention, see `SelfAttention`.
    """

    end_point: str
    design: VisionDesign
    layers: tuple[str, ...] = ()
    tokens: str = ""
    resize_px: int = 0
    lora_rank: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Encode pictures or windows of frames to features (N, D), or (N, L, D) where `layers` are given.

        Args:
          x: uint8 RGB in [0, 255], as views have them: pictures (N, H, W, 3), or (N, H, W, 1), whose grey is repeated, or windows
            (N, F, H, W, 3). They are normalised here, so pictures that were normalised before, for this or another network, are refused.

        Raises:
          ValueError: an unknown end point, or pictures of another type or size.
        """
        design = self.design
        self._check(x)
        x = PatchEmbedding(design, name="embed")(self._prepared(x))
        if design.norm_first:
            x = nn.LayerNorm(design.epsilon, name="first_norm")(x)
        found = {"layer0": self._pooled(x)}
        points = design.layers if self.end_point == FINAL else design.layers[: design.layers.index(self.end_point) + 1]
        for number, point in enumerate(points[1:], start=1):
            x = PreNormBlock(
                design.num_heads,
                4 * design.width,
                key_bias=design.key_bias,
                activation=design.activation,
                epsilon=design.epsilon,
                layer_scale=design.layer_scale,
                lora_rank=self.lora_rank,
                name=f"block{number}",
            )(x, None)
            found[point] = self._pooled(x)
        if self.end_point == FINAL:
            norm = nn.LayerNorm(design.epsilon, name="norm")
            found[FINAL] = norm(self._pooled(x)) if design.norm_after_mean else self._pooled(norm(x))
        return take_layers(found, self.layers, self.end_point)

    def _pooled(self, x: jax.Array) -> jax.Array:
        """Map tokens (N, T, D) to a vector."""
        tokens = self.tokens or self.design.tokens[0]
        patches = int(self.design.class_token) + self.design.num_registers
        found = [x[:, 0]] if tokens in (CLASS, CLASS_AND_PATCHES) else []
        found += [jnp.mean(x[:, patches:], axis=1)] if tokens in (PATCHES, CLASS_AND_PATCHES) else []
        return jnp.concatenate(found, axis=-1)

    def _prepared(self, x: jax.Array) -> jax.Array:
        """Return pictures or windows as normalised windows (N, F, H, W, 3)."""
        x = x.astype(jnp.float32)
        if self.resize_px and x.shape[-3:-1] != (self.resize_px, self.resize_px):
            x = jax.image.resize(x, (*x.shape[:-3], self.resize_px, self.resize_px, x.shape[-1]), "bilinear")
        x = normalise(x, self.design.normalisation)
        return x[:, None] if self.design.num_frames == 1 else x

    def _check(self, x: jax.Array) -> None:
        design = self.design
        check_layers((self.end_point, *self.layers), design.end_points, "end points of the vision transformer")
        is_window = design.num_frames > 1
        wanted = f"windows (N, {design.num_frames}, H, W, 3)" if is_window else "pictures (N, H, W, 3) or (N, H, W, 1)"
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(
                f"this vision transformer takes {wanted} of type uint8, which it normalises itself, got {x.dtype}; choose a view of "
                "pictures and give them as they are"
            )
        if x.ndim != 4 + is_window or x.shape[-1] not in ((3,) if is_window else (1, 3)) or (is_window and x.shape[1] != design.num_frames):
            hint = f"; set --config.views.frame_windows.num_frames={design.num_frames}" if is_window else ""
            raise ValueError(f"this vision transformer takes {wanted}, got {x.shape}{hint}")
        height, width = (self.resize_px, self.resize_px) if self.resize_px else x.shape[-3:-1]
        fits = height == width == design.size_px or (design.interpolation and height % design.patch_px == width % design.patch_px == 0)
        if not fits:
            sides = f"multiples of {design.patch_px} px" if design.interpolation else f"{design.size_px} px"
            raise ValueError(
                f"this vision transformer takes pictures with sides of {sides}, got {height} x {width}; set size_px of the view, or "
                "resize_px of the encoder, which resizes them"
            )
