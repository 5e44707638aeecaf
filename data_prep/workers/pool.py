"""A pool of worker processes with limits of time and memory: a crash, a hang or a memory bomb in a decoder costs one clip, never the run.

Why not a library: tried with tasks that die by SIGKILL at random moments, as under the kernel's memory killer. The ProcessPool of Pebble
5.2 limits the time of tasks and replaces workers that crash inside a task, but all its workers share one pipe and its lock: it hung, or
ended with BrokenProcessPool for most tasks. loky fails all tasks when one worker dies (TerminatedWorkerError), and does not limit the time
of a task. Here each worker has its own pipe. A second attempt, and workers that end with a killed parent, would be own code with either
library.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from tqdm import tqdm

from avemo_jax.failures import Unexpected

# Libraries take much of it: librosa (numba, LLVM), OpenCV and PyAV. `python -m benchmarks.preparing` prints the memory of all workers.
MEMORY_LIMIT_BYTES = 512 << 20
TIME_LIMIT_S = 1800.0
_MOST_TIME_S = 24 * 3600.0  # of a task that goes on reporting progress
NUM_ATTEMPTS = 2  # a worker may die for another reason than its task (the kernel's memory killer), so a task is tried twice

_ENVIRONMENT = {
    # One thread a worker: parallelism is over clips, and every pool of threads costs each worker memory.
    **{name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")},
    # glibc returns freed pictures to the system at once, instead of leaving holes in its heap, which costs little time and saves most of
    # the memory of large films.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    # Smaller blocks stay in the process: returned after every call, their pages would be faulted in again for each clip of sound.
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(4 << 20),
}

_STARTING = threading.Lock()  # what a start changes for a moment, the environment and the main module, is of the whole process


@dataclasses.dataclass(frozen=True)
class Crash:
    """Outcome of a task whose worker died or that ran out of time, with the reason as a sentence."""

    reason: str


class WorkerError(Unexpected):
    """A task raised an exception: a fault of the program, not of the medium; it ends the run."""


class InTheWorker(Exception):
    """Cause of an exception that another process raised: the traceback there."""


class WorkerPool:
    """Workers that several calls of `run_tasks` share, so that each need not start an interpreter and import the libraries again.

    A context manager; its workers end with it. `run_tasks(..., pool=pool)` starts them when there are tasks.
    """

    def __init__(self) -> None:
        self._free: list[Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: Any) -> None:
        while self._free:
            self._free.pop().stop()

    def take(self, max_workers: int, memory_limit_bytes: int) -> list[Worker]:
        """Remove and return up to max_workers free workers of that limit; stop the others."""
        fitting = [worker for worker in self._free if worker.memory_limit_bytes == memory_limit_bytes][:max_workers]
        for worker in self._free:
            if worker not in fitting:
                worker.stop()
        self._free = []
        return fitting

    def put_back(self, workers: Iterable[Worker]) -> None:
        """Add workers without a task."""
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
    pool: WorkerPool | None = None,
) -> Iterator[tuple[str, Any]]:
    """Apply `function` to every task in `num_workers` processes; yield (name, result or Crash) in the order they finish.

    Results do not depend on the number of workers, only their order does. Workers are replaced when they crash or a task takes longer than
    its limit. They end when the iterator is closed or ends in any way, Ctrl-C and SIGTERM included, and by themselves when this process is
    killed. With a pool, workers without a task at that time stay in it, also one that is still starting.

    Args:
      function: importable (spawned processes import it by name); takes one task, returns something small.
      tasks: name -> task, picklable.
      num_workers: at least 1.
      time_limit_s: for one task, the libraries it imports included; a task that calls `report_progress` has so long from there on, and a
        day at most.
      memory_limit_bytes: of a worker's own data (RLIMIT_DATA: heap and private mappings, not program files); a task that needs more
        gets MemoryError, or its worker dies.
      description, num_done, unit: for the progress bar: its title, how many tasks were done in an earlier run, the noun for a task.
      pool: where workers come from and idle ones return to; None: workers of this call alone.

    Raises:
      OSError: a task raised it, with its message: a fault of the machine, such as a full disk.
      WorkerError: a task raised another exception, with the name of the task; or no worker can be started.
    """
    if num_workers < 1:
        raise ValueError(f"expected num_workers of at least 1, got {num_workers}")
    waiting = deque((name, 1) for name in tasks)
    workers = pool.take(num_workers, memory_limit_bytes) if pool else []
    bar = tqdm(total=len(tasks) + num_done, initial=num_done, desc=description, unit=unit, disable=None)
    try:
        with _sigterm_raises(), bar:
            while waiting or any(worker.job for worker in workers):
                num_free = sum(worker.job is None for worker in workers)
                for _ in range(min(num_workers - len(workers), len(waiting) - num_free)):
                    workers.append(Worker(memory_limit_bytes))
                for worker in workers:
                    if waiting and worker.is_idle:
                        name, attempt = waiting.popleft()
                        worker.give(Job(name, attempt, time.monotonic(), time_limit_s), function, tasks[name])
                for worker, job, outcome in outcomes(workers):
                    if isinstance(outcome, Raised):
                        raise outcome.error(job.name) from InTheWorker(outcome.traceback)
                    if isinstance(outcome, Crash):
                        worker.stop()
                        workers.remove(worker)
                        if job.attempt < NUM_ATTEMPTS and time.monotonic() < job.deadline:
                            waiting.appendleft((job.name, job.attempt + 1))
                            continue
                    bar.update()
                    yield job.name, outcome
    finally:
        free = [worker for worker in workers if worker.job is None] if pool else []
        for worker in workers:
            if worker not in free:
                worker.stop()
        if pool:
            pool.put_back(free)


@dataclasses.dataclass(frozen=True)
class Raised:
    """Outcome of a task that raised an exception."""

    message: str
    is_os_error: bool
    traceback: str

    def error(self, name: str) -> Exception:
        """Return the exception to raise here for a task of that name."""
        return (OSError if self.is_os_error else WorkerError)(f"{name}: {self.message}")


@dataclasses.dataclass(frozen=True)
class _Progress:
    """Message of a worker that its task goes on."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One attempt at a task.

    Attributes:
      name, attempt: which task, and which attempt.
      start_s, progress_s: when it began, and when it last reported progress, in seconds of time.monotonic.
      time_limit_s: from the later of both on.
    """

    name: str
    attempt: int
    start_s: float
    time_limit_s: float
    progress_s: float = 0.0

    @property
    def deadline(self) -> float:
        """When the attempt ends."""
        return min(max(self.start_s, self.progress_s) + self.time_limit_s, self.start_s + max(_MOST_TIME_S, self.time_limit_s))


class Worker:
    """One process. It starts, reports that it is ready, and is then idle or works on a job."""

    def __init__(self, memory_limit_bytes: int):
        self.memory_limit_bytes = memory_limit_bytes
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, memory_limit_bytes), daemon=True)
        with _STARTING, _environment(_ENVIRONMENT), signals_blocked(), _without_main():
            self.process.start()
        theirs.close()  # so that reading from ours ends when the worker does
        self.is_ready = False
        self.job: Job | None = None

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.job is None

    def give(self, job: Job, function: Callable[[Any], Any], task: Any) -> None:
        self.job = job
        self.send(function, task)

    def send(self, function: Callable[[Any], Any], task: Any) -> None:
        with suppress(OSError):  # it died while idle: `receive` reports that
            self.connection.send((function, task))

    def receive(self) -> Any:
        """Return the worker's message, or Crash where the worker has died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join(timeout=10)
            code = self.process.exitcode
            how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with exit code {code}"
            if not self.is_ready:  # before any task
                raise WorkerError(f"a worker process {how} before it could start; its output above has the reason") from None
            return Crash(f"the process that worked on it {how}")

    def stop(self) -> None:
        self.process.kill()  # nothing to clean up: its files are renamed into place when complete
        self.process.join()
        self.connection.close()


