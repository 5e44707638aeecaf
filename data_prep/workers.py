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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from tqdm import tqdm

# librosa (numba, LLVM), OpenCV and PyAV take 280 MiB of it; two workers at the limit, program files and the parent stay under 1.5 GiB.
MEMORY_LIMIT_BYTES = 512 << 20
TIME_LIMIT_S = 1800.0
NUM_ATTEMPTS = 2  # a worker may die of something else than its task (the kernel's memory killer), so it gets a second chance

# One thread a worker: parallelism is over clips, and every pool of threads costs each worker memory.
_SINGLE_THREADED = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")}


@dataclasses.dataclass(frozen=True)
class Crash:
    """Outcome of a task whose worker died or ran out of time: a sentence that says so."""

    reason: str


class WorkerError(RuntimeError):
    """A task raised: that is a fault of the program or of the machine (a full disk), not of the task, and ends the run."""


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Mapping[str, Any],
    *,
    num_workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    description: str = "",
    num_done: int = 0,
) -> Iterator[tuple[str, Any]]:
    """Apply `function` to every task in `num_workers` processes; yield (name, result or Crash) in the order they finish.

    What a task's result is does not depend on the number of workers, only the order does. Workers live as long as the run and are
    replaced when they crash or a task takes longer than its limit. They end when the iterator is closed or ends in any way, Ctrl-C
    and SIGTERM included, and by themselves when this process is killed.

    Args:
      function: importable (spawned processes import it by name); takes one task, returns something small.
      tasks: name -> task, picklable.
      num_workers: at least 1.
      time_limit_s: for one task, its import of libraries included.
      memory_limit_bytes: of a worker's own data (RLIMIT_DATA: heap and private mappings, not program files); a task that needs more
        gets MemoryError, or its worker dies.
      description, num_done: for the progress bar: its title, and how many tasks were done in an earlier run.

    Raises:
      WorkerError: a task raised an exception, with the name of the task and the traceback; or no worker can be started.
    """
    if num_workers < 1:
        raise ValueError(f"expected num_workers of at least 1, got {num_workers}")
    waiting = deque((name, 1) for name in tasks)
    workers: list[_Worker] = []
    bar = tqdm(total=len(tasks) + num_done, initial=num_done, desc=description, unit="clip", disable=None)
    try:
        with _sigterm_raises(), bar:
            while waiting or any(worker.name for worker in workers):
                while waiting and len(workers) < min(num_workers, len(tasks)) and all(worker.name for worker in workers):
                    workers.append(_Worker(function, memory_limit_bytes))
                for worker in workers:
                    if waiting and worker.name is None:
                        name, attempt = waiting.popleft()
                        worker.give(name, attempt, tasks[name], time_limit_s)
                for worker, outcome in _finished(workers):
                    if outcome is _READY:
                        continue
                    name, attempt = worker.name, worker.attempt
                    worker.name = None
                    if isinstance(outcome, Crash):
                        worker.stop()
                        workers.remove(worker)
                        if attempt < NUM_ATTEMPTS and not worker.out_of_time:
                            waiting.appendleft((name, attempt + 1))
                            continue
                    elif isinstance(outcome, _Raised):
                        raise WorkerError(f"task {name} failed:\n{outcome.traceback}")
                    bar.update()
                    yield name, outcome
    finally:
        for worker in workers:
            worker.stop()


@dataclasses.dataclass(frozen=True)
class _Raised:
    traceback: str


_READY = "ready"  # a worker's first word: what dies before it was never able to work, and no task is to blame


class _Worker:
    """One process, and the task it is at: `name` is None while it is idle."""

    def __init__(self, function: Callable[[Any], Any], memory_limit_bytes: int):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, memory_limit_bytes), daemon=True)
        with _environment(_SINGLE_THREADED):
            self.process.start()
        theirs.close()  # so that reading from ours ends when the worker does
        self.ready = False
        self.name: str | None = None
        self.attempt = 0
        self.deadline = 0.0
        self.out_of_time = False

    def give(self, name: str, attempt: int, task: Any, time_limit_s: float) -> None:
        self.name, self.attempt, self.time_limit_s = name, attempt, time_limit_s
        self.deadline = time.monotonic() + time_limit_s
        with suppress(OSError):  # it died while idle: reading from it will say so
            self.connection.send(task)

    def outcome(self) -> Any:
        """What the worker answered: _READY once, then results; Crash where it can answer no more."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(timeout=10)
            code = self.process.exitcode
            how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with exit code {code}"
            if not self.ready:
                raise WorkerError(f"a worker process {how} before it could start; what it printed above says why") from None
            return Crash(f"the process that worked on it {how}")
        if not self.ready:
            self.ready = True
            return _READY
        return answer

    def stop(self) -> None:
        self.process.kill()  # it has nothing to tidy up: what it writes is renamed into place when complete
        self.process.join()
        self.connection.close()


def _finished(workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, Any]]:
    """Wait for the next answer, death or deadline; yield the workers concerned with their outcome."""
    busy = [worker for worker in workers if worker.name is not None]
    patience_s = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
    ready = wait([worker.connection for worker in busy], timeout=patience_s)
    for worker in busy:
        if worker.connection in ready:
            yield worker, worker.outcome()
        elif time.monotonic() >= worker.deadline:
            worker.out_of_time = True
            yield worker, Crash(f"it took longer than {worker.time_limit_s:g} s")


def _serve(connection: Connection, function: Callable[[Any], Any], memory_limit_bytes: int) -> None:
    """Work on tasks until there are no more: the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory(memory_limit_bytes)
    connection.send(_READY)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            outcome = function(task)
        except Exception:
            outcome = _Raised(traceback.format_exc())
        connection.send(outcome)


def _end_with_parent() -> None:
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
