"""What the terminal shows: text in any encoding, and the control characters of other people's names as text."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
from collections.abc import Iterable

OWN_LOGGERS = ("avemo_jax", "data_prep")
_HANDLER = "avemo.spelled"
_SPELLED = {"±": "+/-", "…": "...", "→": "->", "κ": "kappa", "Δ": "delta", "×": "x", "–": "-", "—": "-"}  # noqa: RUF001
# C0 without tab and newline, DEL, C1, and the marks that turn the direction of writing.
_CONTROL: tuple[Iterable[int], ...] = (set(range(32)) - {9, 10}, range(127, 160), range(0x202A, 0x202F), range(0x2066, 0x206A))
_AS_TEXT = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for codes in _CONTROL for code in codes}


def as_plain(text: str) -> str:
    r"""Return the text with control characters as text, e.g. "\x1b" for the escape that begins a terminal's commands."""
    return text.translate(_AS_TEXT)


class PlainOutput(io.TextIOWrapper):
    """A text stream that writes `as_plain`."""

    def write(self, text: str) -> int:
        return super().write(as_plain(text))


class PlainFormatter(logging.Formatter):
    """A log formatter with messages `as_plain`."""

    def format(self, record: logging.LogRecord) -> str:
        return as_plain(super().format(record))


def set_up_output() -> None:
    """Let stdout and stderr accept every character in every encoding, and stdout show control characters as text.

    stderr carries the control characters of progress bars; log messages and errors are `as_plain` by themselves. A character that the
    encoding lacks is spelled ("+/-") or escaped. Streams that are no plain files, such as those of a notebook, stay as they are.
    """
    codecs.register_error(_HANDLER, _spell)
    if type(sys.stdout) is io.TextIOWrapper:
        encoding, line_buffering = sys.stdout.encoding, sys.stdout.line_buffering
        sys.stdout = PlainOutput(sys.stdout.detach(), encoding=encoding, errors=_HANDLER, line_buffering=line_buffering)
        sys.__stdout__ = sys.stdout  # type: ignore[misc]
    if type(sys.stderr) is io.TextIOWrapper:
        sys.stderr.reconfigure(errors=_HANDLER)


def set_up_logging(handler: logging.Handler, *, own_messages: bool) -> None:
    """Show log messages `as_plain`; `own_messages` shows those of this project where only warnings of libraries are shown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if own_messages:
        for name in OWN_LOGGERS:
            logging.getLogger(name).setLevel(logging.INFO)
    handler.setFormatter(PlainFormatter("%(message)s"))


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_SPELLED.get(one) or one.encode("ascii", "backslashreplace").decode() for one in characters), error.end
