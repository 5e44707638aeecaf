"""CK+48: the last three frames of each labelled CK+ sequence, faces cut out and reduced to 48 x 48, in one folder an emotion.

No copy of the owner's; it goes from hand to hand. The three frames of a sequence are all but equal, so a split that draws pictures one by
one has most of its test part in the training part.

Source: Lucey et al. 2010, "The extended Cohn-Kanade dataset (CK+)", CVPR Workshops; who cut it is not known.
"""

from __future__ import annotations

from pathlib import Path

from avemo_jax.clips import RECORDING, Clip
from data_prep.corpora.ck_plus import EMOTIONS, NAME
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "http://www.jeffcohn.net/Resources (CK+; the 48 x 48 copy is on Kaggle as CK+48)"
LAYOUT = "CK+48/anger/S010_004_00000017.png and the like, one folder an emotion"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("still",)
NUM_CLIPS = 981


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to (the frame's name itself), or None."""
    return stem if NAME.fullmatch(stem) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a picture; the sequence that it was cut from is an attribute.

    Raises:
      CorpusNotFound: no picture of the corpus is there.
    """
    found = recordings(root, {".png"}, _recording, pattern="EMOTION/S010_004_00000017.png")
    if not found:
        raise not_found("ck48", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media["picture"]) for name, media in found.items())


def _recording(path: Path) -> tuple[str, str] | None:
    return (path.stem, "picture") if NAME.fullmatch(path.stem) and path.parent.name.lower() in EMOTIONS else None


def _clip(name: str, picture: str) -> Clip:
    label = Path(picture).parent.name.lower()
    return Clip(name, "ck48", label, name[:4], video=picture, attributes={RECORDING: name[:8]})
