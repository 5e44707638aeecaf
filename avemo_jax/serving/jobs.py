"""Recordings that users hand over: received, predicted in their order by a few threads, kept for a while, and removed."""

from __future__ import annotations

import dataclasses
import enum
import functools
import logging
import queue
import secrets
import shutil
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

from avemo_jax.atomic import write_json
from avemo_jax.identity import FILM_SUFFIXES, PICTURE_SUFFIXES, SOUND_SUFFIXES
from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import RecordingPrediction, as_json, write_csv
from avemo_jax.serving.system import System
from avemo_jax.timelines import check_formats, save, suffix_of
from avemo_jax.timelines.media import CannotShow, Media
from avemo_jax.timelines.page import is_playable

LOG = logging.getLogger(__name__)
NUM_THREADS = 2  # recordings predicted at a time
MOST_JOBS = 16  # received, waiting or kept
KEEP_S = 1800.0  # after the last request for a recording
_LONGEST_NAME = 120


class State(enum.StrEnum):
    """Where a recording is on its way."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class Busy(Exception):
    """No further recording is taken for now."""


class Removed(Exception):
    """The recording was removed while it was worked on."""


@dataclasses.dataclass(eq=False)
class Job:
    """One recording.

    Attributes:
      number: unguessable, so that no user sees another one's recording.
      name: name that the user's file has, which is shown and never used as a path.
      path: of the recording.
      state: where it is on its way.
      reached_s: predicted up to here.
      result: its prediction.
      reason: why it failed, as a sentence.
      used_s: time of the last request, in s of `time.monotonic`.
    """

    number: str
    name: str
    path: Path
    state: State = State.RECEIVING
    reached_s: float = 0.0
    result: RecordingPrediction | None = None
    reason: str = ""
    used_s: float = 0.0
    is_removed: bool = False
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)  # one format of a recording is made at a time


class Jobs:
    """The recordings of all users; a context manager, at the end of which all of them are deleted.

    Args:
      system: predicts them.
      media: makes what reads recordings again for formats that show them.
      keep_s: time after the last request for a recording until it is deleted.
    """

    def __init__(self, system: System, media: Callable[[], AbstractContextManager[Media]], *, keep_s: float = KEEP_S):
        self._system, self._media, self._keep_s = system, media, keep_s
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: list[Job] = []
        self._making = threading.BoundedSemaphore(NUM_THREADS)
        self._drawing = threading.Lock()  # Matplotlib's settings belong to the process
        self._folder = Path()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Jobs:
        self._folder = Path(tempfile.mkdtemp(prefix="avemo-serve-"))
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(NUM_THREADS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        with self._lock:
            for job in self._jobs.values():
                job.is_removed = True
        for _number in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def new(self, name: str) -> Job:
        """Return a job for a recording that is going to be received at its `path`.

        Raises:
          Busy: too many recordings are kept or waiting.
          OSError: the disk is full.
        """
        self._remove_old()
        name = shown_name(name)
        suffix = PurePosixPath(name).suffix.lower()
        number = secrets.token_urlsafe(16)
        with self._lock:
            if len(self._jobs) >= MOST_JOBS:
                done = [job for job in self._jobs.values() if job.state in (State.DONE, State.FAILED)]
                if not done:
                    raise Busy(f"{len(self._jobs)} recordings are waiting already; try again in a few minutes")
                self._remove(min(done, key=lambda job: job.used_s))
            # The suffix is one of the list, not the user's text.
            known = next((one for one in (*SOUND_SUFFIXES, *FILM_SUFFIXES, *PICTURE_SUFFIXES) if one == suffix), "")
            job = Job(number, name, self._folder / number / f"recording{known}", used_s=time.monotonic())
            self._jobs[number] = job
        job.path.parent.mkdir()
        return job

    def keep(self, name: str, segments: Sequence[SegmentPrediction]) -> Job:
        """Return a job that is done: what was predicted while it was recorded, of which no sound or picture is kept.

        Raises:
          Busy, OSError: as `new`.
        """
        job, system = self.new(name), self._system
        job.result = RecordingPrediction(job.name, tuple(segments), (), system.classes, system.rule, system.trained_on, place=job.path)
        job.state = State.DONE
        return job

    def submit(self, job: Job) -> None:
        """Let a recording that is complete be predicted, after those that were handed in before."""
        with self._lock:
            job.state = State.WAITING
            self._waiting.append(job)
        self._queue.put(job)

    def find(self, number: str) -> Job | None:
        """Return a job, whose time to be kept begins anew; None where there is none, or no longer."""
        self._remove_old()
        with self._lock:
            job = self._jobs.get(number)
            if job is not None:
                job.used_s = time.monotonic()
            return job

    def num_before(self, job: Job) -> int:
        """Return the number of recordings that wait before this one."""
        with self._lock:
            return self._waiting.index(job) if job in self._waiting else 0

    def remove(self, job: Job) -> None:
        """Delete a recording and all that was made of it; work on it ends with the segment that is predicted."""
        with self._lock:
            self._remove(job)

    def file_in(self, job: Job, name: str) -> Path | None:
        """Return the file of that name in the folder of a recording, None where there is none."""
        return next((one for one in job.path.parent.iterdir() if one.name == name and not name.startswith(".")), None)

    def made(self, job: Job, format: str) -> Path:
        """Return the file of a format of a recording that is done, which is made on the first request.

        Raises:
          ValueError, RuntimeError: there is no such format, or its package is missing.
          CannotShow: the recording has nothing that the format could show.
        """
        result = job.result
        assert result is not None, "the recording is done"
        check_formats([format])
        with job.lock, self._drawing if format in ("png", "svg") else self._making:
            path = _product(job.path, format)
            if path.exists():
                return path
            if format == "json":
                content = {"trained_on": result.trained_on, "classes": list(result.classes)}
                write_json(path, content | {"files": [as_json(result, result.classes, result.rule)]})
            elif format == "csv":
                write_csv(path, [result], result.classes, result.rule, _dimensions(result))
            else:
                with self._media() as media:
                    self._save(result, format, path, media)
            return path

    def _save(self, result: RecordingPrediction, format: str, path: Path, media: Media) -> None:
        if format == "html" and result.path.suffix in FILM_SUFFIXES and not is_playable(result.path):
            try:
                save(result, "overlay", _product(result.path, "overlay"), media)  # the page plays it
            except CannotShow as error:
                LOG.info("no overlay for the page: %s", error)
        save(result, format, path, media)

    def _work(self) -> None:
        """Predict one recording after another: the body of a thread."""
        with self._system.reader() as reader:
            while (job := self._queue.get()) is not None:
                with self._lock:
                    self._waiting.remove(job)
                    if job.is_removed:
                        continue
                    job.state = State.WORKING
                try:
                    self._finish(job, self._system.predict_file(str(job.path), reader, functools.partial(_report, job)))
                except Removed:
                    continue
                except Exception:
                    LOG.exception("a recording could not be predicted")
                    self._fail(job, "The recording could not be predicted; the terminal of the server shows why.")

    def _finish(self, job: Job, result: RecordingPrediction) -> None:
        problems = tuple(dataclasses.replace(one, detail=one.detail.replace(job.path.name, job.name)) for one in result.problems)
        job.result = dataclasses.replace(result, file=job.name, place=job.path, problems=problems)
        if result.segments:
            job.state = State.DONE
        else:
            self._fail(job, "; ".join(one.detail for one in problems) or "Nothing in the recording could be predicted.")

    def _fail(self, job: Job, reason: str) -> None:
        job.state, job.reason = State.FAILED, reason
        job.path.unlink(missing_ok=True)

    def _remove_old(self) -> None:
        before_s = time.monotonic() - self._keep_s
        with self._lock:
            for job in [job for job in self._jobs.values() if job.state in (State.DONE, State.FAILED) and job.used_s < before_s]:
                self._remove(job)

    def _remove(self, job: Job) -> None:
        job.is_removed = True
        if self._jobs.pop(job.number, None) is not None:
            shutil.rmtree(job.path.parent, ignore_errors=True)


def shown_name(text: str) -> str:
    """Return the name of a user's file for people: its last part, without control characters, cut where it is too long."""
    last = text.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip()
    path = PurePosixPath(plain or "recording")
    return plain if 0 < len(plain) <= _LONGEST_NAME else f"{path.stem[: _LONGEST_NAME - 10]}{path.suffix[:10]}"


def _product(recording: Path, format: str) -> Path:
    """Return the file of a format; it begins as the recording does, so that the page finds the overlay, and is never the recording."""
    return recording.with_name(f"{recording.stem}-timeline{_suffix(format)}")


def _suffix(format: str) -> str:
    return f".{format}" if format in ("json", "csv") else suffix_of(format)


def download_name(job: Job, format: str) -> str:
    """Return the name that a format of a recording is saved under."""
    return f"{PurePosixPath(job.name).stem}{_suffix(format)}"


def _dimensions(result: RecordingPrediction) -> tuple[str, ...]:
    return tuple(result.segments[0].values) if result.segments else ()


def _report(job: Job, end_s: float) -> None:
    if job.is_removed:
        raise Removed
    job.reached_s = end_s
