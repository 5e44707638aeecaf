"""Sound and pictures that come as they are recorded: the views of a system, a window at a time, as a file of them would give."""

from __future__ import annotations

import dataclasses
import io
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from data_prep.array_sound import check_samples
from data_prep.decoding.media import Frame
from data_prep.live import LiveViews
from data_prep.views.segments import ViewSegment
from data_prep.workers.lone_worker import LoneWorker
from data_prep.workers.pool import MEMORY_LIMIT_BYTES, Crash

Item = TypeVar("Item")
Output = TypeVar("Output")

LONGEST_PUSH_S = 60.0  # also the longest time between two pictures
_TIME_LIMIT_S = 60.0  # of a push; the first one imports the libraries of the views
_LARGEST_PICTURE_PX = 1920 * 1080
_PICTURE_FORMATS = ("JPEG", "PNG", "WEBP")


class Picture(NamedTuple):
    """A picture of a camera: its time in s from the start of the recording, and a JPEG, PNG or WebP file."""

    time_s: float
    content: bytes


FaceBox = tuple[float, float, float, float]  # x, y, width, height as shares of the picture


class WindowView(NamedTuple):
    """A view of one window, and what the window lacks: "silence", "no speech", "no face" or ""."""

    segment: ViewSegment
    absent: str


class StreamEnded(RuntimeError):
    """A stream cannot go on, for the reason of its message."""


@dataclasses.dataclass(frozen=True)
class LiveSource:
    """What comes in.

    Attributes:
      live: views of windows.
      rate_hz: of the samples; None where no sound comes.
      has_pictures: whether pictures come.

    Raises:
      ValueError: the views are not of windows, or nothing comes that they are made from.
    """

    live: LiveViews
    rate_hz: int | None
    has_pictures: bool

    def __post_init__(self) -> None:
        if self.live.window_s is None:
            raise ValueError(
                "this system predicts segments as in training and no windows, so it cannot follow a recording while it is made"
            )
        if both := [name for name, media in self.live.media.items() if len(media) > 1]:
            raise ValueError(
                f"the view {both[0]} is made from sound and pictures together, so it cannot follow a recording while it is made"
            )
        if not self.views:
            wanted = " or ".join(sorted({medium for media in self.live.media.values() for medium in media}))
            raise ValueError(
                f"this system is made from {wanted}, and none of it comes in; give rate_hz for sound, pictures=True for pictures"
            )

    @property
    def views(self) -> tuple[str, ...]:
        """The views that are made from what comes in."""
        comes = {"audio": self.rate_hz is not None, "video": self.has_pictures}
        return tuple(name for name, (medium, *_) in self.live.media.items() if comes[medium])


class PushedViews:
    """The views of a recording of which samples and pictures are pushed; they hold one window, however long the recording is.

    Args:
      source: what comes in.
    """

    def __init__(self, source: LiveSource):
        self._rate_hz = source.rate_hz
        self._absent: dict[str, list[str]] = {name: [] for name in source.views}
        self._chains = {name: _Chain(source.live.chain(name, self._absent[name])) for name in source.views}
        self._media = {name: source.live.media[name][0] for name in source.views}
        self._detector = source.live.detector
        self._last: Frame | None = None
        self._num_given = dict.fromkeys(source.views, 0)

    def push(self, samples: np.ndarray | None, pictures: Sequence[Picture]) -> dict[str, list[WindowView]]:
        """Take what was recorded since the last call; return view -> the windows that it completes.

        Pictures that cannot be decoded are left out, and so are those that are not later than the one before.
        """
        found: dict[str, list[WindowView]] = {name: [] for name in self._chains}
        frames = list(self._frames(pictures))
        for name, chain in self._chains.items():
            if self._media[name] == "video":
                found[name] += itertools.chain.from_iterable(self._windows(name, chain.push(frame)) for frame in frames)
            elif samples is not None and len(samples):
                found[name] += self._windows(name, chain.push((self._rate_hz, samples)))
        return found

    def faces(self) -> list[FaceBox]:
        """Return the faces in the last picture, largest first; none where no view takes faces."""
        if self._last is None or self._detector is None:
            return []
        from data_prep.views.face_detection import make_detector  # late: brings OpenCV, which sound does not need

        height, width = self._last.image.shape[:2]
        found = make_detector(*self._detector).detect(self._last.image)
        return [(box.x / width, box.y / height, box.width / width, box.height / height) for box in found]

    def close(self) -> dict[str, list[WindowView]]:
        """Return view -> the windows that are left at the end of the recording."""
        return {name: list(self._windows(name, chain.close())) for name, chain in self._chains.items()}

    def _windows(self, name: str, segments: Sequence[ViewSegment]) -> Iterator[WindowView]:
        for segment in segments:
            yield WindowView(segment, self._absent[name][self._num_given[name]])
            self._num_given[name] += 1

    def _frames(self, pictures: Sequence[Picture]) -> Iterator[Frame]:
        for one in pictures:
            last_s = -1.0 if self._last is None else self._last.time_s
            image = _decoded(one.content) if one.time_s > last_s else None
            if image is not None:
                if one.time_s > max(last_s, 0.0) + LONGEST_PUSH_S:
                    raise ValueError(f"a picture at {one.time_s:.1f} s follows one at {max(last_s, 0.0):.1f} s, expected no such gap")
                self._last = Frame(one.time_s, image)
                yield self._last


