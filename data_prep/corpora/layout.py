"""What all corpus readers share: the error for a corpus that is not there, and the walk over its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


class CorpusNotFound(ValueError):
    """The folder does not hold the corpus; the message says what was expected, what is there, and where to ask for it."""


def not_found(corpus: str, root: Path, *, layout: str, address: str, found: str | None = None) -> CorpusNotFound:
    """Make the error for a corpus that is not in a folder; `found` says what is there, where that is not the plain list of entries."""
    return CorpusNotFound(
        f"no {corpus} corpus in {root}\n"
        f"  expected: {layout}\n"
        f"  found:    {found or describe(root)}\n"
        f"  to mend:  ask its owner for it at {address}, unpack it, and pass the folder with --config.corpus.root=FOLDER"
    )


def describe(root: Path) -> str:
    """Say in one line what lies at a path."""
    if not root.exists():
        return "no such path"
    if not root.is_dir():
        return f"a file of {root.stat().st_size} bytes, not a folder"
    entries = sorted(root.iterdir())
    if not entries:
        return "an empty folder"
    return shorten([f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries], what="entries")


def shorten(names: Sequence[str], *, what: str, show: int = 6) -> str:
    """Count names and list the first few: '9 files: a.wav, b.wav, c.wav, ...'."""
    return f"{len(names)} {what}: {', '.join(names[:show])}{', ...' if len(names) > show else ''}"


def media_files(root: Path, suffixes: Iterable[str]) -> Iterator[Path]:
    """Yield the files below a folder that have one of the suffixes (lower case, any case on disk), in path order.

    Hidden files are passed over: macOS leaves a `._NAME` beside each NAME on foreign disks, and those hold no media.
    """
    suffixes = frozenset(suffixes)
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            yield path
