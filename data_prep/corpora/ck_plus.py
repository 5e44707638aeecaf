"""CK+, the extended Cohn-Kanade database: 593 sequences of 123 subjects from the neutral face to the peak of an expression.

327 sequences have an emotion, in a file of its own that is named after the last frame, the peak. The others have none, and no file.

Source: Lucey et al. 2010, "The extended Cohn-Kanade dataset (CK+)", CVPR Workshops.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from avemo_jax.clips import RECORDING, Clip
from data_prep.corpora.layout import not_found, recordings, shorten
from data_prep.corpora.walk import walk

ADDRESS = "http://www.jeffcohn.net/Resources"
LAYOUT = "cohn-kanade-images/S005/001/S005_001_00000011.png and Emotion/S005/001/S005_001_00000011_emotion.txt"
OPTIONS = ("first_frames",)
LABEL_TARGETS = ("acted",)
MODALITIES = ("still",)
NUM_CLIPS = None  # see num_clips

EMOTIONS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")  # by number
NAME = re.compile(r"(?P<recording>(?P<subject>S\d{3})_\d{3})_(?P<frame>\d{8})")

_log = logging.getLogger(__name__)


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to (the frame's name itself), or None."""
    return stem if NAME.fullmatch(stem) else None


def clips(root: Path, *, first_frames: bool = False) -> tuple[Clip, ...]:
    """Read the corpus: one clip a labelled sequence, its peak frame.

    Args:
      root: folder that holds the pictures and the labels at any depth.
      first_frames: whether the first frame of each labelled sequence is a clip too, of a neutral face. Its owner says that sequences
        begin with one, and labels none.

    Returns:
      Clips sorted by id; the sequence that they were cut from is an attribute.

    Raises:
      CorpusNotFound: no picture, or no label file, is there.
    """
    frames: dict[str, dict[str, str]] = {}
    for name, media in recordings(root, {".png"}, _recording, pattern="S005_001_00000011").items():
        frames.setdefault(name[:8], {})[name] = media["picture"]
    labels = dict(_labels(Path(root)))
    if not frames or not labels:
        there = f"{len(frames)} sequences of pictures and {len(labels)} label files" if frames or labels else None
        raise not_found("ck_plus", root, layout=LAYOUT, address=ADDRESS, found=there)
    found, without_picture = [], []
    for peak, label in labels.items():
        sequence = frames.get(peak[:8], {})
        if peak not in sequence:
            without_picture.append(peak)
            continue
        found.append(_clip(peak, sequence[peak], label))
        if first_frames and (first := min(sequence)) != peak:
            found.append(_clip(first, sequence[first], EMOTIONS[0]))
    if without_picture:
        warnings.warn(f"{root}: no picture for {shorten(without_picture, what='labels')}", stacklevel=2)
    if unlabelled := frames.keys() - {peak[:8] for peak in labels}:
        _log.info("%s: %d of %d sequences have no label", root, len(unlabelled), len(frames))
    return tuple(sorted(found, key=lambda clip: clip.clip_id))


def num_clips(*, first_frames: bool = False) -> int:
    """Return the number of clips in the complete corpus."""
    return 2 * 327 if first_frames else 327


def _recording(path: Path) -> tuple[str, str] | None:
    return (path.stem, "picture") if NAME.fullmatch(path.stem) else None


def _labels(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each label file's peak frame and emotion; warn about those that do not read."""
    unreadable = []
    for path in (path for path in walk(root).files if path.name.endswith("_emotion.txt")):
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        number = int(float(text)) if re.fullmatch(r"[0-7](\.0+(e\+00)?)?", text) else None
        if number is None or not NAME.fullmatch(name := path.name.removesuffix("_emotion.txt")):
            unreadable.append(path.relative_to(root).as_posix())
        else:
            yield name, EMOTIONS[number]
    if unreadable:
        warnings.warn(f"{root}: ignored, because they hold no emotion from 0 to 7: {shorten(unreadable, what='label files')}", stacklevel=3)


def _clip(name: str, picture: str, label: str) -> Clip:
    return Clip(name, "ck_plus", label, name[:4], video=picture, attributes={RECORDING: name[:8]})
