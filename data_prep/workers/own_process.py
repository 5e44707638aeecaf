"""One call in a process of its own: what needs other compiler flags than the rest of a run, or memory that is to be given back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

from data_prep.workers.pool import end_with_parent

# Not inherited: what training sets for itself slows a large convolution down.
_FLAGS = "XLA_FLAGS"
_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError, "RuntimeError": RuntimeError}


class _InTheProcess(Exception):
    """Cause of what `run_in_own_process` raises: where the function raised it."""


def run_in_own_process(function: Callable[[Any], None], argument: Any, *, compiler_flags: str = "") -> None:
    """Call `function(argument)` in a new interpreter and wait for its end; it ends when this process does.

    Args:
      function: importable by name.
      argument: that can be pickled.
      compiler_flags: XLA_FLAGS of the new interpreter, in place of those of this one.

    Raises:
      ValueError, OSError, RuntimeError: what the function raised, by its message.
      RuntimeError: it raised anything else, with the traceback; or the process died.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, argument, theirs), daemon=True)
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
        raise RuntimeError(f"the process that runs {function.__name__} died with exit code {process.exitcode}; was memory short?") from None
    except BaseException:
        process.terminate()
        process.join()
        raise
    process.join()
    if kind in _KINDS:
        raise _KINDS[kind](message) from _InTheProcess(where)
    if kind != "done":
        raise RuntimeError(f"the process that runs {function.__name__} failed:\n{where}")


def _call(function: Callable[[Any], None], argument: Any, channel: Any) -> None:
    import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("avemo_jax", "data_prep"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("data_prep.sets.prepare").setLevel(logging.WARNING)  # which views are there has been said by the parent
    try:
        function(argument)
    except Exception as error:
        kind = next((name for name, one in _KINDS.items() if isinstance(error, one)), type(error).__name__)
        channel.send((kind, str(error), traceback.format_exc()))
    else:
        channel.send(("done", "", ""))
