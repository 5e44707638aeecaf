"""An ONNX file run as a frozen encoder over the prepared steps or segments of a view."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np

from avemo_jax.data.prepared import Example
from avemo_jax.experiment.frozen_encoder import encode_in_batches, most_in_a_batch
from avemo_jax.models.encoders.onnx import OnnxSession, OnnxSpec


@dataclasses.dataclass(frozen=True)
class FrozenOnnx:
    """An ONNX file: examples of a view in, examples of features out, as `FrozenEncoder` has them.

    Attributes:
      spec: the encoder.
      step_shape, dtype: of the view's steps.
    """

    spec: OnnxSpec
    step_shape: tuple[int, ...]
    dtype: str

    def run(self, examples: Iterable[Example], *, is_short: bool = False) -> Iterator[Example]:
        """Yield the features of examples, in order; features of masked steps are zero.

        The features of an example depend on that example alone: segments are encoded one by one, at their own length where the graph
        takes any.

        Args:
          examples: of steps of the view's shape.
          is_short: as `FrozenEncoder.run` has it.

        Raises:
          ValueError: the graph fails, or a segment has more steps than it takes.
        """
        if self.spec.takes_sequences:
            return map(self._encode_segment, examples)
        return encode_in_batches(
            examples,
            lambda steps: self._session.run(self._session.normalized(steps)),
            batch_size=self._session.batch_size or most_in_a_batch(self.step_shape),
            feature_shape=self.spec.feature_shape(self.step_shape, self.dtype),
            step_shape=self.step_shape,
            is_short=is_short,
        )

    def _encode_segment(self, example: Example) -> Example:
        num_steps, start = len(example.mask), 0
        real = example.mask.reshape(-1, *(1,) * len(self.step_shape))
        values = np.where(real, self._session.normalized(example.values), 0)
        if fixed := self._session.num_steps:
            values, start = self._padded(values, example, fixed)
        features = self._session.run(values[None])[0]
        # Feature k stands for the steps from k * stride on; those that stand for padding alone are cut off.
        stride = len(values) / len(features)
        first = np.floor(np.arange(len(features)) * stride + 1e-6).astype(int) - start
        end = np.maximum(np.ceil((np.arange(len(features)) + 1) * stride - 1e-6).astype(int) - start, first + 1)
        kept = (end > 0) & (first < num_steps)
        first, end = np.maximum(first[kept], 0), np.minimum(end[kept], num_steps)
        mask = np.array([example.mask[one:other].any() for one, other in zip(first, end, strict=True)], bool)
        features = np.where(mask.reshape(-1, *(1,) * (features.ndim - 1)), features[kept], 0)
        return Example(example.clip_id, example.segment, features.astype(np.float32), mask, example.times_s[first])

    def _padded(self, values: np.ndarray, example: Example, fixed: int) -> tuple[np.ndarray, int]:
        """Return the steps of a segment padded to a fixed number, and the place of the first of its own."""
        missing = fixed - len(values)
        if missing < 0:
            raise ValueError(
                f"{self.spec.path} takes segments of {fixed} steps, and a segment of {example.clip_id or 'the file'} has {len(values)}; "
                "shorten the segments of the view (segment_s)"
            )
        fill = values[example.mask].min() if self.spec.settings.pad_with == "least" and example.mask.any() else 0
        around = (missing, 0) if self.spec.settings.pad_front else (0, missing)
        return np.pad(values, (around, *((0, 0),) * len(self.step_shape)), constant_values=fill), around[0]

    @functools.cached_property
    def _session(self) -> OnnxSession:
        return self.spec.session(self.step_shape)
