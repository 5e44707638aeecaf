"""Corpora as trees of empty files: readers of layouts open nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from avemo_jax.clips import Clip


def touch(root: Path, *names: str) -> Path:
    """Make an empty file at each name below a folder; return the folder."""
    folders: set[Path] = set()
    for path in (root / name for name in names):
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        path.touch()
    return root


def by_id(clips: Iterable[Clip]) -> dict[str, Clip]:
    return {clip.clip_id: clip for clip in clips}
