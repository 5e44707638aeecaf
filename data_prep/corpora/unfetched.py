"""Media of a corpus that are not what their names promise: pointers of Git LFS and git-annex, web pages."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
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
    media = sorted({name for clip in clips for name in (clip.audio, clip.video) if name is not None})
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in media:
        if what := placeholder(root / name):
            kinds[what].append(name)
    for what, names in kinds.items():
        text = f"{root}: {len(names):,} of {len(media):,} media files of {corpus} are each {what}: {shorten_list(names, 3)}"
        if len(names) == len(media):
            raise CorpusNotFound(text)
        warnings.warn(text, MediaNotFetched, stacklevel=3)
