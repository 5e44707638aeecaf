"""JAFFE: ten Japanese women pose six expressions and a neutral face, two to four takes of each; grey stills of 256 x 256.

Source: Lyons, Kamachi and Gyoba 1998, "The Japanese Female Facial Expression (JAFFE) dataset", Zenodo, doi 10.5281/zenodo.3451524.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "https://doi.org/10.5281/zenodo.3451524"
LAYOUT = "KA.AN1.39.tiff and the like: model, emotion with take, number, in folders of any depth"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("still",)
NUM_CLIPS = 213
NUM_SPEAKERS = 10

MODELS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
EMOTIONS = {
    **{"AN": "anger", "DI": "disgust", "FE": "fear", "HA": "happiness"},
    **{"NE": "neutral", "SA": "sadness", "SU": "surprise"},
}
_NAME = re.compile(rf"(?P<model>{'|'.join(MODELS)})\.(?P<emotion>{'|'.join(EMOTIONS)})(?P<take>\d)\.(?P<number>\d+)")


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to (the name itself), or None."""
    return stem if _NAME.fullmatch(stem) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a picture, named as it is: the number, and not the take, is what no two pictures share.

    Raises:
      CorpusNotFound: no picture of the corpus is there.
    """
    found = recordings(root, {".tiff", ".tif", ".png", ".jpg"}, _recording, pattern="MODEL.EMOTION TAKE.NUMBER such as KA.AN1.39")
    if not found:
        raise not_found("jaffe", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media["picture"]) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    name = clip_id(path.stem)
    return _clip(name, str(path)) if name else None


def _recording(path: Path) -> tuple[str, str] | None:
    name = clip_id(path.stem)
    return (name, "picture") if name else None


def _clip(name: str, picture: str) -> Clip:
    model, emotion, _ = name.split(".")
    return Clip(name, "jaffe", EMOTIONS[emotion[:2]], model, video=picture, gender="female", attributes={"take": emotion[2:]})
