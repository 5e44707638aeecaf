"""What lies in a folder."""

from __future__ import annotations

from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    """Return name -> content of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
