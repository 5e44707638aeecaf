"""Files that a person names: one file, a pattern such as 'clips/*.wav', a folder, or several separated by commas."""

from __future__ import annotations

import glob
import mimetypes
import os
import re
from collections.abc import Iterable
from pathlib import Path

from avemo_jax.identity import FILM_SUFFIXES, PICTURE_SUFFIXES, SOUND_SUFFIXES
from avemo_jax.text import nearest

# The standard library does not know all of them everywhere.
_MEDIA_ENDINGS = {*SOUND_SUFFIXES, *FILM_SUFFIXES, *PICTURE_SUFFIXES, ".mxf"}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least: C:/ is a drive


def find_inputs(texts: Iterable[str], *, keep_folders: bool = False) -> list[str]:
    """Return the files that these texts name, in their order, each once.

    A text is a file, whatever characters its name has; else a folder; else a pattern; else several of these separated by commas. "~" and
    variables are expanded.

    Args:
      keep_folders: return a folder itself, not the sound, film and picture files at any depth of it.

    Raises:
      ValueError: an address; the message says to download it first.
      FileNotFoundError: there is no such file, or a folder or pattern without any; the message names the nearest name beside it.
    """
    return list(dict.fromkeys(path for text in texts for path in _named(text, keep_folders)))


def is_media(path: Path) -> bool:
    """Return whether a file's ending is that of sound, a film or a picture."""
    kind = mimetypes.guess_type(path.name)[0] or ""
    return path.suffix.lower() in _MEDIA_ENDINGS or kind.startswith(("audio/", "video/", "image/"))


def _named(text: str, keep_folders: bool) -> list[str]:
    if Path(text).is_file():
        return [text]
    if _ADDRESS.match(text):
        raise ValueError(f"--input={text} is an address on a network, and only files are read; download it and name the file")
    expanded = os.path.expanduser(os.path.expandvars(text))
    path = Path(expanded)
    if path.is_dir() and not keep_folders:
        found = sorted(one for one in path.rglob("*") if one.is_file() and is_media(one))
        if not found:
            raise FileNotFoundError(f"--input={text} is a folder without sound, film or picture files")
        return [str(one) for one in found]
    if path.exists():
        return [expanded]
    is_pattern = glob.has_magic(expanded)
    if is_pattern and (matches := sorted(one for one in glob.glob(expanded, recursive=True) if Path(one).is_file())):
        return matches
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > 1:
        return [file for part in parts for file in _named(part, keep_folders)]
    if is_pattern:
        raise FileNotFoundError(f"--input={text}: no file fits this pattern")
    beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    raise FileNotFoundError(f"--input={text}: there is no such file{nearest(path.name, beside)}")
