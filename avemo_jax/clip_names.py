"""Clips by the names that tables give them: ids, paths with either slash, names of media files, and unique ends of paths."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from avemo_jax.identity import media_suffix

# Names of columns of clips and of media files, the most likely first; compared by `plain_name`.
CLIP_COLUMNS = ("clip", "clip_id", "utterance", "utterance_id", "utt", "utt_id", "id", "key", "name", "sample")
FILE_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "audio", "wav", "video", "image", "media", "audio_path", "video_path"),
    *("audio_filepath", "audio_file", "wav_file", "wav_path", "video_file", "image_path", "media_file"),
)


def plain_name(column: str) -> str:
    """Return the name of a column in lower case without blanks, "-" and "_"."""
    return re.sub(r"[\s_-]", "", column).lower()


def find_clips(names: Sequence[str], known: Collection[str], clip_of: Callable[[str], str | None] = lambda stem: None) -> list[str | None]:
    """Return the clip of each name, None for names of no clip, or of several.

    Args:
      names: ids, or paths and names of media files.
      known: ids of the clips.
      clip_of: id of a media file's name without suffix, by the naming rules of the corpus; None for other names.
    """
    by_suffix = functools.cache(lambda: unique_suffixes(map(_without_suffix, names), known))

    def find(name: str) -> str | None:
        path = name.replace("\\", "/")
        stem = clip_of(Path(path).stem)
        for one in (name, path, str(Path(path).parent / Path(path).stem), clip_of(name), stem):
            if one in known:
                return one
        return by_suffix().get(_without_suffix(name))

    return [find(name) for name in names]


def _without_suffix(name: str) -> str:
    return name[: len(name) - len(media_suffix(name))]


def unique_suffixes(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return name -> the one of the known names that ends with it, or that it ends with, part by part ("a/b" of "root/a/b").

    Names for which none or several fit are left out.
    """
    by_tail: dict[str, set[str]] = {}
    for one in known:
        for tail in _tails(one):
            by_tail.setdefault(tail, set()).add(one)
    found = {}
    for name in names:
        tails = _tails(name)
        # A common end is not enough: "a/c1" and "b/c1" are two clips.
        whole = ({one for one in by_tail.get(tail, ()) if tail in (tails[0], _tails(one)[0])} for tail in tails)
        fitting = next(filter(None, whole), set())
        if len(fitting) == 1:
            (found[name],) = fitting
    return found


@functools.lru_cache(maxsize=1 << 16)
def _tails(name: str) -> tuple[str, ...]:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return tuple("/".join(parts[index:]) for index in range(len(parts)))
