"""Corpora: one module each, from the folder that an owner distributes to a tuple of clips.

A corpus module offers

    ADDRESS             where to ask the owner for it
    LAYOUT              in one line, what is expected below the root
    OPTIONS             names of the fields of config.corpus that its `clips` takes
    MODALITIES          what its clips have: "audio", "video" (moving pictures), "still"
    NUM_CLIPS           clips of a complete corpus as its owner counts them, or None where that is left open
    clips(root, ...)    the clips; raises CorpusNotFound
    clip_id(stem)       the clip that a media name or a table row belongs to, or None
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from avemo_jax.clips import Clip, check_unique
from data_prep.corpora import iemocap, ravdess, synthetic, tess
from data_prep.corpora.layout import CorpusNotFound

__all__ = ["CORPORA", "CorpusNotFound", "corpus", "load_clips"]

CORPORA: dict[str, ModuleType] = {"iemocap": iemocap, "ravdess": ravdess, "synthetic": synthetic, "tess": tess}


def corpus(name: str) -> ModuleType:
    """Return the module of a corpus.

    Raises:
      ValueError: there is none of that name, with those there are.
    """
    if name not in CORPORA:
        raise ValueError(f"unknown corpus {name!r}; known: {', '.join(sorted(CORPORA))} (--config.corpus.name=)")
    return CORPORA[name]


def load_clips(name: str, root: Path, **options: Any) -> tuple[Clip, ...]:
    """Read the clips of a corpus, sorted by id.

    Args:
      name: key of CORPORA.
      root: folder of the corpus as its owner distributes it; paths in the clips are relative to it.
      **options: those of the corpus (its OPTIONS); options of other corpora are an error.

    Raises:
      ValueError: unknown corpus, unknown option, or an option's value the corpus does not know.
      CorpusNotFound: the folder does not hold the corpus.
    """
    module = corpus(name)
    if unknown := sorted(set(options) - set(module.OPTIONS)):
        raise ValueError(f"corpus {name} has no option {', '.join(unknown)}; it has: {', '.join(module.OPTIONS) or 'none'}")
    clips = module.clips(Path(root), **options)
    check_unique(clips)
    return clips
