"""Prediction of new recordings: from their streams to probabilities, by the ensemble of all trained networks of a run."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar

import numpy as np

from avemo_jax.data.prepared import NO_SPEECH
from avemo_jax.evaluation.metrics import segment_share
from avemo_jax.inference.attention_curve import attention_curve
from avemo_jax.training.stage import answers_from

if TYPE_CHECKING:  # bring JAX, which the prediction of classical systems does not need
    from avemo_jax.models.emotion_net import EmotionNet
    from avemo_jax.training.state import StreamRecipe

Item = TypeVar("Item")

NO_DATA = "no data"
_MOST_SEGMENTS = 16
_BATCH_BYTES = 32 << 20  # of a batch's values as float32; the activations of a network take a multiple of it


class Segment(Protocol):
    """One segment of a stream: values (T,) + step_shape, mask (T,) bool, times_s (T,) float32 from the start of the recording."""

    @property
    def values(self) -> np.ndarray: ...
    @property
    def mask(self) -> np.ndarray: ...
    @property
    def times_s(self) -> np.ndarray: ...


_Predictor = Callable[..., tuple[Any, Mapping[str, Any]]]  # probabilities, and attention weights of streams
Row = dict[str, Segment | None]  # stream -> its segment, None where the stream has ended


@dataclasses.dataclass(frozen=True)
class TrainedNet:
    """One trained network.

    Attributes:
      net: the network; members with equal networks share one compiled program.
      variables: its collections "params" and "batch_stats".
      scaler: stream -> {"mean", "deviation"}.
      streams: recipes of its streams, from the Recipe that it was trained with.
    """

    net: EmotionNet
    variables: Mapping[str, Any]
    scaler: Mapping[str, Any]
    streams: tuple[StreamRecipe, ...]


@dataclasses.dataclass(frozen=True)
class TrainedClassifier:
    """The classical system of one fold.

    Attributes:
      predict: streams of B segments, values (B, T, ...) and `<stream>_mask` (B, T) bool -> probabilities (B, K).
    """

    predict: Callable[[Mapping[str, np.ndarray]], np.ndarray]


# Which streams each of B segments has: stream -> (B,) bool.
Present = Mapping[str, np.ndarray]


def _first(parts: Sequence[np.ndarray], present: Present) -> np.ndarray:
    return parts[0]


@dataclasses.dataclass(frozen=True)
class EnsembleMember:
    """What one trial has trained.

    Attributes:
      nets: a network or classifier; one network a stream; or the network of all streams and those of fewer.
      join: from the probabilities (B, K) of each, and the streams that the segments have, to those of the member.
    """

    nets: Sequence[TrainedNet | TrainedClassifier]
    join: Callable[[Sequence[np.ndarray], Present], np.ndarray] = _first


def member_of(nets: Sequence[TrainedNet], rule: Any = None) -> EnsembleMember:
    """Return the member of the networks of `training.stage.answering`, joined by a rule of late fusion where there is one."""
    if rule is not None:
        return EnsembleMember(nets, lambda parts, present: rule.join(parts))
    if len(nets) == 1:
        return EnsembleMember(nets)
    streams = [tuple(stream.name for stream in one.streams) for one in nets]

    def join(parts: Sequence[np.ndarray], present: Present) -> np.ndarray:
        return np.stack(parts)[answers_from(streams, present), np.arange(len(parts[0]))]

    return EnsembleMember(nets, join)


@dataclasses.dataclass(frozen=True)
class SegmentPrediction:
    """Prediction of one segment.

    Attributes:
      start_s, end_s: start and end in the recording; segments may overlap. Where they follow each other, the last one ends at its last
        step, or at its end where a single step in its middle stands for it (functionals).
      probabilities: (K,) float64, mean over the members.
      without: streams without a real step in the segment (no face; sound that ends before the picture).
      absent: stream -> "silence", "no speech" or "no face", for streams of which that holds.
      values: dimension -> its value in units of the scale, where the networks predict dimensions.
      attention: stream -> attention in each tenth of a second (N,), see `attention_curve`; of networks with attention over time.
    """

    start_s: float
    end_s: float
    probabilities: np.ndarray
    without: tuple[str, ...] = ()
    absent: Mapping[str, str] = dataclasses.field(default_factory=dict)
    num_streams: int = 1
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    attention: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def nothing(self) -> str:
        """What the segment is in place of an emotion, where no stream of it holds speech or a face: "silence", "no face"; else ""."""
        if len(set(self.without) | set(self.absent)) < self.num_streams:
            return ""
        return ", ".join(dict.fromkeys(self.absent.values())) or NO_DATA

    def label(self, classes: Sequence[str]) -> str:
        """Return what the segment is: the class of the largest probability, or `nothing`."""
        return self.nothing or classes[int(np.argmax(self.probabilities))]

    @property
    def has_emotion(self) -> bool:
        """Whether the segment counts in the prediction of its recording: all but those that are silent and without a face."""
        return not self.nothing or NO_SPEECH in self.absent.values()


def clip_probabilities(segments: Sequence[SegmentPrediction], rule: str = "mean") -> np.ndarray:
    """Return the probabilities (K,) float64 of a recording from those of its segments, combined as a run combines those of a clip.

    Segments that hold nothing, silence or no face, are left out, unless all do.
    """
    return np.mean([segment_share(segment.probabilities, rule) for segment in _used(segments)], axis=0)


def clip_values(segments: Sequence[SegmentPrediction]) -> dict[str, float]:
    """Return dimension -> value of a recording, the mean over the segments that `clip_probabilities` takes."""
    return {name: float(np.mean([one.values[name] for one in _used(segments)])) for name in segments[0].values}


def _used(segments: Sequence[SegmentPrediction]) -> Sequence[SegmentPrediction]:
    return [segment for segment in segments if segment.has_emotion] or segments


class Ensemble:
    """An ensemble of trials, which predicts the mean of their probabilities.

    Args:
      members: at least one.
      classes: K class names.
      dimensions: names of the D dimensions.
      views: stream -> (step_shape, dtype) of its steps.
      segment_s: distance of the starts of two segments, which is their length where `window_s` is None.
      window_s: length of a segment where segments are windows that may overlap.
      step_s: None where segments follow each other; else, where segments may overlap, the length of a step, with its middle in `times_s`.

    Attributes:
      attended: streams of which predictions have the attention over time.

    Raises:
      ValueError: there is no member.
    """

    def __init__(
        self,
        members: Sequence[EnsembleMember],
        *,
        classes: tuple[str, ...],
        views: Mapping[str, tuple[tuple[int, ...], str]],
        segment_s: float,
        window_s: float | None = None,
        step_s: float | None = None,
        dimensions: tuple[str, ...] = (),
    ):
        if not members:
            raise ValueError("an ensemble needs at least one member, got none")
        self.classes = classes
        self.dimensions = dimensions
        self.num_members = len(members)
        self._views = dict(views)
        self._segment_s = segment_s
        self._window_s = window_s or segment_s
        self._step_s = step_s
        self.attended = tuple(name for name in views if any(name in _attended(net) for member in members for net in member.nets))
        compiled = functools.cache(_compiled)

        def predictor(one: TrainedNet | TrainedClassifier) -> _Predictor:
            if isinstance(one, TrainedClassifier):
                return lambda data, index: (one.predict(data), {})
            return _on_device(one, compiled)

        self._members = [(member.join, [predictor(one) for one in member.nets]) for member in members]

    def predict(self, streams: Mapping[str, Iterable[Segment]]) -> Iterator[SegmentPrediction]:
        """Yield the prediction of every segment of one recording, in order.

        Only one batch of segments is in memory, however long the recording is. Streams are joined segment by segment; a stream that ends
        before the others counts as empty in later segments.

        Args:
          streams: name of each stream in `views` -> its segments.

        Raises:
          ValueError: a stream is missing, or its steps differ in shape from those that the networks were trained on.
        """
        if set(streams) != set(self._views):
            raise ValueError(f"the system expects the streams {sorted(self._views)}, got {sorted(streams)}")
        number = 0
        for (batch, size), is_last in _with_last(self.batches(streams)):
            means, attention = self._means(batch, size)
            for place, row in enumerate(batch):
                span_s = self.span_s(row, number, is_last=is_last and row is batch[-1])
                yield self._prediction(row, means[place], {name: weights[place] for name, weights in attention.items()}, span_s)
                number += 1

    def predict_row(self, row: Row, number: int) -> SegmentPrediction:
        """Return the prediction of the segments with that number, which are not the last; in the order of time, they are as in `predict`.

        Args:
          row: name of each stream in `views` -> its segment, or None where the stream has ended.
        """
        means, attention = self._means([row], 1)
        return self._prediction(row, means[0], {name: own[0] for name, own in attention.items()}, self.span_s(row, number, is_last=False))

    def _prediction(
        self, row: Row, mean: np.ndarray, attention: Mapping[str, np.ndarray], span_s: tuple[float, float]
    ) -> SegmentPrediction:
        without = tuple(name for name, one in row.items() if not _is_real(one))
        of_classes, of_dimensions = np.split(mean, [len(self.classes)])
        values = dict(zip(self.dimensions, of_dimensions.tolist(), strict=True))
        real = {name: one for name, one in row.items() if name in attention and _is_real(one)}
        curves = {
            name: attention_curve(attention[name][: len(one.mask)][one.mask], one.times_s[one.mask], *span_s) for name, one in real.items()
        }
        return SegmentPrediction(*span_s, of_classes, without, num_streams=len(row), values=values, attention=curves)

    def span_s(self, row: Row, number: int, *, is_last: bool) -> tuple[float, float]:
        """Return the start and end of a segment."""
        if self._step_s is not None:
            times_s = np.concatenate([one.times_s for one in row.values() if one is not None])
            return float(times_s.min()) - self._step_s / 2, float(times_s.max()) + self._step_s / 2
        start_s = number * self._segment_s
        if is_last:
            before_s = start_s - self._segment_s + self._window_s if number else start_s  # the end of the window before
            return start_s, max([before_s, *(_end_s(one, start_s) for one in row.values() if _is_real(one))])
        return start_s, start_s + self._window_s

    def batches(self, streams: Mapping[str, Iterable[Segment]]) -> Iterator[tuple[list[Row], int]]:
        """Yield batches of rows, each with the segments of all streams, and the size that a batch is padded to."""
        joined = itertools.zip_longest(*(streams[name] for name in self._views))
        rows: Iterator[Row] = (dict(zip(self._views, segments, strict=True)) for segments in joined)
        for first in rows:
            num_bytes = sum(4 * one.values.size for one in first.values() if one is not None)
            most = min(_MOST_SEGMENTS, max(1, _BATCH_BYTES // max(num_bytes, 1)))
            batch = [first, *itertools.islice(rows, most - 1)]
            # Only two sizes, so that few programs are compiled, and a single clip does not compute a large batch.
            yield batch, 1 if len(batch) == 1 else most

    def _means(self, batch: list[Row], size: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the probabilities, and the values of dimensions, (len(batch), K + D) float64, the mean over the members.

        Also return stream -> attention weights (len(batch), T), the mean over the networks that have some.
        """
        data = {"usable": np.ones(size, bool)}
        for name, (step_shape, dtype) in self._views.items():
            data |= self._padded(name, [row[name] for row in batch], size, step_shape, dtype)
        index = np.arange(size)
        present: Present = {name: np.any(data[f"{name}_mask"], axis=1) for name in self._views}
        of_members = []
        weights: dict[str, list[np.ndarray]] = {}
        for join, predictors in self._members:
            answers = [predictor(data, index) for predictor in predictors]
            of_members.append(join([np.asarray(found, np.float64) for found, _ in answers], present))
            for _, attention in answers:
                for name in attention:
                    weights.setdefault(name, []).append(np.asarray(attention[name], np.float64))
        means = {name: np.mean(found, axis=0)[: len(batch)] for name, found in weights.items()}
        return np.mean(of_members, axis=0)[: len(batch)], means

    def _padded(
        self, name: str, segments: list[Segment | None], size: int, step_shape: tuple[int, ...], dtype: str
    ) -> dict[str, np.ndarray]:
        num_steps = _padded_length(max(len(one.mask) if one is not None else 1 for one in segments))
        values = np.zeros((size, num_steps, *step_shape), dtype)
        mask = np.zeros((size, num_steps), bool)
        for row, one in enumerate(segments):
            if one is None:
                continue
            if one.values.shape[1:] != step_shape:
                raise ValueError(f"the {name} stream was trained on steps of shape {step_shape}, got {one.values.shape[1:]}")
            values[row, : len(one.values)] = one.values
            mask[row, : len(one.mask)] = one.mask
        return {name: values, f"{name}_mask": mask}


