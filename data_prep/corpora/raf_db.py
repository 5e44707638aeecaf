"""RAF-DB: 15,339 pictures of faces found on the web, with the basic emotion that most of some forty raters saw.

The owner's list is called `list_patition_label.txt`; the compound emotions beside it (`compound/`) are another corpus with the same names
of pictures. Copies have `DATASET/train/1/train_00001_aligned.jpg`, the folder the number of the emotion. The people are unknown.

Source: Li, Deng and Du 2017, "Reliable crowdsourcing and deep locality-preserving learning for expression recognition in the wild", CVPR.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings, shorten
from data_prep.corpora.walk import walk

ADDRESS = "http://www.whdeld.cn/raf/model1.html (RAF-DB, for academic use)"
LAYOUT = "basic/EmoLabel/list_patition_label.txt and basic/Image/aligned/train_00001_aligned.jpg (or original/train_00001.jpg)"
OPTIONS = ()
LABEL_TARGETS = ("crowd",)
MODALITIES = ("still",)
NUM_CLIPS = 15339  # 12,271 to train, 3,068 to test

EMOTIONS = dict(zip("1234567", ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), strict=True))
LISTS = ("list_patition_label.txt", "list_partition_label.txt")
_NAME = re.compile(r"((?P<part>train|test)_\d+)(?P<aligned>_aligned)?")
_LINE = re.compile(r"((?:train|test)_\d+)(?:_aligned)?\.\w+\s+([1-7])\s*")


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to ("train_00001_aligned" -> "train_00001"), or None."""
    match = _NAME.fullmatch(stem)
    return match[1] if match else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a picture, the aligned face where there is one; the part is the attribute `split`.

    Raises:
      CorpusNotFound: no picture with a label is there.
    """
    pictures = recordings(root, {".jpg"}, _recording, pattern="train_00001 or train_00001_aligned, outside of compound/")
    labels = dict(_labels(root))
    found, unlabelled = [], []
    for name, media in pictures.items():
        picture = media.get("aligned") or media["original"]
        number = labels.get(name) or Path(picture).parent.name
        if number in EMOTIONS:
            attributes = {"split": name.partition("_")[0], "picture": name}
            found.append(Clip(name, "raf_db", EMOTIONS[number], "", video=picture, attributes=attributes))
        else:
            unlabelled.append(name)
    if not found:
        there = f"{len(pictures)} pictures and {len(labels)} labels" if pictures or labels else None
        raise not_found("raf_db", root, layout=LAYOUT, address=ADDRESS, found=there)
    if unlabelled:
        warnings.warn(f"{root}: ignored, because no list labels them: {shorten(unlabelled, what='pictures')}", stacklevel=2)
    return tuple(found)


def _recording(path: Path) -> tuple[str, str] | None:
    """The picture and whether it is aligned; None of compound emotions."""
    match = _NAME.fullmatch(path.stem)
    if match is None or _is_compound(path):
        return None
    return match[1], "aligned" if match["aligned"] else "original"


def _is_compound(path: Path) -> bool:
    return any("compound" in folder.lower() for folder in path.parts[:-1])


def _labels(root: Path) -> list[tuple[str, str]]:
    lists = [path for path in walk(root).files if path.name in LISTS and not _is_compound(path.relative_to(root))]
    lines = [line for path in lists for line in path.read_text(encoding="utf-8").splitlines()]
    return [(match[1], match[2]) for line in lines if (match := _LINE.fullmatch(line))]
