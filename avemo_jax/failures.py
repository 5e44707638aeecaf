"""Errors that end a mode, as sentences: what was found and what to do, without a traceback; the only place that decides how."""

from __future__ import annotations

import binascii
import csv
import datetime
import json
import platform
import sys
import tempfile
import traceback
import zipfile
import zlib
from pathlib import Path

from avemo_jax.redaction import redacted
from avemo_jax.terminal import as_plain

_ROOT = Path(__file__).resolve().parents[1]
_OWN_FOLDERS = tuple(str(_ROOT / name) for name in ("avemo_jax", "data_prep", "configs", "run.py"))
# Raised by readers that know the content of a file and not its name.
_OF_A_FILE = (csv.Error, zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, json.JSONDecodeError, binascii.Error)


class Unexpected(RuntimeError):
    """A part of the program failed as it never should: shown as a bug."""


def describe_failure(error: BaseException, log_folder: Path | None = None) -> str:
    """Return the sentences for an error that ends a mode; the traceback of an unexpected one is written to a log first.

    Expected are errors of files and of memory, missing packages, and the ValueError, OSError and RuntimeError that this program raises
    about its input. Anything else is a bug.

    Args:
      log_folder: folder of the log; None, or a folder that is not there or cannot be written: the temporary folder.
    """
    about = redacted(as_plain(str(error)))
    hint = "(--verbosity=1 shows the traceback)"
    if isinstance(error, ModuleNotFoundError) and not _is_own(error.name or ""):
        return f"error: the package {error.name} is missing; `python -m data_prep.doctor` lists what to install\n{hint}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in about:
        fix = "set a smaller --config.train.batch_size, or --config.devices.memory_gib so that fewer trials are trained together"
        return f"error: not enough memory{f': {about}' if about else ''}; {fix}\n{hint}"
    if isinstance(error, _OF_A_FILE):
        path = _file_of(error)
        if path is None:
            hint = f"The traceback, which shows the file, is in {as_plain(str(_write_log(error, log_folder)))}"
        named = "" if path is None or str(path) in str(error) else f"{path}: "
        return f"error: {redacted(as_plain(named))}{_kind(error)}{about}\n{hint}"
    if isinstance(error, KeyError) and (read := _file_of(error, depth=1)):
        return f"error: {as_plain(str(read))}: expected {about} in it; another program or version may have written the file\n{hint}"
    is_said_here = _is_raised_here(error) and isinstance(error, ValueError | RuntimeError) and not isinstance(error, Unexpected)
    if isinstance(error, OSError) or is_said_here:
        return f"error: {about}\n{hint}"
    log = _write_log(error, log_folder)
    return (
        f"error: this is a bug of the program, or of a library that it uses: {type(error).__name__}: {about}\n"
        f"The traceback is in {as_plain(str(log))}; please report the bug with that file."
    )


def _is_own(module: str) -> bool:
    return module.split(".")[0] in ("avemo_jax", "data_prep", "configs")


def _is_raised_here(error: BaseException) -> bool:
    """Return whether this program raised the error, not a library below it."""
    frames = traceback.extract_tb(error.__traceback__)
    return _is_own(type(error).__module__) or not frames or frames[-1].filename.startswith(_OWN_FOLDERS)


def _kind(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "expected JSON, found something else or an incomplete file: "
    if isinstance(error, UnicodeError):
        return "expected text in UTF-8: "
    return "the file is damaged or of another kind: " if not isinstance(error, csv.Error) else "expected CSV: "


def _file_of(error: BaseException, depth: int = 5) -> Path | None:
    """Return the file that was read: a path among the variables of the innermost `depth` functions of the traceback, or None."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames[-depth:]):
        for value in reversed(frame.f_locals.values()):
            if isinstance(value, Path) and value.is_file():
                return value
    return None


def _write_log(error: BaseException, folder: Path | None) -> Path:
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    text = "\n".join(
        [
            f"{now}, Python {platform.python_version()}, {platform.platform()}",
            redacted(" ".join(sys.argv)),
            redacted("".join(traceback.format_exception(error))),
        ]
    )
    try:
        if folder is not None and folder.is_dir():
            path = folder / "error.log"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return path
    except OSError:
        pass  # a full disk or a read-only folder may be what the error is about
    with tempfile.NamedTemporaryFile(
        "w", prefix="avemo-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as stream:
        stream.write(text)
    return Path(stream.name)
