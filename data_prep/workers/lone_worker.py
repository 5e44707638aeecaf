"""One worker process that answers one call after another, for new media; it may be started before its first call."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from data_prep.workers.pool import MEMORY_LIMIT_BYTES, TIME_LIMIT_S, Crash, InTheWorker, Job, Raised, Worker, outcomes


class LoneWorker:
    """One worker that answers one call after another, and keeps what its functions leave in their modules; started when it is needed.

    Args:
      memory_limit_bytes: as `run_tasks` takes it.
    """

    def __init__(self, memory_limit_bytes: int = MEMORY_LIMIT_BYTES):
        self._memory_limit_bytes = memory_limit_bytes
        self._worker: Worker | None = None
        self._num_begun = 0  # tasks of which the outcome is still to come

    def begin(self, function: Callable[[Any], Any], task: Any) -> None:
        """Let the worker run a task without waiting for it, such as one that imports what its calls need; the outcome is dropped.

        A worker that is starting or busy does it afterwards, and the next call after that; a call that needs the same finds its failure.
        """
        self._start().send(function, task)
        self._num_begun += 1

    def _start(self) -> Worker:
        if self._worker is None:
            self._worker, self._num_begun = Worker(self._memory_limit_bytes), 0
        return self._worker

    def call(self, function: Callable[[Any], Any], task: Any, *, time_limit_s: float = TIME_LIMIT_S) -> Any:
        """Return function(task), or Crash where the worker died or took too long; the next call has a new worker then.

        Raises:
          OSError: the function raised it, with its message: a fault of the machine, such as a full disk.
          WorkerError: the function raised another exception; or no worker can be started.
        """
        worker = self._start()
        try:
            while not worker.is_ready:
                for _ in outcomes([worker]):
                    pass
            while self._num_begun:
                self._num_begun -= 1
                worker.job = Job("", 1, time.monotonic(), time_limit_s)
                if isinstance(_next_outcome(worker), Crash):
                    self.stop()
                    return self.call(function, task, time_limit_s=time_limit_s)
            worker.give(Job("", 1, time.monotonic(), time_limit_s), function, task)
            outcome = _next_outcome(worker)
        except BaseException:
            self.stop()
            raise
        if isinstance(outcome, Raised):
            raise outcome.error(function.__name__) from InTheWorker(outcome.traceback)
        if isinstance(outcome, Crash):
            self.stop()
        return outcome

    @property
    def process_id(self) -> int | None:
        """The process of the worker, None where none runs."""
        return None if self._worker is None else self._worker.process.pid

    def stop(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


_ahead: list[LoneWorker] = []  # at most one


def start_ahead(*modules: str) -> None:
    """Start the worker that `take_ahead` will return, and let it import these modules while this process does something else."""
    if not _ahead:
        _ahead.append(LoneWorker())
        _ahead[0].begin(_import, modules)


def take_ahead(memory_limit_bytes: int) -> LoneWorker:
    """Return the worker that `start_ahead` has started, or one that is not started yet where there is none with that limit."""
    return _ahead.pop() if _ahead and memory_limit_bytes == MEMORY_LIMIT_BYTES else LoneWorker(memory_limit_bytes)


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)


def _next_outcome(worker: Worker) -> Any:
    """Wait for the end of a worker's job and return its outcome."""
    while not (ended := list(outcomes([worker]))):
        pass
    return ended[0][2]
