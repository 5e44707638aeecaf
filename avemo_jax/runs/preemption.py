"""Signals that stop a run: finish the epoch, save and exit, or exit at once where nothing has to be saved."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

# SLURM sends SIGUSR1 before the time of a job is over (--signal=USR1@120). Windows has none.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"

_received: int | None = None


class Preempted(Exception):
    """A signal stopped the run after it saved its checkpoints; starting it again resumes it."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Stopped(KeyboardInterrupt):
    """A signal arrived outside of a training loop; what was finished before is on disk."""

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


def stop_on_signals(*, at_once: bool) -> None:
    """Let every signal of `STOP_SIGNALS` stop this process, also where no training loop listens; ignored signals stay ignored.

    Args:
      at_once: end the process in the handler, for the time of the first imports. Otherwise the handler raises `Stopped`, except while a
        module is imported and for a second signal: C extensions crash on an exception in their start, or swallow it, and a process
        that ends at once loses no more than one that is killed.
    """

    def handle(signal_number: int, frame: FrameType | None) -> None:
        global _received
        if at_once or _received is not None or _is_importing(frame):
            end_at_once(signal_number)
        _received = signal_number
        raise Stopped(signal_number)

    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)
    sys.unraisablehook = _end_where_nothing_can_raise


def _end_where_nothing_can_raise(unraisable: sys.UnraisableHookArgs) -> None:
    """End the process for a signal that arrived in a finaliser or a callback, where Python prints an exception and goes on."""
    if isinstance(unraisable.exc_value, Stopped):
        end_at_once(unraisable.exc_value.signal_number)
    sys.__unraisablehook__(unraisable)


def signal_of(error: BaseException) -> int | None:
    """Return the signal that ended a run with this error, or None; a library may have turned the exception of a signal into its own."""
    if isinstance(error, Preempted | Stopped):
        return error.signal_number
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else _received


def describe_stop(signal_number: int) -> str:
    """Return the sentence for a run that a signal stopped."""
    return f"stopped by {signal.Signals(signal_number).name}; the same command continues from what is saved"


def stopped(signal_number: int) -> int:
    """Print the sentence for a run that a signal stopped, and return the exit code."""
    print(describe_stop(signal_number), file=sys.stderr)
    return 128 + signal_number


def end_at_once(signal_number: int) -> None:
    """Print the sentence and end the process without any clean-up; its worker processes end with it."""
    with contextlib.suppress(Exception):  # a handler may have interrupted a write
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"{describe_stop(signal_number)}\n".encode())
    os._exit(128 + signal_number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False


@contextmanager
def listen() -> Iterator[StopRequest]:
    """Turn SIGTERM, SIGINT and SIGUSR1 into a stop request that the training loop checks between epochs.

    A second Ctrl-C interrupts at once. A signal that nothing has read at the end of the block is sent again, to the handler from before.
    """
    request = StopRequest()
    request.signal_number = _received  # not None where a library has swallowed the exception

    def handle(signal_number, _frame):
        if request and signal_number == signal.SIGINT:
            raise Stopped(signal_number)
        request.signal_number = signal_number

    try:
        previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    except ValueError:  # only the main thread may set signal handlers; a notebook server runs code in another one
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if request.signal_number is not None:
        signal.raise_signal(request.signal_number)