def _decoded(content: bytes) -> np.ndarray | None:
    """Return a picture as (H, W, 3) uint8 RGB, None where it cannot be decoded or is too large."""
    try:
        with Image.open(io.BytesIO(content), formats=_PICTURE_FORMATS) as picture:
            if picture.width * picture.height > _LARGEST_PICTURE_PX:
                return None
            return np.asarray(picture.convert("RGB"))
    except Exception:  # Pillow has many types for damage
        return None


class IsolatedPushedViews:
    """`PushedViews` in a worker process with limits of memory and time; a context manager that ends it.

    Args:
      source: what comes in.
    """

    def __init__(self, source: LiveSource, *, memory_limit_bytes: int = MEMORY_LIMIT_BYTES):
        self.views = source.views
        self._source, self._worker, self._is_begun = source, LoneWorker(memory_limit_bytes), False

    def __enter__(self) -> IsolatedPushedViews:
        return self

    def __exit__(self, *_: Any) -> None:
        self._worker.stop()

    @property
    def process_id(self) -> int | None:
        """The worker process, for measurements; None where none runs."""
        return self._worker.process_id

    def push(self, samples: np.ndarray | None = None, pictures: Sequence[Picture] = ()) -> dict[str, list[WindowView]]:
        """Take what was recorded since the last call; return view -> the windows that it completes; see `PushedViews.push`.

        Args:
          samples: (S,) floating, mono, in [-1, 1], at most 60 s.
          pictures: in order of time.

        Raises:
          ValueError: samples of another shape, not finite or too many, samples without a rate, pictures that are not expected.
          StreamEnded: the worker died or took too long.
        """
        if samples is not None:
            self._check(samples)
            samples = samples.astype(np.float32)
        if pictures and not self._source.has_pictures:
            raise ValueError("pictures come, and the stream was made without them; make it with pictures=True")
        return self._call(_Push(None if self._is_begun else self._source, samples, tuple(pictures)))

    def begin(self) -> dict[str, list[WindowView]]:
        """Start the process and import what the views need, which the first push does otherwise; return made-up windows of each view."""
        return self._call(_Push(self._source, None, ()))

    def faces(self) -> list[FaceBox]:
        """Return the faces in the last picture, largest first, as shares of the picture; none where no view takes faces."""
        found = self._worker.call(_faces, None, time_limit_s=_TIME_LIMIT_S) if self._is_begun else []
        if isinstance(found, Crash):
            raise StreamEnded(f"the recording cannot be followed any longer: {found.reason}")
        return found

    def close(self) -> dict[str, list[WindowView]]:
        """Return view -> the windows that are left at the end; the stream takes nothing more."""
        return self._call(_Push(None if self._is_begun else self._source, None, (), is_last=True))

    def _check(self, samples: np.ndarray) -> None:
        if self._source.rate_hz is None:
            raise ValueError("samples come, and the stream was made without their rate; make it with rate_hz")
        if samples.ndim != 1:
            raise ValueError(f"expected samples of one channel, (S,), got shape {samples.shape}; samples.mean(axis=1) mixes channels")
        if samples.size:
            check_samples(samples)
        if len(samples) > LONGEST_PUSH_S * self._source.rate_hz:
            raise ValueError(
                f"expected {LONGEST_PUSH_S:g} s of samples at most, got {len(samples) / self._source.rate_hz:g}; push parts of them"
            )

    def _call(self, task: _Push) -> dict[str, list[WindowView]]:
        answer = self._worker.call(_push, task, time_limit_s=_TIME_LIMIT_S)
        self._is_begun = True
        if isinstance(answer, Crash):
            raise StreamEnded(f"the recording cannot be followed any longer: {answer.reason}")
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer


@dataclasses.dataclass(frozen=True)
class _Push:
    source: LiveSource | None  # with the first push
    samples: np.ndarray | None
    pictures: tuple[Picture, ...]
    is_last: bool = False


_pushed: PushedViews | None = None  # in the worker process


def _push(task: _Push) -> dict[str, list[WindowView]] | str:
    """Push into the views of this process, or return what is wrong with what was pushed; runs in the worker process."""
    global _pushed
    if task.source is not None:
        _pushed = PushedViews(task.source)
        if task.samples is None and not task.pictures and not task.is_last:
            return _noise(task.source)
    assert _pushed is not None, "the first push has the source"
    try:
        return _pushed.close() if task.is_last else _pushed.push(task.samples, task.pictures)
    except ValueError as error:
        return str(error)


def _faces(task: None) -> list[FaceBox]:
    """Return the faces in the last picture; runs in the worker process."""
    return [] if _pushed is None else _pushed.faces()


def _noise(source: LiveSource) -> dict[str, list[WindowView]]:
    """Return the views of a window of noise and of grey pictures, and of as many black faces, since the number of steps is compiled."""
    length_s = source.live.window_s or 0.0
    samples = None
    if source.rate_hz is not None:
        samples = np.random.default_rng(0).normal(scale=0.01, size=round(length_s * source.rate_hz)).astype(np.float32)
    grey = io.BytesIO()
    Image.new("RGB", (160, 120), "grey").save(grey, "JPEG")
    times_s = np.arange(0, length_s + 0.4, 0.2) if source.has_pictures else ()
    views = PushedViews(source)
    found = views.push(samples, [Picture(float(time_s), grey.getvalue()) for time_s in times_s])
    left = views.close()
    return {name: _also_with_face([*own, *left[name]][0]) for name, own in found.items()}


def _also_with_face(one: WindowView) -> list[WindowView]:
    """Return a window and, where it is without the faces that its view looks for, one that has them."""
    made = one.segment
    if made.num_with_face != 0:
        return [one]
    values, times_s = np.repeat(made.values[:1], made.num_seen, axis=0), np.linspace(0, 1, made.num_seen, dtype=np.float32)
    return [one, WindowView(dataclasses.replace(made, values=values, mask=np.ones(len(values), bool), times_s=times_s), "")]


class _Hungry:
    """Says that a chain needs its next item."""


class _Chain(Generic[Item, Output]):
    """A chain of iterators that gets its items one at a time, in a thread that runs only while `push` waits for it.

    Args:
      outputs_of: items -> outputs.
    """

    def __init__(self, outputs_of: Callable[[Iterator[Item]], Iterator[Output]]):
        self._outputs_of = outputs_of
        self._items: queue.SimpleQueue[tuple[Item] | None] = queue.SimpleQueue()  # None after the last
        self._answers: queue.SimpleQueue[tuple[Output] | type[_Hungry] | BaseException | None] = queue.SimpleQueue()  # None at the end
        threading.Thread(target=self._run, daemon=True).start()
        self._collect()

    def push(self, item: Item) -> list[Output]:
        """Return the outputs that the chain yields before it asks for the next item."""
        self._items.put((item,))
        return self._collect()

    def close(self) -> list[Output]:
        """Return the outputs after the last item."""
        self._items.put(None)
        return self._collect()

    def _collect(self) -> list[Output]:
        found: list[Output] = []
        while (answer := self._answers.get()) is not None and answer is not _Hungry:
            if isinstance(answer, BaseException):
                raise answer
            assert isinstance(answer, tuple)
            found.append(answer[0])
        return found

    def _run(self) -> None:
        try:
            for output in self._outputs_of(self._given()):
                self._answers.put((output,))
            self._answers.put(None)
        except BaseException as error:  # raised by `_collect`
            self._answers.put(error)

    def _given(self) -> Iterator[Item]:
        while True:
            self._answers.put(_Hungry)
            if (item := self._items.get()) is None:
                return
            yield item[0]
