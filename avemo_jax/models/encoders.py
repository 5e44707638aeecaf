"""The encoders with published weights, by name: what systems and configs choose from.

An encoder is frozen (it runs once over a view and its features are kept as a prepared set) or part of the network (fine-tuned, all of it
or from a named end point on).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models import face_api, i3d, inception_v3, mini_xception, vgg, vggish
from avemo_jax.models.winograd import transform_kernels


@dataclasses.dataclass(frozen=True)
class EncoderFamily:
    """What the engine knows of an encoder.

    Attributes:
      make: (end_point, **attributes) -> the module.
      end_points: in order of computation.
      features: the end point that systems use by default.
      input_rank: axes of one input: 2 for a spectrogram patch (frames, bands), 3 for a picture (H, W, C), 4 for a window of frames.
      resized: it takes `resize_px`, to which it resizes its pictures.
      fold: variables -> those of the module with folded=True, which gives the same features faster and is for frozen use alone: batch
        norms are folded into convolutions. None where there are none.
      winograd: the module takes winograd=True, for frozen use on CPU: wide kernels are transformed. Accelerators have such transforms in
        their libraries.
    """

    make: Callable[..., nn.Module]
    end_points: tuple[str, ...]
    features: str
    input_rank: int
    resized: bool = False
    fold: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    winograd: bool = False

    def frozen_on(self, backend: str) -> tuple[str, ...]:
        """What a frozen module is made with, of "folded" and "winograd", on a backend as `jax.default_backend()` names it."""
        fits = {"folded": self.fold is not None, "winograd": self.winograd and backend == "cpu"}
        return tuple(name for name, does in fits.items() if does)


def _vgg(net: type[vgg.VGG16] | type[vgg.VGG19]) -> EncoderFamily:
    return EncoderFamily(
        make=net,
        end_points=net.END_POINTS,
        features="fc7",
        input_rank=3,
        resized=True,
        winograd=True,
    )


def _i3d() -> EncoderFamily:
    return EncoderFamily(make=i3d.I3D, end_points=i3d.END_POINTS, features="avg_pool", input_rank=4, resized=True, fold=i3d.fold_batch_norm)


def _face_net(net: type[face_api.FaceLandmarks68] | type[face_api.FaceExpressions], features: str) -> EncoderFamily:
    return EncoderFamily(make=net, end_points=net.END_POINTS, features=features, input_rank=3)


FAMILIES: dict[str, EncoderFamily] = {
    "vggish": EncoderFamily(
        make=vggish.VGGish,
        end_points=vggish.END_POINTS,
        features="embedding",
        input_rank=2,
        winograd=True,
    ),
    "inception_v3": EncoderFamily(
        make=inception_v3.InceptionV3,
        end_points=inception_v3.END_POINTS,
        features="avg_pool",
        input_rank=3,
        fold=inception_v3.fold_batch_norm,
        winograd=True,
    ),
    "vgg16": _vgg(vgg.VGG16),
    "vgg19": _vgg(vgg.VGG19),
    "i3d_rgb": _i3d(),
    "i3d_flow": _i3d(),
    "mini_xception": EncoderFamily(
        make=mini_xception.MiniXception,
        end_points=mini_xception.END_POINTS,
        features="features",
        input_rank=3,
        fold=mini_xception.fold_batch_norm,
    ),
    "face_landmarks": _face_net(face_api.FaceLandmarks68, "landmarks"),
    "face_expressions": _face_net(face_api.FaceExpressions, "features"),
}


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """One encoder as a system uses it; fields and defaults are those of `config.encoders.<name>` but for where its weights come from.

    Attributes:
      name: key of FAMILIES.
      end_point: where its features are taken; "" takes the family's own.
      resize_px: side that pictures are resized to first; 0 leaves them. Only for families that are `resized`.
    """

    name: str
    end_point: str = ""
    resize_px: int = 0

    def __post_init__(self):
        if self.name not in FAMILIES:
            raise ValueError(f"expected an encoder among {tuple(FAMILIES)}, got {self.name!r}")
        family = FAMILIES[self.name]
        if self.end_point and self.end_point not in family.end_points:
            raise ValueError(f"encoder {self.name}: expected an end point among {family.end_points}, got {self.end_point!r}")
        if self.resize_px and not family.resized:
            raise ValueError(f"encoder {self.name} takes no resize_px; give its view that size instead")

    @property
    def family(self) -> EncoderFamily:
        return FAMILIES[self.name]

    @property
    def features(self) -> str:
        """The end point whose features are used."""
        return self.end_point or self.family.features

    def module(self, *, frozen: tuple[str, ...] = (), end_point: str | None = None, name: str | None = None) -> nn.Module:
        """Make the module, up to another end point where one is given, `frozen` as `EncoderFamily.frozen_on` has it."""
        attributes: dict[str, Any] = dict.fromkeys(frozen, True)
        if self.family.resized:
            attributes["resize_px"] = self.resize_px
        if name is not None:
            attributes["name"] = name
        return self.family.make(end_point or self.features, **attributes)

    def frozen_module(
        self, variables: Mapping[str, Any], step_shape: tuple[int, ...], dtype: str, backend: str
    ) -> tuple[nn.Module, Mapping[str, Any]]:
        """The module and its variables as they are run frozen on a backend, for steps as a view has them."""
        frozen = self.family.frozen_on(backend)
        if self.family.fold is not None:
            variables = self.family.fold(variables)
        if "winograd" in frozen:
            variables = transform_kernels(variables, self.variable_shapes(step_shape, dtype, frozen=frozen))
        return self.module(frozen=frozen), variables

    def leading(self, step_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Axes of a step in front of the encoder's own: (20,) where a step is 20 pictures.

        Raises:
          ValueError: the step has fewer axes than the encoder's input.
        """
        short = len(step_shape) - self.family.input_rank
        if short < 0:
            raise ValueError(f"encoder {self.name} takes {self.family.input_rank} axes a step, and the view has steps of {step_shape}")
        return step_shape[:short]

    def variable_shapes(
        self, step_shape: tuple[int, ...], dtype: str, *, end_point: str | None = None, frozen: tuple[str, ...] = ()
    ) -> Any:
        """Shapes of the module's variables for inputs as a view's steps have them; `end_point` and `frozen` as in `module`."""
        return _traced(self, end_point, tuple(step_shape[len(self.leading(step_shape)) :]), dtype, frozen)[1]

    def feature_shape(self, step_shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
        """Shape of a step once it is encoded."""
        leading = self.leading(step_shape)
        return (*leading, int(np.prod(_traced(self, None, tuple(step_shape[len(leading) :]), dtype)[0].shape[1:])))


@functools.cache
def _traced(spec: EncoderSpec, end_point: str | None, shape: tuple[int, ...], dtype: str, frozen: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """Shapes of features and variables for one input; large networks take seconds to trace."""
    one = jax.ShapeDtypeStruct((1, *shape), np.dtype(dtype))
    return jax.eval_shape(spec.module(end_point=end_point, frozen=frozen).init_with_output, jax.random.key(0), one)


def encode_steps(apply: Callable[[jax.Array], jax.Array], spec: EncoderSpec, x: jax.Array, *, num_leading: int) -> jax.Array:
    """Encode an array whose first `num_leading` axes, and those in front of the encoder's own, are examples: (..., D) float32."""
    split = max(num_leading, x.ndim - spec.family.input_rank)
    features = apply(x.reshape(-1, *x.shape[split:]))
    return features.reshape(*x.shape[:split], -1).astype(jnp.float32)
