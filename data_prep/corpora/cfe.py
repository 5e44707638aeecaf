"""CFE, compound facial expressions of emotion (CFEE): 230 subjects, a neutral face, six basic expressions and compounds of them.

A picture is named by category, subject and number. Only the seven basic categories are read.

Source: Du, Tao and Martinez 2014, "Compound facial expressions of emotion", PNAS 111(15).
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "https://cbcsl.ece.ohio-state.edu/compound.html"
LAYOUT = "CFEE_Database_230/01-04/Images1/02_339_3470.jpg and the like: category, subject, number, in folders of any depth"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("still",)
NUM_CLIPS = 1610  # 230 subjects, seven categories

# The order of the paper's table 1, with the neutral face before it. That the files' numbers follow it is our reading: the owner lists the
# categories in a spreadsheet of the distribution, which we have not seen.
EMOTIONS = {
    **{"01": "neutral", "02": "happy", "03": "sad", "04": "fearful"},
    **{"05": "angry", "06": "surprised", "07": "disgusted"},
}
_NAME = re.compile(r"(?P<category>\d\d)_(?P<subject>\d{3})_(?P<number>\d+)")

_log = logging.getLogger(__name__)


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to (the picture's name itself), or None."""
    match = _NAME.fullmatch(stem)
    return stem if match and match["category"] in EMOTIONS else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a picture of a basic category.

    Raises:
      CorpusNotFound: no picture of a basic category is there.
    """
    pictures = recordings(root, {".jpg", ".jpeg"}, _recording, pattern="CATEGORY_SUBJECT_NUMBER such as 02_339_3470")
    found = {name: media["picture"] for name, media in pictures.items() if clip_id(name)}
    if not found:
        there = f"{len(pictures)} pictures, all of compound categories" if pictures else None
        raise not_found("cfe", root, layout=LAYOUT, address=ADDRESS, found=there)
    if len(found) < len(pictures):
        _log.info("%s: %d pictures of compound categories are not read", root, len(pictures) - len(found))
    return tuple(Clip(name, "cfe", EMOTIONS[name[:2]], name[3:6], video=picture) for name, picture in found.items())


def _recording(path: Path) -> tuple[str, str] | None:
    return (path.stem, "picture") if _NAME.fullmatch(path.stem) else None
