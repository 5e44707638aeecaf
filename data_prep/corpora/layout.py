"""Common to all corpus readers: the error for a corpus that is not found, the recordings below its root, near misses."""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

from avemo_jax.identity import FILM_SUFFIXES, PICTURE_SUFFIXES, SOUND_SUFFIXES
from data_prep.corpora.walk import Tree, nesting, walk

Kind = Literal["sound", "film", "picture"]
SUFFIXES: dict[Kind, tuple[str, ...]] = {"sound": SOUND_SUFFIXES, "film": FILM_SUFFIXES, "picture": PICTURE_SUFFIXES}
_KINDS = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}
_PLURALS: dict[Kind, str] = {"sound": "sound", "film": "films", "picture": "pictures"}
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".gz")


class MediaFields(TypedDict):
    """The media of a clip, as `Clip` takes them."""

    audio: str | None
    video: str | None


class CorpusNotFound(ValueError):
    """The folder does not hold the corpus; the message has what was expected, what was found, and where to request it."""


class MediaNotFetched(UserWarning):
    """Media of a corpus are links without a target, pointers or web pages: the corpus was not fetched whole."""


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


def kind_of(path: Path) -> Kind | None:
    """Return what a media file holds by its suffix, in any case, or None where it is none that can be decoded."""
    return _KINDS.get(path.suffix.lower())


def recordings(
    root: Path, suffixes: Iterable[str], name_of: Callable[[Path], tuple[str, str] | None], *, pattern: str
) -> dict[str, dict[str, str]]:
    """Return the media of every clip, sorted by clip id; warn about second copies, about names that are not of the corpus, and about links
    without a target.

    Args:
      root: folder of the corpus; links in it are followed.
      suffixes: of the owner's media files, lower case. Media of the same kinds (sound, film, picture) with other suffixes are read as well,
        where the corpus was converted.
      name_of: from a media file's path below the root (in Unicode's composed form, whatever the disk has) to (clip id, medium), or None
        where it is no recording of the corpus. A medium is the kind of a clip's file: "audio", "video", or a word of the corpus.
      pattern: form of the names of the corpus, for the warning.

    Returns:
      Clip id -> medium -> path below the root. Of several copies one with the owner's suffix, then the least nested one, then the first by
      name.
    """
    root = Path(root)
    owners = frozenset(suffixes)
    kinds = {_KINDS[suffix] for suffix in owners}
    tree = walk(root)
    media = [path for path in tree.files if kind_of(path) in kinds]
    found: dict[str, dict[str, str]] = {}
    copies, unknown = [], []
    for path in sorted(media, key=lambda path: (path.suffix.lower() not in owners, *nesting(path))):
        below = path.relative_to(root)
        name = name_of(composed(below))
        if name is None:
            unknown.append(below.as_posix())
        elif name[1] in found.get(name[0], {}):
            copies.append(below.as_posix())
        else:
            found.setdefault(name[0], {})[name[1]] = below.as_posix()
    if copies:
        warnings.warn(f"{root}: ignored as second copies of files that are read: {shorten(copies, what='files')}", stacklevel=4)
    if unknown:
        listed = shorten(sorted(unknown), what="media files", show=20)
        warnings.warn(f"{root}: ignored, because their names are not {pattern}: {listed}", stacklevel=4)
    for text in _not_reached(root, tree):
        warnings.warn(f"{root}: {text}", MediaNotFetched, stacklevel=4)
    return dict(sorted(found.items()))


def media_fields(media: Mapping[str, str]) -> MediaFields:
    """Return `audio` and `video` of a clip from its files by kind: sound from a file of its own where there is one, else from the film."""
    return {"audio": media.get("sound") or media.get("film"), "video": media.get("film") or media.get("picture")}


def find_medium(owners: Path) -> Path | None:
    """Return the owner's file if it is there, else one of its name and kind with another suffix, or None."""
    kind = kind_of(owners)
    suffixes = (owners.suffix, *(SUFFIXES[kind] if kind else ()))
    return next((path for suffix in suffixes if (path := owners.with_suffix(suffix)).is_file()), None)


def composed(path: Path) -> Path:
    """Return a path in Unicode's composed form (NFC): macOS stores decomposed names, and the ids of a corpus are one on all systems."""
    return Path(unicodedata.normalize("NFC", str(path)))


def near_misses(root: Path, clip_id: Callable[[str], str | None]) -> Iterator[str]:
    """Yield sentences about files below a folder that are almost the corpus's, where no clip was found: names that fit with other endings,
    in other folders or in another case, archives that were not unpacked, links without a target.

    Args:
      root: the folder.
      clip_id: of the corpus: from the stem of a name to the clip, or None.
    """
    tree = walk(root)
    fits_all = clip_id("no name of a corpus") is not None  # of a person's own files
    fits: Counter[str] = Counter()
    other_case = 0
    for path in map(composed, tree.files):
        names = (path.name.partition(".")[0], path.stem) if path.suffix else (path.name,)
        if not fits_all and any(clip_id(name) is not None for name in names):
            fits[path.suffix.lower() or "no ending"] += 1
        elif not fits_all and kind_of(path) and (clip_id(path.stem.upper()) or clip_id(path.stem.lower())):
            other_case += 1
    for suffix, count in fits.most_common(3):
        kind = _KINDS.get(suffix)
        why = f"hold {_PLURALS[kind]}, and the names of the folders or the kind of medium differ" if kind else "cannot be decoded"
        yield f"{count:,} names fit, their ending {suffix}: such files {why}"
    if other_case:
        yield f"{other_case:,} names fit but for capital and small letters"
    if archives := [path.relative_to(root).as_posix() for path in tree.files if path.name.lower().endswith(_ARCHIVES)]:
        yield f"{shorten(archives, what='archives', show=3)}; unpack them"
    yield from _not_reached(root, tree)


def _not_reached(root: Path, tree: Tree) -> Iterator[str]:
    broken = [path.relative_to(root).as_posix() for path in tree.broken]
    if broken:
        yield (
            f"{shorten(broken, what='links lead nowhere')}; their disk is not mounted, or their content was never fetched "
            "(`git annex get`, `datalad get`)"
        )
    if tree.unreadable:
        yield f"{shorten([path.relative_to(root).as_posix() for path in tree.unreadable], what='folders may not be read')}; see `ls -l`"
