"""Media of a corpus that are not what their names promise: pointers of Git LFS and git-annex, web pages."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from avemo_jax.clips import Clip
from avemo_jax.placeholders import placeholder
from avemo_jax.text import shorten_list
from data_prep.corpora.layout import CorpusNotFound, MediaNotFetched


def check_fetched(corpus: str, root: Path, clips: Sequence[Clip]) -> None:
    """Warn about media that were not fetched: one sentence a kind, with the remedy.

    Raises:
      CorpusNotFound: none of the media was.
    """
    media = media_names(clips)
    for what, names in names_by_problem(root, media, placeholder).items():
        text = f"{root}: {len(names):,} of {len(media):,} media files of {corpus} are each {what}: {shorten_list(names, 3)}"
        if len(names) == len(media):
            raise CorpusNotFound(text)
        warnings.warn(text, MediaNotFetched, stacklevel=3)


def media_names(clips: Sequence[Clip], media: Sequence[str] = ("audio", "video")) -> list[str]:
    """Return the media files of clips, each once, sorted; `media` are the fields of a clip that count."""
    return sorted({name for clip in clips for medium in media if (name := getattr(clip, medium)) is not None})


def names_by_problem(root: Path, names: Sequence[str], problem_of: Callable[[Path], str | None]) -> dict[str, list[str]]:
    """Return problem -> names of the files below the root that have it; `problem_of` returns None or "" for a file without one."""
    found: dict[str, list[str]] = {}
    for name in names:
        if problem := problem_of(root / name):
            found.setdefault(problem, []).append(name)
    return found
