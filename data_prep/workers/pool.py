"""Bounded worker processes: foreign media is decoded where a crash, a hang or a memory bomb costs one clip, never the run."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from tqdm import tqdm

# librosa (numba, LLVM), OpenCV and PyAV take 280 MiB of it, with a pitch tracker 380; two workers at the limit, program files and the
# parent stay under 1.5 GiB.
MEMORY_LIMIT_BYTES = 512 << 20
TIME_LIMIT_S = 1800.0
NUM_ATTEMPTS = 2  # a worker may die of something else than its task (the kernel's memory killer), so it gets a second chance

_ENVIRONMENT = {
    # One thread a worker: parallelism is over clips, and every pool of threads costs each worker memory.
    **{name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")},
    # glibc gives pictures back at once instead of keeping holes between what outlives them: 5 s of key frames of a 1080p film take
    # 340 MiB so and 1.2 GiB else, for 3 ms a frame.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    # What is smaller stays: given back after every call, it costs each clip of sound page after page that is faulted in again.
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(4 << 20),
}


@dataclasses.dataclass(frozen=True)
class Crash:
    """Outcome of a task whose worker died or ran out of time: a sentence that says so."""

    reason: str


class WorkerError(RuntimeError):
    """A task raised: that is a fault of the program or of the machine (a full disk), not of the task, and ends the run."""


class Crew:
    """Workers that outlive a call of `run_tasks`: the next one need not start an interpreter and import the libraries again.

    A context manager; its workers end with it. They are started when there is something to do, by `run_tasks(..., crew=crew)`.
    """

    def __init__(self) -> None:
        self._free: list[_Worker] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: Any) -> None:
        while self._free:
            self._free.pop().stop()

    def take(self, most: int, memory_limit_bytes: int) -> list[_Worker]:
        """Give away that many free workers of that limit at most; the others end."""
        fitting = [worker for worker in self._free if worker.memory_limit_bytes == memory_limit_bytes][:most]
        for worker in self._free:
            if worker not in fitting:
                worker.stop()
        self._free = []
        return fitting

    def keep(self, workers: Iterable[_Worker]) -> None:
        """Take workers without a task back."""
        self._free.extend(workers)


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Mapping[str, Any],
    *,
    num_workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    description: str = "",
    num_done: int = 0,
    unit: str = "clip",
    crew: Crew | None = None,
) -> Iterator[tuple[str, Any]]:
    """Apply `function` to every task in `num_workers` processes; yield (name, result or Crash) in the order they finish.

    What a task's result is does not depend on the number of workers, only the order does. Workers live as long as the run, or as their
    crew, and are replaced when they crash or a task takes longer than its limit. They end when the iterator is closed or ends in any way,
    Ctrl-C and SIGTERM included, and by themselves when this process is killed; a crew keeps those that have no task then, also one that
    is still starting.

    Args:
      function: importable (spawned processes import it by name); takes one task, returns something small.
      tasks: name -> task, picklable.
      num_workers: at least 1.
      time_limit_s: for one task, the libraries it imports included.
      memory_limit_bytes: of a worker's own data (RLIMIT_DATA: heap and private mappings, not program files); a task that needs more
        gets MemoryError, or its worker dies.
      description, num_done, unit: for the progress bar: its title, how many tasks were done in an earlier run, what a task is.
      crew: where workers come from and idle ones stay; None: the workers are this call's own.

    Raises:
      WorkerError: a task raised an exception, with the name of the task and the traceback; or no worker can be started.
    """
    if num_workers < 1:
        raise ValueError(f"expected num_workers of at least 1, got {num_workers}")
    waiting = deque((name, 1) for name in tasks)
    workers = crew.take(num_workers, memory_limit_bytes) if crew else []
    bar = tqdm(total=len(tasks) + num_done, initial=num_done, desc=description, unit=unit, disable=None)
    try:
        with _sigterm_raises(), bar:
            while waiting or any(worker.job for worker in workers):
                num_free = sum(worker.job is None for worker in workers)
                for _ in range(min(num_workers - len(workers), len(waiting) - num_free)):
                    workers.append(_Worker(memory_limit_bytes))
                for worker in workers:
                    if waiting and worker.is_idle:
                        name, attempt = waiting.popleft()
                        worker.give(_Job(name, attempt, time.monotonic() + time_limit_s), function, tasks[name])
                for worker, job, outcome in _outcomes(workers):
                    if isinstance(outcome, _Raised):
                        raise WorkerError(f"task {job.name} failed:\n{outcome.traceback}")
                    if isinstance(outcome, Crash):
                        worker.stop()
                        workers.remove(worker)
                        if job.attempt < NUM_ATTEMPTS and time.monotonic() < job.deadline:
                            waiting.appendleft((job.name, job.attempt + 1))
                            continue
                    bar.update()
                    yield job.name, outcome
    finally:
        free = [worker for worker in workers if worker.job is None] if crew else []
        for worker in workers:
            if worker not in free:
                worker.stop()
        if crew:
            crew.keep(free)


@dataclasses.dataclass(frozen=True)
class _Raised:
    """Outcome of a task that raised."""

    traceback: str


@dataclasses.dataclass(frozen=True)
class _Job:
    """One attempt at a task; the deadline is in seconds of time.monotonic."""

    name: str
    attempt: int
    deadline: float


class _Worker:
    """One process. It starts, says that it is ready, and is then idle or at a job."""

    def __init__(self, memory_limit_bytes: int):
        self.memory_limit_bytes = memory_limit_bytes
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, memory_limit_bytes), daemon=True)
        with _environment(_ENVIRONMENT):
            self.process.start()
        theirs.close()  # so that reading from ours ends when the worker does
        self.is_ready = False
        self.job: _Job | None = None

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.job is None

    def give(self, job: _Job, function: Callable[[Any], Any], task: Any) -> None:
        self.job = job
        with suppress(OSError):  # it died while idle: reading from it will say so
            self.connection.send((function, task))

    def hear(self) -> Any:
        """Return what the worker says; Crash where it can say no more."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join(timeout=10)
            code = self.process.exitcode
            how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with exit code {code}"
            if not self.is_ready:  # no task is to blame
                raise WorkerError(f"a worker process {how} before it could start; what it printed above says why") from None
            return Crash(f"the process that worked on it {how}")

    def stop(self) -> None:
        self.process.kill()  # it has nothing to tidy up: what it writes is renamed into place when complete
        self.process.join()
        self.connection.close()


