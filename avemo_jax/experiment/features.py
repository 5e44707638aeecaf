"""Frozen encoders: they run once over a view of a corpus, and what they give is kept as a prepared set that networks are trained on.

A stream's features come from one view or two. The second stands beside the first, its steps repeated to those of the first, nearest in
time: I3D beside InceptionV3, landmarks beside HOG. Each view goes through its encoder, or is taken as it is.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from avemo_jax.data.prepared import DOUBTFUL_KINDS, Example, PreparedCorpus, PreparedSet
from avemo_jax.experiment.encoder_weights import encoder_variables, weights_digest
from avemo_jax.experiment.networks import encoder_spec, is_frozen
from avemo_jax.models.encoders import EncoderSpec, encode_steps

Config = Mapping[str, Any]
_VERSION = 5  # of what this module makes of a view
_BATCH_BYTES = 9 << 20  # of a batch's inputs as float32, 8 pictures of 299 px; what a network makes of them is some fifty times it
_LARGEST_BATCH = 64


def compiler_flags() -> str:
    """XLA_FLAGS that suit frozen encoders on CPU; to be set before JAX has started a backend.

    XLA hands chains of products and elementwise steps to a second library (YNN), in which the large networks with published weights take
    longer, and so they do with JAX 0.10's newer emitters of loops, pooling above all (docs/performance.md has commands to see it);
    recurrent networks are faster with both. XLA ends a process that is given a flag which its version does not know.
    """
    no_second_library = "--xla_cpu_experimental_ynn_fusion_type="
    flags = {(0, 10): f"{no_second_library} --xla_cpu_use_fusion_emitters=false", (0, 11): no_second_library}
    return flags.get(jax.__version_info__[:2], "")


@dataclasses.dataclass(frozen=True)
class Source:
    """One view of a stream, and the encoder that it goes through, if any."""

    view: str
    encoder: str | None


class Store(Protocol):
    """Whoever keeps derived sets on disk: `data_prep.sets.derived.DerivedSets`."""

    def find(self, name: str, key: str) -> PreparedSet | None:
        """The finished set of that name and key, or None."""

    def make(
        self,
        name: str,
        key: str,
        *,
        source: PreparedSet,
        params: Mapping[str, Any],
        step_shape: tuple[int, ...],
        examples_of: Callable[[frozenset[str]], Iterator[Example]],
    ) -> PreparedSet:
        """Write what `examples_of(clips still to do)` yields, in order of clips, as a set in place of `source`."""


def sources_of(config: Config, stream: str) -> tuple[Source, ...]:
    """The views of a stream, and the frozen encoder of each.

    Raises:
      ValueError: an encoder that is none of `config.encoders`, or one for a second view that there is not.
    """
    system, branch = config["system"], config["model"][stream]
    sources = [Source(system[f"{stream}_view"], branch["encoder"] if is_frozen(config, stream) else None)]
    beside, encoder = system[f"{stream}_view_beside"], branch["encoder_beside"]
    if beside:
        sources.append(Source(beside, None if encoder == "none" else encoder_spec(config, encoder).name))
    elif encoder != "none":
        raise ValueError(f"model.{stream}.encoder_beside={encoder!r} is of a second view; name one in system.{stream}_view_beside")
    return tuple(sources)


def needs_making(config: Config, stream: str) -> bool:
    """Whether a stream's features are more than its view."""
    sources = sources_of(config, stream)
    return len(sources) > 1 or sources[0].encoder is not None


