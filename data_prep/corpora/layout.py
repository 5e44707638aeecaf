"""Common to all corpus readers: the error for a corpus that is not found, and the walk over its files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path


class CorpusNotFound(ValueError):
    """The folder does not hold the corpus; the message has what was expected, what was found, and where to request it."""


def not_found(corpus: str, root: Path, *, layout: str, address: str, found: str | None = None) -> CorpusNotFound:
    """Return the error for a corpus that is not in a folder; `found` describes what is there, by default the list of entries."""
    return CorpusNotFound(
        f"no {corpus} corpus in {root}\n"
        f"  expected: {layout}\n"
        f"  found:    {found or describe(root)}\n"
        f"  to fix:   request it from its owner at {address}, unpack it, and pass the folder with --config.corpus.root=FOLDER"
    )


def describe(root: Path) -> str:
    """Return one line about what a path is."""
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

    Hidden files are ignored: macOS writes a `._NAME` without media beside each NAME on disks of other systems.
    """
    suffixes = frozenset(suffixes)
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            yield path


def recordings(
    root: Path, suffixes: Iterable[str], name_of: Callable[[Path], tuple[str, str] | None], *, pattern: str
) -> dict[str, dict[str, str]]:
    """Return the media of every clip, sorted by clip id; warn about second copies and about names that are not of the corpus.

    Args:
      root: folder of the corpus.
      suffixes: of its media files, lower case.
      name_of: from a media file's path below the root to (clip id, medium), or None where it is no recording of the corpus. A medium
        is the kind of a clip's file: "audio", "video", or a word of the corpus.
      pattern: form of the names of the corpus, for the warning.

    Returns:
      Clip id -> medium -> path below the root. Of several copies the least nested one, then the first by name.
    """
    root = Path(root)
    found: dict[str, dict[str, str]] = {}
    copies, unknown = [], []
    for path in sorted(media_files(root, suffixes), key=lambda path: (len(path.parts), path)):
        below = path.relative_to(root)
        name = name_of(below)
        if name is None:
            unknown.append(below.as_posix())
        elif name[1] in found.get(name[0], {}):
            copies.append(below.as_posix())
        else:
            found.setdefault(name[0], {})[name[1]] = below.as_posix()
    if copies:
        warnings.warn(f"{root}: ignored as second copies of files that are read: {shorten(copies, what='files')}", stacklevel=4)
    if unknown:
        listed = shorten(unknown, what="media files", show=20)
        warnings.warn(f"{root}: ignored, because their names are not {pattern}: {listed}", stacklevel=4)
    return dict(sorted(found.items()))
