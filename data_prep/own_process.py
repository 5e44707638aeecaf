"""One call in a process of its own: what needs other compiler flags than the rest of a run, or memory that is to be given back."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from data_prep.workers import end_with_parent

# Flags that training sets for itself and that slow a large convolution down.
_NOT_INHERITED = "XLA_FLAGS"


def run_in_own_process(function: Callable[[Mapping[str, Any]], None], config: Mapping[str, Any]) -> None:
    """Call `function(config)` in a new interpreter, wait for its end, and see that it ends when this process does.

    Args:
      function: importable by name.
      config: nested plain dicts.

    Raises:
      ValueError, OSError: what the function raised, by its message.
      RuntimeError: the process died.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, config, theirs), daemon=True)
    flags = os.environ.pop(_NOT_INHERITED, None)
    try:
        process.start()
    finally:
        if flags is not None:
            os.environ[_NOT_INHERITED] = flags
    theirs.close()
    try:
        kind, message = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process that runs {function.__name__} died with exit code {process.exitcode}; was memory short?") from None
    except BaseException:
        process.terminate()
        raise
    process.join()
    if kind != "done":
        raise {"ValueError": ValueError, "OSError": OSError}.get(kind, RuntimeError)(message)


def _call(function: Callable[[Mapping[str, Any]], None], config: Mapping[str, Any], channel: Any) -> None:
    import logging

    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("avemo_jax", "data_prep"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        function(config)
    except (ValueError, OSError) as error:
        channel.send(("OSError" if isinstance(error, OSError) else "ValueError", str(error)))
    else:
        channel.send(("done", ""))
