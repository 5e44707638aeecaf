"""Corpora: one module each, from the folder that an owner distributes to a tuple of clips.

A corpus module offers

    ADDRESS             where to request it from the owner
    LAYOUT              in one line, what is expected below the root
    OPTIONS             names of the fields of config.corpus that its `clips` takes
    LABEL_TARGETS       kinds of its labels: "acted", "crowd" (majority of raters), "found" (by the source)
    MODALITIES          media of its clips: "audio", "video" (moving pictures), "still"
    NUM_CLIPS           clips of a complete corpus by its owner, or None where the number is not known
    clips(root, ...)    the clips; raises CorpusNotFound
    clip_id(stem)       the clip that a media name or a table row belongs to, or None
    named(path)         where media names tell speakers: the clip that one tells by itself, without the corpus, or None (may be absent)
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from avemo_jax.clips import Clip, check_unique
from avemo_jax.text import nearest
from data_prep.corpora import (
    cfe,
    ck48,
    ck_plus,
    crema_d,
    emodb,
    enterface,
    fer2013,
    iemocap,
    jaffe,
    ravdess,
    rml,
    savee,
    synthetic,
    tess,
)
from data_prep.corpora.joined import SEPARATOR, JoinedCorpus
from data_prep.corpora.layout import CorpusNotFound

__all__ = ["CORPORA", "CorpusNotFound", "JoinedCorpus", "corpus", "load_clips"]

CORPORA: dict[str, ModuleType] = {
    "cfe": cfe,
    "ck48": ck48,
    "ck_plus": ck_plus,
    "crema_d": crema_d,
    "emodb": emodb,
    "enterface": enterface,
    "fer2013": fer2013,
    "iemocap": iemocap,
    "jaffe": jaffe,
    "ravdess": ravdess,
    "rml": rml,
    "savee": savee,
    "synthetic": synthetic,
    "tess": tess,
}


def corpus(name: str) -> ModuleType | JoinedCorpus:
    """Return the module of a corpus, or of "NAME+NAME" the corpora joined into one.

    Raises:
      ValueError: an unknown name, with the known ones; or corpora that cannot be joined.
    """
    names = name.split(SEPARATOR)
    for one in names:
        if one not in CORPORA:
            raise ValueError(
                f"unknown corpus {one!r}{nearest(one, CORPORA)}; known: {', '.join(sorted(CORPORA))} (--config.corpus.name=, or several of "
                f"them joined by {SEPARATOR})"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"corpus {name!r} names one twice; name each once (--config.corpus.name=)")
    return JoinedCorpus({one: CORPORA[one] for one in names}) if len(names) > 1 else CORPORA[name]


def load_clips(name: str, root: Path | str, **options: Any) -> tuple[Clip, ...]:
    """Read the clips of a corpus, sorted by id.

    Args:
      name: key of CORPORA, or several joined by "+".
      root: folder of the corpus as its owner distributes it; paths in the clips are relative to it. Of joined corpora
        "NAME=FOLDER,NAME=FOLDER", and the paths are absolute.
      **options: those of the corpus (its OPTIONS); options of other corpora are an error.

    Raises:
      ValueError: unknown corpus, unknown option, or an unknown value of an option.
      CorpusNotFound: the folder does not hold the corpus.
    """
    module = corpus(name)
    if unknown := sorted(set(options) - set(module.OPTIONS)):
        raise ValueError(f"corpus {name} has no option {', '.join(unknown)}; it has: {', '.join(module.OPTIONS) or 'none'}")
    clips = module.clips(str(root), **options) if isinstance(module, JoinedCorpus) else module.clips(Path(root), **options)
    check_unique(clips)
    return clips