def feature_step(config: Config, stream: str, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> tuple[tuple[int, ...], str]:
    """Shape and type of one step of a stream's features, from those of its views."""
    if not needs_making(config, stream):
        return steps[config["system"][f"{stream}_view"]]
    shapes = _part_shapes(config, stream, steps)
    if len(shapes) == 1:
        return shapes[0], "float32"
    return (sum(part_widths(config, stream, steps)),), "float32"


def part_widths(config: Config, stream: str, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> tuple[int, ...]:
    """Numbers a step that each view of a stream contributes."""
    return tuple(int(np.prod(shape)) for shape in _part_shapes(config, stream, steps))


def _part_shapes(config: Config, stream: str, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> list[tuple[int, ...]]:
    return [
        encoder_spec(config, one.encoder).feature_shape(*steps[one.view]) if one.encoder else steps[one.view][0]
        for one in sources_of(config, stream)
    ]


def with_features(config: Config, prepared: PreparedCorpus, store: Store) -> PreparedCorpus:
    """Put the features of each stream in place of its views: found where they were made before, else made now.

    Raises:
      MissingAsset, ValueError, FileNotFoundError: see `encoder_variables`.
    """
    sets = {stream: _features_of(config, stream, prepared, store) for stream in prepared.sets}
    return dataclasses.replace(prepared, sets=sets, beside={})


def are_made(config: Config, prepared: PreparedCorpus, store: Store) -> bool:
    """Whether all features are there, so that no encoder needs to run.

    Raises:
      MissingAsset, FileNotFoundError: see `encoder_variables`.
    """
    wanted = [_inputs_of(config, stream, prepared) for stream in prepared.sets if needs_making(config, stream)]
    return all(store.find(_name(inputs), _key(inputs)) is not None for inputs in wanted)


@dataclasses.dataclass(frozen=True)
class _Input:
    """One view of a stream as it is prepared, its encoder and what tells the encoder's weights from others."""

    prepared: PreparedSet
    spec: EncoderSpec | None
    digest: str | None


@dataclasses.dataclass(frozen=True)
class FrozenEncoder:
    """An encoder with its weights: batches of steps in, features out; steps are as a view has them, of `step_shape` and `dtype`."""

    spec: EncoderSpec
    variables: Any
    step_shape: tuple[int, ...]
    dtype: str

    def run(self, examples: Iterable[Example], *, is_short: bool = False) -> Iterator[Example]:
        """Encode the real steps of examples in order; padded steps give zeros.

        Args:
          examples: of equal steps.
          is_short: a handful of steps is to come, and the last batch may be smaller than the others. Batches of one size give the same
            bits wherever an interrupted preparation goes on.
        """
        size, feature_shape = self.batch_size, self.feature_shape
        apply = self.compiled
        pending: list[tuple[Example, int]] = []
        waiting: list[np.ndarray] = []
        done: list[np.ndarray] = []

        def flush(all_of_it: bool) -> None:
            steps = np.concatenate(waiting) if waiting else np.zeros((0, *self.step_shape))
            end = len(steps) if all_of_it else len(steps) // size * size
            for start in range(0, end, size):
                batch = steps[start : start + size]
                target = 1 << (len(batch) - 1).bit_length() if is_short else size
                padded = np.concatenate([batch, np.zeros((target - len(batch), *batch.shape[1:]), batch.dtype)])
                done.append(np.asarray(apply(padded))[: len(batch)])
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
            if sum(map(len, waiting)) >= size:
                flush(all_of_it=False)
                yield from finished()
        flush(all_of_it=True)
        yield from finished()

    @property
    def batch_size(self) -> int:
        """Steps that are encoded together: a power of two, so that a segment of 16 key frames needs no second program for what is left."""
        most = max(1, min(_LARGEST_BATCH, _BATCH_BYTES // (4 * int(np.prod(self.step_shape)))))
        return 1 << (most.bit_length() - 1)

    @property
    def feature_shape(self) -> tuple[int, ...]:
        return self.spec.feature_shape(self.step_shape, self.dtype)

    @functools.cached_property
    def compiled(self) -> Callable[[np.ndarray], jax.Array]:
        """A function from steps (N, *step_shape) to features (N, *feature_shape); it holds the weights, and a program for each N."""
        module, variables = self.spec.frozen_module(self.variables, self.step_shape, self.dtype, jax.default_backend())
        held = jax.device_put(variables)

        def encode(weights: Any, steps: jax.Array) -> jax.Array:
            def apply(x: jax.Array) -> jax.Array:
                features: Any = module.apply(weights, x)
                return features

            return encode_steps(apply, self.spec, steps, num_leading=1)

        compiled = jax.jit(encode)
        return lambda steps: compiled(held, steps)


def _features_of(config: Config, stream: str, prepared: PreparedCorpus, store: Store) -> PreparedSet:
    if not needs_making(config, stream):
        return prepared.sets[stream]
    inputs = _inputs_of(config, stream, prepared)
    name, key = _name(inputs), _key(inputs)
    found = store.find(name, key)
    if found is not None:
        return found
    steps = {one.prepared.manifest.view: (one.prepared.manifest.step_shape, one.prepared.manifest.dtype) for one in inputs}
    encoders = [
        None if one.spec is None else frozen_encoder(config, one.spec.name, one.prepared.manifest.step_shape, one.prepared.manifest.dtype)
        for one in inputs
    ]

    def examples_of(clips: frozenset[str]) -> Iterator[Example]:
        streams = []
        for one, encoder in zip(inputs, encoders, strict=True):
            examples = (example for example in one.prepared.examples() if example.clip_id in clips)
            streams.append(encoder.run(examples) if encoder else examples)
        return streams[0] if len(streams) == 1 else joined(*streams, widths=part_widths(config, stream, steps))

    first, *others = (one.prepared for one in inputs)
    doubts = {clip: damage for one in others for clip, damage in one.damage.items() if damage.kind in DOUBTFUL_KINDS}
    return store.make(
        name,
        key,
        source=dataclasses.replace(first, damage=doubts | dict(first.damage)),
        params={"sources": _described(inputs)},
        step_shape=feature_step(config, stream, steps)[0],
        examples_of=examples_of,
    )


def frozen_encoder(config: Config, name: str, step_shape: tuple[int, ...], dtype: str) -> FrozenEncoder:
    """An encoder with the weights that the config names, for steps of a view."""
    return FrozenEncoder(encoder_spec(config, name), encoder_variables(config, name, step_shape, dtype), step_shape, dtype)


def _inputs_of(config: Config, stream: str, prepared: PreparedCorpus) -> list[_Input]:
    views = [prepared.sets[stream], *([prepared.beside[stream]] if stream in prepared.beside else [])]
    inputs = []
    for source, view in zip(sources_of(config, stream), views, strict=True):
        if source.encoder is None:
            inputs.append(_Input(view, None, None))
        else:
            digest = weights_digest(config, source.encoder, view.manifest.step_shape, view.manifest.dtype)
            inputs.append(_Input(view, encoder_spec(config, source.encoder), digest))
    return inputs


def _name(inputs: Sequence[_Input]) -> str:
    return "+".join(one.prepared.manifest.view + (f".{one.spec.name}" if one.spec else "") for one in inputs)


def _key(inputs: Sequence[_Input]) -> str:
    """SHA-256 over everything that the features follow from."""
    return hashlib.sha256(json.dumps([_described(inputs), _VERSION], sort_keys=True).encode()).hexdigest()


def _described(inputs: Sequence[_Input]) -> list[dict[str, Any]]:
    described = []
    for one in inputs:
        entry: dict[str, Any] = {"view": one.prepared.manifest.view, "key": one.prepared.manifest.key}
        if one.spec is not None:
            entry |= {"encoder": one.spec.name, "end_point": one.spec.features, "resize_px": one.spec.resize_px, "weights": one.digest}
        described.append(entry)
    return described


def joined(first: Iterable[Example], second: Iterable[Example], *, widths: tuple[int, ...]) -> Iterator[Example]:
    """Put the features of two sets of the same segments side by side, steps of the second nearest in time to those of the first.

    A segment that the second lacks, or in which it has no real step, gets zeros for its part; what the first lacks is left out.

    Args:
      first, second: in order of clips and segments.
      widths: numbers a step of each.
    """
    others = iter(second)
    other = next(others, None)
    for example in first:
        while other is not None and (other.clip_id, other.segment) < (example.clip_id, example.segment):
            other = next(others, None)
        own = example.values.reshape(len(example.mask), -1).astype(np.float32)
        beside = np.zeros((len(own), widths[1]), np.float32)
        if other is not None and (other.clip_id, other.segment) == (example.clip_id, example.segment) and other.mask.any():
            real = np.flatnonzero(other.mask)
            nearest = real[np.abs(example.times_s[:, None] - other.times_s[real]).argmin(axis=1)]
            beside = other.values[nearest].reshape(len(own), -1).astype(np.float32)
        values = np.where(example.mask[:, None], np.concatenate([own, beside], axis=1), 0)
        yield Example(example.clip_id, example.segment, values.astype(np.float32), example.mask, example.times_s)
