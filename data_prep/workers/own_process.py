"""Call a function in a separate process: with other compiler flags than the rest of a run, or to free its memory afterwards."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

from data_prep.workers.pool import end_with_parent

# Not inherited: the flags of training slow large convolutions down.
_FLAGS = "XLA_FLAGS"
_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError, "RuntimeError": RuntimeError}


class _InTheProcess(Exception):
    """Cause of the exceptions of `run_in_own_process`: the traceback in the other process."""


def run_in_own_process(function: Callable[..., None], *args: Any, compiler_flags: str = "") -> None:
    """Call `function(*args)` in a new interpreter and wait for its end; it ends with this process too.

    Args:
      function: importable by name.
      *args: picklable.
      compiler_flags: XLA_FLAGS of the new interpreter, in place of those of this one.

    Raises:
      ValueError, OSError, RuntimeError: as the function raised it, with its message.
      RuntimeError: the function raised another exception, with the traceback; or the process died.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, args, theirs), daemon=True)
    flags = os.environ.pop(_FLAGS, None)
    if compiler_flags:
        os.environ[_FLAGS] = compiler_flags
    try:
        process.start()
    finally:
        os.environ.pop(_FLAGS, None)
        if flags is not None:
            os.environ[_FLAGS] = flags
    theirs.close()
    try:
        kind, message, where = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f"the process that runs {function.__name__} died with exit code {process.exitcode}; it may have run out of memory"
        ) from None
    except BaseException:
        process.terminate()
        process.join()
        raise
    process.join()
    if kind in _KINDS:
        raise _KINDS[kind](message) from _InTheProcess(where)
    if kind != "done":
        raise RuntimeError(f"the process that runs {function.__name__} failed:\n{where}")


def _call(function: Callable[..., None], args: tuple[Any, ...], channel: Any) -> None:
    import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("avemo_jax", "data_prep"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("data_prep.sets.prepare").setLevel(logging.WARNING)  # the parent has logged the views that exist
    try:
        function(*args)
    except Exception as error:
        kind = next((name for name, one in _KINDS.items() if isinstance(error, one)), type(error).__name__)
        channel.send((kind, str(error), traceback.format_exc()))
    else:
        channel.send(("done", "", ""))
