"""The features of streams: frozen encoders run once over the views of a corpus, and their features are prepared sets.

A stream's features come from one view or two. The second is concatenated with the first, which gives the steps: to each of them, the
second's step nearest in time. Examples are I3D with InceptionV3, and landmarks with HOG. Each view goes through its encoder, or is used
unchanged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from avemo_jax.atomic import json_sha256
from avemo_jax.config import Experiment
from avemo_jax.data.prepared import DOUBTFUL_KINDS, LOST_KINDS, Example, PreparedCorpus, PreparedSet
from avemo_jax.experiment.encoder_weights import encoder_variables, weights_digest
from avemo_jax.experiment.frozen_encoder import FrozenEncoder
from avemo_jax.experiment.frozen_onnx import FrozenOnnx
from avemo_jax.experiment.networks import frozen_spec
from avemo_jax.experiment.sources import needs_making, sources_of
from avemo_jax.models.encoders.onnx import OnnxSpec
from avemo_jax.models.encoders.spec import EncoderSpec

_VERSION = 5  # of the features; a new version makes them again


# XLA_FLAGS for frozen encoders on CPU, by version of JAX. XLA passes chains of products and elementwise operations to a second library
# (YNN), and JAX 0.10 has newer loop emitters; both slow down the large networks with published weights, pooling above all, while they speed
# up recurrent networks. To measure the gain, run `python -m benchmarks.encoders` with other XLA_FLAGS, which replace these. Versions that
# are not listed need none, or have not been measured: XLA ends a process that is given a flag unknown to its version.
_NO_SECOND_LIBRARY = "--xla_cpu_experimental_ynn_fusion_type="
FLAGS_BY_JAX = {(0, 10): f"{_NO_SECOND_LIBRARY} --xla_cpu_use_fusion_emitters=false", (0, 11): _NO_SECOND_LIBRARY}


def compiler_flags() -> str:
    """Return the XLA_FLAGS for frozen encoders on CPU; they must be set before JAX has started a backend."""
    return FLAGS_BY_JAX.get(jax.__version_info__[:2], "")


class Store(Protocol):
    """A store of derived sets on disk: `data_prep.sets.derived.DerivedSets`."""

    def find(self, name: str, key: str) -> PreparedSet | None:
        """Return the finished set of that name and key, or None."""

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
        """Write the examples that `examples_of(remaining clips)` yields, in order of clips, as a set that replaces `source`; return it."""


def feature_step(experiment: Experiment, stream: str, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> tuple[tuple[int, ...], str]:
    """Return the shape and type of one step of a stream's features, from those of its views."""
    if not needs_making(experiment, stream):
        return steps[experiment.streams[stream].view]
    shapes = _part_shapes(experiment, stream, steps)
    if len(shapes) == 1:
        return shapes[0], "float32"
    return (sum(part_widths(experiment, stream, steps)),), "float32"


