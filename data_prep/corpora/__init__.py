"""Corpora: one module each, from the folder that an owner distributes to a tuple of clips.

A corpus module offers

    ADDRESS             where to request it from the owner
    LAYOUT              in one line, what is expected below the root
    OPTIONS             names of the fields of config.corpus that its `clips` takes
    LABEL_TARGETS       kinds of its labels: "acted", "crowd" (majority of raters), "found" (by the source)
    MODALITIES          media of its clips: "audio", "video" (moving pictures), "still"
    NUM_CLIPS           clips of a complete corpus by its owner, or None where the number is not known
    num_clips(...)      the same by the options of `clips`, beside NUM_CLIPS = None (may be absent)
    NUM_SPEAKERS        speakers of a complete corpus by its owner (may be absent: not known)
    num_speakers(...)   the same by the options of `clips`, in place of NUM_SPEAKERS (may be absent)
    clips(root, ...)    the clips; raises CorpusNotFound
    clip_id(stem)       the clip that a media name or a table row belongs to, or None
    named(path)         where media names tell speakers: the clip that one tells by itself, without the corpus, or None (may be absent)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from avemo_jax.clips import Clip, check_unique
from avemo_jax.text import nearest
from data_prep.corpora import (
    affectnet,
    cfe,
    ck48,
    ck_plus,
    crema_d,
    emodb,
    enterface,
    fer2013,
    folder,
    iemocap,
    jaffe,
    meld,
    msp_improv,
    raf_db,
    ravdess,
    rml,
    savee,
    synthetic,
    table_of_clips,
    tess,
)
from data_prep.corpora.joined import SEPARATOR, JoinedCorpus, own_options
from data_prep.corpora.layout import CorpusNotFound, near_misses
from data_prep.corpora.unfetched import check_fetched

__all__ = [
    "CORPORA",
    "CorpusNotFound",
    "JoinedCorpus",
    "corpus",
    "load_clips",
    "num_clips_of_owner",
    "num_speakers_of_owner",
    "own_options",
]

CORPORA: dict[str, ModuleType] = {
    "affectnet": affectnet,
    "cfe": cfe,
    "ck48": ck48,
    "ck_plus": ck_plus,
    "crema_d": crema_d,
    "emodb": emodb,
    "enterface": enterface,
    "fer2013": fer2013,
    "folder": folder,
    "iemocap": iemocap,
    "jaffe": jaffe,
    "meld": meld,
    "msp_improv": msp_improv,
    "raf_db": raf_db,
    "ravdess": ravdess,
    "rml": rml,
    "savee": savee,
    "synthetic": synthetic,
    "table_of_clips": table_of_clips,
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
    if isinstance(module, JoinedCorpus):
        clips = module.clips(str(root), **options)
        base = Path()  # its media are absolute
    else:
        base = Path(root)
        try:
            clips = module.clips(base, **options)
        except CorpusNotFound as error:
            if misses := list(near_misses(base, module.clip_id)):
                raise CorpusNotFound(f"{error}\n  nearly:   {'; '.join(misses)}") from error
            raise
    check_unique(clips)
    check_fetched(name, base, clips)
    return clips


def num_clips_of_owner(name: str, options: Mapping[str, Any]) -> int | None:
    """Return the number of clips that a complete corpus has with these options by its owner, or None where it is not known.

    Args:
      name: key of CORPORA, or several joined by "+".
      options: option -> value; those that the corpus does not have are ignored.
    """
    return _number_of_owner("num_clips", name, options)


def num_speakers_of_owner(name: str, options: Mapping[str, Any]) -> int | None:
    """Return the number of speakers that a complete corpus has with these options by its owner, or None where it is not known.

    Args: as `num_clips_of_owner`.
    """
    return _number_of_owner("num_speakers", name, options)


def _number_of_owner(function: str, name: str, options: Mapping[str, Any]) -> int | None:
    """Return what a function of the contract, or the constant of its name in capitals, says of a corpus; of joined ones the sum."""
    module = corpus(name)
    modules = module.modules.values() if isinstance(module, JoinedCorpus) else (module,)

    def count(one: ModuleType) -> int | None:
        if not hasattr(one, function):
            return getattr(one, function.upper(), None)
        return getattr(one, function)(**own_options(one, options))

    known = [number for one in modules if (number := count(one)) is not None]
    return sum(known) if len(known) == len(modules) else None
