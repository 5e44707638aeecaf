"""Call a function in a separate process: with other compiler flags than the rest of a run, or to free its memory afterwards."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

from avemo_jax.failures import Unexpected
from data_prep.workers.pool import InTheWorker, WorkerError, end_with_parent, signals_blocked

# Not inherited: the flags of training slow large convolutions down.
_FLAGS = "XLA_FLAGS"
_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError, "RuntimeError": RuntimeError}


def run_in_own_process(function: Callable[..., None], *args: Any, compiler_flags: str = "") -> None:
    """Call `function(*args)` in a new interpreter and wait for its end; it ends with this process too.

    Args:
      function: importable by name.
      *args: picklable.
      compiler_flags: XLA_FLAGS of the new interpreter, in place of those of this one.

    Raises:
      ValueError, OSError, RuntimeError: as the function raised it, with its message.
      WorkerError: the function raised another exception.
      RuntimeError: the process died.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, args, theirs), daemon=True)
    flags = os.environ.pop(_FLAGS, None)
    if compiler_flags:
        os.environ[_FLAGS] = compiler_flags
    try:
        with signals_blocked():
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
        raise _KINDS[kind](message) from InTheWorker(where)
    if kind != "done":
        raise WorkerError(f"{function.__name__}: {kind}: {message}") from InTheWorker(where)


def _call(function: Callable[..., None], args: tuple[Any, ...], channel: Any) -> None:
    import logging

    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("avemo_jax", "data_prep"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("data_prep.sets.prepare").setLevel(logging.WARNING)  # the parent has logged the views that exist
    try:
        function(*args)
    except Exception as error:
        known = () if isinstance(error, Unexpected) else _KINDS.items()
        kind = next((name for name, one in known if isinstance(error, one)), type(error).__name__)
        channel.send((kind, str(error), traceback.format_exc()))
    else:
        channel.send(("done", "", ""))