def part_widths(experiment: Experiment, stream: str, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> tuple[int, ...]:
    """Return how many features a step each view of a stream contributes."""
    return tuple(int(np.prod(shape)) for shape in _part_shapes(experiment, stream, steps))


def _part_shapes(experiment: Experiment, stream: str, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> list[tuple[int, ...]]:
    return [
        frozen_spec(experiment, one.encoder).feature_shape(*steps[one.view]) if one.encoder else steps[one.view][0]
        for one in sources_of(experiment, stream)
    ]


def with_features(experiment: Experiment, prepared: PreparedCorpus, store: Store) -> PreparedCorpus:
    """Return the corpus with the features of each stream in place of its views: those of an earlier run, or made now.

    Raises:
      MissingAsset, ValueError, FileNotFoundError: see `encoder_variables`.
    """
    sets = {stream: _features_of(experiment, stream, prepared, store) for stream in prepared.sets}
    return dataclasses.replace(prepared, sets=sets, beside={})


def are_made(experiment: Experiment, prepared: PreparedCorpus, store: Store) -> bool:
    """Return whether all features exist already, so that no encoder needs to run.

    Raises:
      MissingAsset, FileNotFoundError: see `encoder_variables`.
    """
    wanted = [_inputs_of(experiment, stream, prepared) for stream in prepared.sets if needs_making(experiment, stream)]
    return all(store.find(_name(inputs), _key(inputs)) is not None for inputs in wanted)


@dataclasses.dataclass(frozen=True)
class _Input:
    """One prepared view of a stream, its encoder and the digest of the encoder's weights."""

    prepared: PreparedSet
    spec: EncoderSpec | OnnxSpec | None
    digest: str | None


def _features_of(experiment: Experiment, stream: str, prepared: PreparedCorpus, store: Store) -> PreparedSet:
    if not needs_making(experiment, stream):
        return prepared.sets[stream]
    inputs = _inputs_of(experiment, stream, prepared)
    name, key = _name(inputs), _key(inputs)
    found = store.find(name, key)
    if found is not None:
        return found
    steps = {one.prepared.manifest.view: (one.prepared.manifest.step_shape, one.prepared.manifest.dtype) for one in inputs}
    encoders = [
        None
        if one.spec is None
        else frozen_encoder(experiment, one.spec.name, one.prepared.manifest.step_shape, one.prepared.manifest.dtype)
        for one in inputs
    ]

    def examples_of(clips: frozenset[str]) -> Iterator[Example]:
        streams = []
        for one, encoder in zip(inputs, encoders, strict=True):
            examples = (example for example in one.prepared.examples() if example.clip_id in clips)
            streams.append(encoder.run(examples) if encoder else examples)
        return streams[0] if len(streams) == 1 else joined(*streams, widths=part_widths(experiment, stream, steps))

    first, *others = (one.prepared for one in inputs)
    doubts = {clip: damage for one in others for clip, damage in one.damage.items() if damage.kind in DOUBTFUL_KINDS}
    return store.make(
        name,
        key,
        source=dataclasses.replace(first, damage=doubts | dict(first.damage)),
        params={"sources": _described(inputs)},
        step_shape=feature_step(experiment, stream, steps)[0],
        examples_of=examples_of,
    )


def frozen_encoder(experiment: Experiment, name: str, step_shape: tuple[int, ...], dtype: str) -> FrozenEncoder | FrozenOnnx:
    """Return an encoder with the weights that the config names, for steps of a view."""
    spec = frozen_spec(experiment, name)
    if isinstance(spec, OnnxSpec):
        return FrozenOnnx(spec, step_shape, dtype)
    return FrozenEncoder(spec, encoder_variables(experiment, name, step_shape, dtype), step_shape, dtype)


def _inputs_of(experiment: Experiment, stream: str, prepared: PreparedCorpus) -> list[_Input]:
    views = [prepared.sets[stream], *([prepared.beside[stream]] if stream in prepared.beside else [])]
    inputs = []
    for source, view in zip(sources_of(experiment, stream), views, strict=True):
        if source.encoder is None:
            inputs.append(_Input(view, None, None))
        else:
            digest = weights_digest(experiment, source.encoder, view.manifest.step_shape, view.manifest.dtype)
            inputs.append(_Input(view, frozen_spec(experiment, source.encoder), digest))
    return inputs


def _name(inputs: Sequence[_Input]) -> str:
    return "+".join(one.prepared.manifest.view + (f".{one.spec.name}" if one.spec else "") for one in inputs)


def _key(inputs: Sequence[_Input]) -> str:
    """Return the SHA-256 of everything that determines the features."""
    return json_sha256([_described(inputs), _VERSION])


def _described(inputs: Sequence[_Input]) -> list[dict[str, Any]]:
    described = []
    for one in inputs:
        entry: dict[str, Any] = {"view": one.prepared.manifest.view, "key": one.prepared.manifest.key}
        if one.spec is not None:
            entry |= one.spec.described | {"weights": one.digest}
            if isinstance(one.spec, EncoderSpec) and one.spec.joins_segments and _has_long_clips(one.prepared):
                entry["overlap_s"] = one.spec.overlap_s
        described.append(entry)
    return described


def _has_long_clips(prepared: PreparedSet) -> bool:
    """Return whether a clip has several segments; without such clips the features do not depend on the overlap, nor does their key."""
    num_lost = sum(damage.kind in LOST_KINDS for damage in prepared.damage.values())
    return prepared.manifest.num_examples > prepared.manifest.num_clips - num_lost


def joined(first: Iterable[Example], second: Iterable[Example], *, widths: tuple[int, ...]) -> Iterator[Example]:
    """Yield the features of two sets of the same segments concatenated: to each step of the first, the second's step nearest in time.

    A segment that the second lacks, or in which it has no real step, gets zeros for its part; a segment that the first lacks is left out.

    Args:
      first, second: in order of clips and segments; their numbers of steps may differ.
      widths: features a step of each.
    """
    others = iter(second)
    other = next(others, None)
    for example in first:
        while other is not None and (other.clip_id, other.segment) < (example.clip_id, example.segment):
            other = next(others, None)
        own = example.values.reshape(len(example.mask), -1).astype(np.float32)
        second_values = np.zeros((len(own), widths[1]), np.float32)
        if other is not None and (other.clip_id, other.segment) == (example.clip_id, example.segment) and other.mask.any():
            real = np.flatnonzero(other.mask)
            nearest = real[np.abs(example.times_s[:, None] - other.times_s[real]).argmin(axis=1)]
            second_values = other.values[nearest].reshape(len(own), -1).astype(np.float32)
        values = np.where(example.mask[:, None], np.concatenate([own, second_values], axis=1), 0)
        yield Example(example.clip_id, example.segment, values.astype(np.float32), example.mask, example.times_s)