def outcomes(workers: Sequence[Worker]) -> Iterator[tuple[Worker, Job, Any]]:
    """Wait until a worker is ready, answers, dies or passes its deadline; yield the jobs that ended by that."""
    awaited = [worker for worker in workers if not worker.is_idle]
    deadlines = [worker.job.deadline for worker in awaited if worker.job]
    timeout_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    readable = wait([worker.connection for worker in awaited], timeout=timeout_s)
    for worker in awaited:
        job = worker.job
        if worker.connection in readable:
            outcome = worker.receive()
            if isinstance(outcome, _Progress):
                worker.job = job and dataclasses.replace(job, progress_s=time.monotonic())
                continue
            worker.is_ready, worker.job = True, None
            if job is not None:
                yield worker, job, outcome
        elif job is not None and time.monotonic() >= job.deadline:
            worker.job = None
            yield worker, job, Crash("it takes longer than the limit for one segment")


_to_parent: Connection | None = None  # in a worker process


def report_progress() -> None:
    """Begin the time limit of the task anew that runs in this worker, so that a long clip may take long; no effect in other processes."""
    if _to_parent is not None:
        _to_parent.send(_Progress())


def _serve(connection: Connection, memory_limit_bytes: int) -> None:
    """Run tasks until the connection closes: the body of a worker process."""
    global _to_parent
    _to_parent = connection
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _limit_memory(memory_limit_bytes)
    with suppress(EOFError, OSError):  # the parent is gone
        connection.send("ready")
        while True:
            connection.send(_outcome(*connection.recv()))


def _outcome(function: Callable[[Any], Any], task: Any) -> Any:
    try:
        return function(task)
    except Exception as error:
        return Raised("".join(traceback.format_exception_only(error)).strip(), isinstance(error, OSError), traceback.format_exc())


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
def signals_blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGUSR1, for processes that are started meanwhile: they inherit it, from their first moment on.

    Both signals reach a whole group of processes (a terminal's, a SLURM job's), and the parent decides what is to be done.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep processes that are started meanwhile from importing the main module of this one again, as spawned processes do.

    A worker's functions are of other modules, and run.py takes half a second to import.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


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
    """Turn SIGTERM into SystemExit so that `finally` clauses run; a handler that is already installed stays."""
    has_handler = threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    if has_handler:
        yield
        return

    def stop(signum: int, frame: Any) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
