"""Where the time of a run goes: the seconds of each of its phases, without those of the phases inside it.

    import          the interpreter, its libraries and this project's modules, up to the first work
    prepare         media decoded and made into views, or found prepared; the audit of shared media
    encode          frozen encoders over the views, in a process of their own
    plan            folds, trials, examples in memory, the leak audit before training
    search          adaptive search
    train <stage>   epochs; the selection part of an epoch is predicted inside the same compiled program, so it counts here
    compile         JAX traces, lowers and compiles a program, or reads it from the compilation cache
    save, restore   checkpoints are written, or read and verified
    wait            for other processes, or for batches of a streamed feed
    evaluate        test parts are predicted and audited
    baseline        the classical baseline is fitted

Phases are counted in the thread that has opened `counted`; other threads of a run work while that thread waits for them inside a phase.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

# Phases before the run directory is opened: another run that finds its sets prepared and its libraries in memory does not have them.
BEFORE_RUN = ("import", "prepare", "encode")
_COMPILING = "/jax/core/compile/"  # JAX's events of tracing, lowering and compiling
_OUTSIDE = "other"  # no phase is open

T = TypeVar("T")


class TimeSpent:
    """The seconds of phases, which may be nested.

    Args:
      clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since_s = clock()
        self._thread = threading.get_ident()
        self._inside: list[tuple[float, float]] = []  # start and seconds of the counted events that a later event may contain

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of a block, without those of phases inside it; in another thread nothing is counted."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._settle()
        self._open.append(name)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that have passed outside of all phases."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def add_event(self, name: str, seconds: float) -> None:
        """Count an event that ends now as a phase of its own; an event that contains earlier ones counts only what they leave."""
        if threading.get_ident() != self._thread or not self._open:
            return
        start_s = self._clock() - seconds
        contained_s = 0.0
        while self._inside and self._inside[-1][0] >= start_s:
            contained_s += self._inside.pop()[1]
        self._inside.append((start_s, seconds))
        self.add(name, seconds - contained_s)
        self.add(self._open[-1], contained_s - seconds)

    def take(self) -> dict[str, float]:
        """Return the seconds of each phase since the last call, open phases up to now included."""
        self._settle()
        taken = {name: max(0.0, seconds) for name, seconds in self._seconds.items() if name != _OUTSIDE}
        self._seconds.clear()
        return taken

    def _settle(self) -> None:
        """Count the time since the last change for the innermost open phase."""
        self._inside.clear()  # an event lies within one phase
        now_s = self._clock()
        self.add(self._open[-1] if self._open else _OUTSIDE, now_s - self._since_s)
        self._since_s = now_s


_active: TimeSpent | None = None


@contextmanager
def counted(*, import_s: float = 0.0) -> Iterator[TimeSpent]:
    """Count the phases of this block; inside another such block, that one goes on counting.

    Args:
      import_s: seconds that this process has been importing before.
    """
    global _active
    if _active is not None:
        yield _active
        return
    _active = TimeSpent()
    if import_s:
        _active.add("import", import_s)
    try:
        yield _active
    finally:
        _active = None


def current() -> TimeSpent:
    """Return what counts now, or a new one where nothing does."""
    return _active or TimeSpent()


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Count the seconds of a block where phases are counted."""
    if _active is None:
        yield
        return
    with _active.phase(name):
        yield


def waited_for(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and count the time until each is there as "wait"."""
    source = iter(items)
    while True:
        with phase("wait"):
            try:
                item = next(source)
            except StopIteration:
                return
        yield item


@functools.cache  # once a process
def count_compilations() -> None:
    """Count the time in which JAX traces, lowers and compiles as "compile", and not as the phase that it happens in."""
    import jax  # late: the machine is checked before anything imports JAX

    def listen(event: str, duration_secs: float, **_: object) -> None:
        if _active is not None and event.startswith(_COMPILING):
            _active.add_event("compile", duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)


def training_share(seconds: Mapping[str, float]) -> float | None:
    """Return the share of all seconds in which stages were trained, without compilation, checkpoints and waiting; None without seconds."""
    total = sum(seconds.values())
    return sum(value for name, value in seconds.items() if name.startswith("train ")) / total if total else None


def process_age_s() -> float:
    """Return how long this process has been running in s; 0 where the system does not say."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as stream:
            started_ticks = int(stream.read().rpartition(")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
