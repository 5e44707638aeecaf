"""Speakers and sentences that the media names of a list tell, where they are those of corpora that we know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from avemo_jax.clips import Clip
from avemo_jax.identity import media_suffix
from data_prep.corpora import CORPORA

# Of a list's names so many must be a corpus's, and of several corpora each must have so many: a few names that only look like one's say
# nothing.
MOST_NAMES = 0.9
SOME_NAMES = 0.05


def read_known_names(names: Iterable[str]) -> dict[str, Clip]:
    r"""Return what the names of a list tell by the naming rules of the corpora.

    Args:
      names: of clips or their files, with / or \ between folders, with a suffix or without.

    Returns:
      Name -> its clip (corpus, speaker, sentence, session; a label where the name tells it); empty where fewer than 90 % of the names
      follow the rules of one corpus, or of a few of which each has 5 % or more.
    """
    paths = {name: _path(name) for name in names}
    found: dict[str, dict[str, Clip]] = {}
    for corpus, module in CORPORA.items():
        if read := getattr(module, "named", None):
            found[corpus] = {name: clip for name, path in paths.items() if (clip := read(path)) is not None}
    known: dict[str, Clip] = {}
    for clips in sorted(found.values(), key=len, reverse=True):  # equally many: in the order of CORPORA
        new = {name: clip for name, clip in clips.items() if name not in known}
        if len(new) >= SOME_NAMES * len(paths):
            known |= new
    return known if len(known) >= MOST_NAMES * len(paths) else {}


def _path(name: str) -> PurePosixPath:
    """The path of a name, with a suffix in any case: a name without one may have dots of its own (JAFFE's KA.AN1.39)."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path if media_suffix(path.name) else path.with_name(f"{path.name}.wav") if path.name else path