def _outcomes(workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, _Job, Any]]:
    """Wait until a worker is ready, answers, dies or passes its deadline; yield the jobs that ended by that."""
    awaited = [worker for worker in workers if not worker.is_idle]
    deadlines = [worker.job.deadline for worker in awaited if worker.job]
    patience_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    speaking = wait([worker.connection for worker in awaited], timeout=patience_s)
    for worker in awaited:
        job = worker.job
        if worker.connection in speaking:
            outcome = worker.hear()
            worker.is_ready, worker.job = True, None
            if job is not None:
                yield worker, job, outcome
        elif job is not None and time.monotonic() >= job.deadline:
            worker.job = None
            yield worker, job, Crash("it takes longer than the limit for one clip")


def _serve(connection: Connection, memory_limit_bytes: int) -> None:
    """Work on tasks until there are no more: the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _limit_memory(memory_limit_bytes)
    with suppress(EOFError, OSError):  # there is nobody left to work for
        connection.send("ready")
        while True:
            connection.send(_outcome(*connection.recv()))


def _outcome(function: Callable[[Any], Any], task: Any) -> Any:
    try:
        return function(task)
    except Exception:
        return _Raised(traceback.format_exc())


def end_with_parent() -> None:
    """Wait for the end of the process that started this one, and end then too: the body of a thread of a child."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _limit_memory(num_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (num_bytes if hard == resource.RLIM_INFINITY else min(num_bytes, hard), hard))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into SystemExit so that `finally` clauses run; leave a handler that somebody else installed."""
    theirs = threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    if theirs:
        yield
        return

    def stop(signum: int, frame: Any) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