def _attended(one: TrainedNet | TrainedClassifier) -> tuple[str, ...]:
    """Return the streams over whose steps a network has attention weights."""
    if isinstance(one, TrainedClassifier):
        return ()
    from avemo_jax.models.emotion_net import attended_streams  # late: brings JAX, which classical systems do not need

    return attended_streams(one.net)


def _compiled(net: EmotionNet, streams: tuple[StreamRecipe, ...]) -> _Predictor:
    """Return the program of a network, compiled once for each shape and shared by all members with that network."""
    import jax  # late: classical systems do not need it

    from avemo_jax.models.emotion_net import attended_streams
    from avemo_jax.training.steps import probabilities, probabilities_and_attention

    if attended_streams(net):
        return jax.jit(functools.partial(probabilities_and_attention, net, streams))
    compiled = jax.jit(functools.partial(probabilities, net, streams))
    return lambda *inputs: (compiled(*inputs), {})


def _on_device(one: TrainedNet, compiled: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
    """Return the predictor of a network; its weights stay on the device."""
    import jax

    return functools.partial(compiled(one.net, one.streams), *jax.device_put((dict(one.variables), dict(one.scaler))))


def _padded_length(num_steps: int) -> int:
    """Return the length to pad to: above 16 steps the next multiple of 32, since each length is compiled and padding changes no result."""
    return num_steps if num_steps <= 16 else -(-num_steps // 32) * 32


def _end_s(segment: Segment, start_s: float) -> float:
    """Return where a segment ends: at its last step, or, where one step stands for all of it, as far behind that as it begins before it."""
    last_s = float(segment.times_s[segment.mask][-1])
    return last_s if len(segment.mask) > 1 else 2 * last_s - start_s


def _is_real(segment: Segment | None) -> TypeGuard[Segment]:
    return segment is not None and bool(segment.mask.any())


def _with_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Yield each item and whether it is the last."""
    items = iter(items)
    for previous in items:
        for item in items:
            yield previous, False
            previous = item
        yield previous, True
