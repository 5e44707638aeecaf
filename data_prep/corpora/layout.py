"""What all corpus readers share: the error for a corpus that is not there, and the walk over its files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def recordings(
    root: Path, suffixes: Iterable[str], name_of: Callable[[Path], tuple[str, str] | None], *, pattern: str
) -> dict[str, dict[str, str]]:
    """Find the media of every clip, warning about second copies and about names that are none of the corpus; sorted by clip id.

    Args:
      root: folder of the corpus.
      suffixes: of its media files, lower case.
      name_of: from a media file's path below the root to (clip id, medium), or None where it is no recording of the corpus. A medium
        is what the corpus keeps one file of a clip in: "audio", "video", or a word of its own.
      pattern: what the corpus' names look like, for the warning.

    Returns:
      Clip id -> medium -> path below the root. Of several copies the least nested one, then the first by name.
    """
    root = Path(root)
    found: dict[str, dict[str, str]] = {}
    copies, strangers = [], []
    for path in sorted(media_files(root, suffixes), key=lambda path: (len(path.parts), path)):
        below = path.relative_to(root)
        name = name_of(below)
        if name is None:
            strangers.append(below.as_posix())
        elif name[1] in found.get(name[0], {}):
            copies.append(below.as_posix())
        else:
            found.setdefault(name[0], {})[name[1]] = below.as_posix()
    if copies:
        warnings.warn(f"{root}: left aside as second copies of files read elsewhere: {shorten(copies, what='files')}", stacklevel=4)
    if strangers:
        listed = shorten(strangers, what="media files", show=20)
        warnings.warn(f"{root}: left out, for their names are not {pattern}: {listed}", stacklevel=4)
    return dict(sorted(found.items()))
