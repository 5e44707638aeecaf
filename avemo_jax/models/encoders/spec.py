"""One encoder as a system uses it: its end point or layers, the shapes of its variables and features."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.winograd import transform_kernels


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """One encoder as a system uses it; fields and defaults are those of `config.encoders.<name>` but for where its weights come from.

    Attributes:
      name: key of `ENCODERS`.
      end_point: where its features are taken; "" takes the record's `features`.
      resize_px: side that pictures are resized to first; 0 leaves them. Only for encoders that are `resized`.
      layers: which of the record's `layers` are taken in place of an end point: "" none of them, an index ("6", "-1" for the last), several
        ("4,5,6"), or "all". Several give features (..., L, D), also where "all" is one; a single index gives (..., D).
      tokens: which part of a layer the features are read from, one of the record's `tokens`; "" takes the first.
      lora_rank: rank of what is added to the projections of its attention (`transformer.LowRank`), where it is trained in a network; 0 adds
        nothing. Of `streams.<name>.encoder_lora_rank`.
      overlap_s: time in s that two chunks of a long clip share, where it is frozen; 0 encodes each segment by itself.

    Raises:
      ValueError: no such encoder, end point or layer, or a field that the encoder does not have.
    """

    name: str
    end_point: str = ""
    resize_px: int = 0
    layers: str = ""
    tokens: str = ""
    lora_rank: int = 0
    overlap_s: float = 0.0

    def __post_init__(self):
        record = find_encoder(self.name)
        if self.end_point and self.end_point not in record.end_points:
            raise ValueError(f"encoder {self.name}: expected an end point among {record.end_points}, got {self.end_point!r}")
        if self.resize_px and not record.resized:
            raise ValueError(f"encoder {self.name} takes no resize_px; give its view that size instead")
        if self.tokens and self.tokens not in record.tokens:
            has = f"among {record.tokens}" if record.tokens else "to be empty, as it has no such choice"
            raise ValueError(f"encoder {self.name}: expected tokens {has}, got {self.tokens!r}; set encoders.{self.name}.tokens")
        if self.lora_rank and not record.takes_lora:
            raise ValueError(f"encoder {self.name} has no attention to adapt; set --config.streams.STREAM.encoder_lora_rank=0")
        if self.layers:
            self._check_layers(record)

    def _check_layers(self, record: Encoder) -> None:
        if not record.layers:
            raise ValueError(f"encoder {self.name} has no layers to choose from; leave encoders.{self.name}.layers empty and set end_point")
        if self.end_point:
            raise ValueError(f"encoder {self.name}: set end_point={self.end_point!r} or layers={self.layers!r}, not both")
        count = len(record.layers)
        wrong = [part for part in self._layer_parts if not _is_index(part, count)]
        if wrong:
            raise ValueError(
                f"encoder {self.name}: expected layers to be 'all' or indices from {-count} to {count - 1}, separated by commas, got "
                f"{self.layers!r}"
            )

    @property
    def record(self) -> Encoder:
        return find_encoder(self.name)

    @property
    def stacks_layers(self) -> bool:
        """Whether the features have an axis of layers, (..., L, D)."""
        return self.layers == "all" or "," in self.layers

    @property
    def chosen_layers(self) -> tuple[str, ...]:
        """End points of the layers asked for, in the order asked for; () where an end point is used."""
        every = self.record.layers
        return every if self.layers == "all" else tuple(every[int(part)] for part in self._layer_parts)

    @property
    def _layer_parts(self) -> tuple[str, ...]:
        return tuple(self.layers.split(",")) if self.layers not in ("", "all") else ()

    @property
    def joins_segments(self) -> bool:
        """Whether the segments of a long clip are encoded together, in overlapping chunks."""
        return bool(self.record.chunk_steps and self.overlap_s)

    @property
    def features(self) -> str:
        """The end point up to which the module is computed: that of the features, or the last one of the layers asked for."""
        points = self.record.end_points
        return max(self.chosen_layers, key=points.index) if self.layers else self.end_point or self.record.features

    @property
    def described(self) -> dict[str, Any]:
        """Everything beside the weights that determines the features, for the keys of prepared sets."""
        chosen = {name: value for name, value in (("layers", self.layers), ("tokens", self.tokens)) if value}
        return {"encoder": self.name, "end_point": self.features, "resize_px": self.resize_px} | chosen

    def module(self, *, frozen: tuple[str, ...] = (), end_point: str | None = None, name: str | None = None) -> nn.Module:
        """Make the module, up to another end point where one is given, `frozen` as `Encoder.frozen_on` has it."""
        attributes: dict[str, Any] = dict.fromkeys(frozen, True)
        if self.record.resized:
            attributes["resize_px"] = self.resize_px
        if self.tokens:
            attributes["tokens"] = self.tokens
        if self.lora_rank:
            attributes["lora_rank"] = self.lora_rank
        if self.stacks_layers and end_point is None:
            attributes["layers"] = self.chosen_layers
        if name is not None:
            attributes["name"] = name
        return self.record.make(end_point or self.features, **attributes)

    def frozen_module(
        self, variables: Mapping[str, Any], step_shape: tuple[int, ...], dtype: str, backend: str
    ) -> tuple[nn.Module, Mapping[str, Any]]:
        """The module and its variables as they are run frozen on a backend, for steps as a view has them."""
        frozen = self.record.frozen_on(backend)
        if self.record.fold is not None:
            variables = self.record.fold(variables)
        if "winograd" in frozen:
            variables = transform_kernels(variables, self.variable_shapes(step_shape, dtype, frozen=frozen))
        return self.module(frozen=frozen), variables

    def leading(self, step_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Axes of a step in front of the encoder's own: (20,) where a step is 20 pictures.

        Raises:
          ValueError: the step has fewer axes than the encoder's input, or more where the encoder takes sequences.
        """
        rank = self.record.input_rank
        extra = len(step_shape) - rank
        if extra < 0 or (extra and self.record.takes_sequences):
            raise ValueError(
                f"encoder {self.name} takes {rank} axes a step ({self.record.input_kind}), and the view has steps of {step_shape}; choose "
                "another view"
            )
        return step_shape[:extra]

    def variable_shapes(
        self, step_shape: tuple[int, ...], dtype: str, *, end_point: str | None = None, frozen: tuple[str, ...] = ()
    ) -> Any:
        """Shapes of the module's variables for inputs as a view's steps have them; `end_point` and `frozen` as in `module`."""
        return _traced(self, end_point, tuple(step_shape[len(self.leading(step_shape)) :]), dtype, frozen)[1]

    def feature_shape(self, step_shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
        """Shape of one step of the features: (D,), (L, D) with several layers, behind the axes of `leading`."""
        leading = self.leading(step_shape)
        found = _traced(self, None, tuple(step_shape[len(leading) :]), dtype)[0].shape
        own = found[2:] if self.record.takes_sequences else found[1:]
        return (*leading, *feature_axes(self, own))


def feature_axes(spec: EncoderSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a step's features as they are handed on: (L, D) with several layers, else flat, (D,)."""
    num_axes = 1 if spec.stacks_layers else 0
    return (*shape[:num_axes], int(np.prod(shape[num_axes:])))


def _is_index(text: str, count: int) -> bool:
    return text.removeprefix("-").isdecimal() and -count <= int(text) < count


@functools.cache
def _traced(spec: EncoderSpec, end_point: str | None, shape: tuple[int, ...], dtype: str, frozen: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """Shapes of features and variables for one input; large networks take seconds to trace."""
    module, key = spec.module(end_point=end_point, frozen=frozen), jax.random.key(0)
    if not spec.record.takes_sequences:
        return jax.eval_shape(module.init_with_output, key, jax.ShapeDtypeStruct((1, *shape), np.dtype(dtype)))
    steps = (1, spec.record.fewest_steps)
    values, mask = jax.ShapeDtypeStruct((*steps, *shape), np.dtype(dtype)), jax.ShapeDtypeStruct(steps, np.dtype(bool))
    (features, _), variables = jax.eval_shape(module.init_with_output, key, values, mask)
    return features, variables
