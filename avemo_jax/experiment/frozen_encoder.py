"""An encoder with its weights, run over the prepared steps or segments of a view in batches of one size."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from avemo_jax.data.prepared import Example
from avemo_jax.experiment.overlapping_chunks import Chunks, encode_in_chunks
from avemo_jax.models.encoders.contract import encode, encode_steps
from avemo_jax.models.encoders.spec import EncoderSpec

_BATCH_BYTES = 9 << 20  # of a batch's inputs as float32, 8 pictures of 299 px, where activations take some fifty times as much
_GROWTH = 50
_LARGEST_BATCH = 64
_BATCHES_AHEAD = 8  # batches of segments that are read together, so that they can be grouped by length
_FEATURE_BYTES = 256 << 20  # of segments that are read together: all layers of a large network take a hundred times their input


@dataclasses.dataclass(frozen=True)
class FrozenEncoder:
    """An encoder with its weights: examples of a view in, examples of features out.

    Attributes:
      spec: the encoder.
      variables: variables of the encoder, with batch norms that are not folded into convolutions.
      step_shape, dtype: of the view's steps.
    """

    spec: EncoderSpec
    variables: Any
    step_shape: tuple[int, ...]
    dtype: str

    def run(self, examples: Iterable[Example], *, is_short: bool = False) -> Iterator[Example]:
        """Yield the features of examples, in order; padded steps are zero.

        An encoder of steps gives as many steps as the example has, an encoder of sequences as many as its record's `times` gives. The
        features of a clip of one segment depend on that segment alone. Several segments of a clip are encoded together, in chunks that
        overlap by `EncoderSpec.overlap_s`.

        Args:
          examples: of steps of one shape.
          is_short: True for a few examples, where the last batch may be smaller than the others. With False all batches have one size, so
            that an interrupted preparation gives the same bits wherever it is resumed.

        Raises:
          ValueError: an encoder of sequences gives fewer steps than its record states, or an example has no times.
        """
        if self.spec.record.takes_sequences:
            encode = functools.partial(self._run_sequences, is_short=is_short)
            return encode_in_chunks(examples, encode, self._chunks) if self._chunks else encode(iter(examples))
        return encode_in_batches(
            examples,
            self.compiled,
            batch_size=self.batch_size,
            feature_shape=self.feature_shape,
            step_shape=self.step_shape,
            is_short=is_short,
        )

    def _run_sequences(self, examples: Iterator[Example], *, is_short: bool) -> Iterator[Example]:
        """Encode whole segments, those of similar length together."""
        while chunk := self._chunk(examples, 1 if is_short else _BATCHES_AHEAD):
            of_length = defaultdict(list)
            for index, example in enumerate(chunk):
                of_length[self._padded_length(len(example.mask))].append(index)
            found: dict[int, Example] = {}
            for length, indices in of_length.items():
                size = self._num_segments(length)
                for start in range(0, len(indices), size):
                    batch = indices[start : start + size]
                    target = _power_of_two(len(batch)) if is_short else size
                    found |= zip(batch, self._encode_segments([chunk[index] for index in batch], length, target), strict=True)
            yield from (found[index] for index in range(len(chunk)))

    def _chunk(self, examples: Iterator[Example], num_batches: int) -> list[Example]:
        """Return the next examples, about `num_batches` batches of them by their bytes, and one where their features are large."""
        chunk: list[Example] = []
        left_bytes, left_feature_bytes = num_batches * _batch_bytes(self.spec.record.growth), _FEATURE_BYTES
        step_bytes = 4 * int(np.prod(self.feature_shape))
        for example in itertools.islice(examples, num_batches * _LARGEST_BATCH):
            chunk.append(example)
            left_bytes -= 4 * example.values.size
            left_feature_bytes -= step_bytes * len(self.spec.record.feature_times(example.times_s))
            is_full = left_feature_bytes <= 0 and len(chunk) >= self._num_segments(self._padded_length(len(example.mask)))
            if left_bytes <= 0 or is_full:
                break
        return chunk

    def _encode_segments(self, examples: list[Example], length: int, num_rows: int) -> list[Example]:
        """Encode examples that are padded to `length` steps, in a batch of `num_rows`."""
        values = np.zeros((num_rows, length, *self.step_shape), self.dtype)
        mask = np.zeros((num_rows, length), bool)
        for row, example in enumerate(examples):
            values[row, : len(example.mask)], mask[row, : len(example.mask)] = example.values, example.mask
        features, feature_mask = map(np.asarray, self.compiled(values, mask))
        return [self._segment_of(example, features[row], feature_mask[row]) for row, example in enumerate(examples)]

    def _segment_of(self, example: Example, features: np.ndarray, mask: np.ndarray) -> Example:
        """Cut the padding off the features of one example."""
        if len(example.times_s) != len(example.mask):
            raise ValueError(
                f"encoder {self.spec.name} expects steps with times, but {example.clip_id} has none; delete and prepare its view again"
            )
        times_s = self.spec.record.feature_times(example.times_s)
        if len(times_s) > len(mask):
            raise ValueError(
                f"encoder {self.spec.name}: its record gives {len(times_s)} times for {len(example.mask)} steps, but its module gives only "
                f"{len(mask)} features for these steps padded to {self._padded_length(len(example.mask))}; correct `times` or the module"
            )
        return Example(example.clip_id, example.segment, features[: len(times_s)].copy(), mask[: len(times_s)].copy(), times_s)

    def _padded_length(self, num_steps: int) -> int:
        """Return the length that a segment is padded to: up to a quarter more steps, so that few lengths are compiled.

        It depends on the segment alone, so that the bits of its features do, too. A chunk of the encoder's own length is not padded, as
        some encoders have no positions behind it.
        """
        unit = 1 << max(num_steps.bit_length() - 3, 0)
        padded = max(-(-num_steps // unit) * unit, self.spec.record.fewest_steps)
        own = self.spec.record.chunk_steps
        return own if num_steps <= own < padded else padded

    def _num_segments(self, length: int) -> int:
        """Return how many segments of that length are encoded together."""
        return most_in_a_batch((length, *self.step_shape), self.spec.record.growth)

    @functools.cached_property
    def _chunks(self) -> Chunks | None:
        """How clips of several segments are cut; None where each segment is encoded by itself."""
        most_steps = self.spec.record.chunk_steps
        if not self.spec.joins_segments:
            return None
        places = self.spec.record.feature_times(np.arange(most_steps, dtype=np.float32))
        return Chunks(most_steps, self.spec.overlap_s, round(float(places[1] - places[0])))

    @property
    def batch_size(self) -> int:
        """Number of steps that an encoder of steps encodes together: a power of two, so that a segment of 16 key frames fills batches."""
        return most_in_a_batch(self.step_shape, self.spec.record.growth)

    @property
    def feature_shape(self) -> tuple[int, ...]:
        return self.spec.feature_shape(self.step_shape, self.dtype)

    @functools.cached_property
    def compiled(self) -> Callable[..., Any]:
        """The encoder as a compiled function with its weights on the device; it is compiled once for each shape.

        For an encoder of steps: steps (N, *step_shape) -> features (N, *feature_shape). For an encoder of sequences: values
        (B, T, *step_shape) and mask (B, T) -> `Encoded`.
        """
        module, variables = self.spec.frozen_module(self.variables, self.step_shape, self.dtype, jax.default_backend())
        on_device = jax.device_put(variables)

        def encode_all(weights: Any, values: jax.Array, *masks: jax.Array) -> Any:
            apply: Any = functools.partial(module.apply, weights)
            return encode(apply, self.spec, values, *masks) if masks else encode_steps(apply, self.spec, values, num_leading=1)

        compiled = jax.jit(encode_all)
        return lambda *inputs: compiled(on_device, *inputs)


def encode_in_batches(
    examples: Iterable[Example],
    apply: Callable[[np.ndarray], Any],
    *,
    batch_size: int,
    feature_shape: tuple[int, ...],
    step_shape: tuple[int, ...],
    is_short: bool,
) -> Iterator[Example]:
    """Yield the features of examples, in order, encoding the real steps of successive examples together.

    Args:
      examples: of steps of one shape.
      apply: steps (N, *step_shape) -> features (N, *feature_shape).
      batch_size: N of all batches; the last one is filled with zeros.
      feature_shape, step_shape: of one step.
      is_short: True makes the last batch smaller, a power of two.
    """
    pending: list[tuple[Example, int]] = []
    waiting: list[np.ndarray] = []
    done: list[np.ndarray] = []

    def flush(is_last: bool) -> None:
        steps = np.concatenate(waiting) if waiting else np.zeros((0, *step_shape))
        end = len(steps) if is_last else len(steps) // batch_size * batch_size
        for start in range(0, end, batch_size):
            batch = steps[start : start + batch_size]
            target = _power_of_two(len(batch)) if is_short else batch_size
            done.append(np.asarray(apply(_with_zeros(batch, target)))[: len(batch)])
        waiting[:] = [steps[end:]] if end < len(steps) else []

    def finished() -> Iterator[Example]:
        features = np.concatenate(done) if done else np.zeros((0, 0), np.float32)
        start = 0
        while pending and start + pending[0][1] <= len(features):
            example, count = pending.pop(0)
            own, start = features[start : start + count], start + count
            values = np.zeros((len(example.mask), *feature_shape), np.float32)
            values[example.mask] = own
            yield Example(example.clip_id, example.segment, values, example.mask, example.times_s)
        done[:] = [features[start:]] if start < len(features) else []

    for example in examples:
        real = example.values[example.mask]
        pending.append((example, len(real)))
        waiting.append(real)
        if sum(map(len, waiting)) >= batch_size:
            flush(is_last=False)
            yield from finished()
    flush(is_last=True)
    yield from finished()


def _batch_bytes(growth: int) -> int:
    """Return the bytes of a batch's inputs as float32."""
    return _BATCH_BYTES * _GROWTH // growth


def most_in_a_batch(shape: tuple[int, ...], growth: int = _GROWTH) -> int:
    """Return the size of a batch of inputs of that shape: the largest power of two within the limits.

    Args:
      growth: see `Encoder.growth`.
    """
    most = max(1, min(_LARGEST_BATCH, _batch_bytes(growth) // (4 * int(np.prod(shape)))))
    return 1 << (most.bit_length() - 1)


def _power_of_two(count: int) -> int:
    """Return the smallest power of two that is not below the count."""
    return 1 << (count - 1).bit_length()


def _with_zeros(batch: np.ndarray, num_rows: int) -> np.ndarray:
    return np.concatenate([batch, np.zeros((num_rows - len(batch), *batch.shape[1:]), batch.dtype)])
