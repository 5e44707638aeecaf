"""SIGTERM and Ctrl-C: finish the epoch, save and exit."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Preempted(Exception):
    """A signal stopped the run after it saved its checkpoints; starting it again resumes it."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Stop(Protocol):
    """A stop request that a training loop checks between epochs."""

    @property
    def signal_number(self) -> int | None:
        """Return the signal that requested the stop, or None."""


class StopRequest:
    """The stop request of this process; true once a signal has arrived."""

    def __init__(self):
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None


@contextmanager
def listen() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a stop request that the training loop checks between epochs; a second Ctrl-C interrupts at once."""
    request = StopRequest()

    def handle(signal_number, _frame):
        if request and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal_number = signal_number

    try:
        previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # only the main thread may set signal handlers; a notebook server runs code in another one
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
