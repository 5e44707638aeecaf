"""SIGTERM and Ctrl-C: finish the epoch, save, leave."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Preempted(Exception):
    """The run was asked to stop and has saved; starting it again resumes it."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Stop(Protocol):
    """What a training loop reads between epochs."""

    @property
    def signal_number(self) -> int | None:
        """The signal that asked for a stop; None while none has."""


class StopRequest:
    """Whether a stop has been asked for."""

    def __init__(self):
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None


@contextmanager
def listen() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request that the training loop reads between epochs; a second Ctrl-C interrupts at once."""
    request = StopRequest()

    def note(signal_number, _frame):
        if request and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal_number = signal_number

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread, as in a notebook server: the host decides about signals
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
