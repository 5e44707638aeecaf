"""eNTERFACE'05: some forty subjects react to six stories with five sentences each, in English.

The folders have the labels, not the files' names: those of `subject 11` are all called s12_*, those of `subject 3` partly s_3_*,
one is called s16_su_3avi.avi. Some sources have no `subject 12`. `subject 6` was never cut into sentences: one recording an emotion, a
minute or more, with all five. Each emotion has sentences of its own, so that the words alone give it away.

Source: Martin et al. 2006, "The eNTERFACE'05 audio-visual emotion database", ICDE Workshops.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings, shorten

ADDRESS = "https://enterface.net/enterface05/emotion.html"
LAYOUT = "subject 1 to subject 44, each with anger, disgust, ..., surprise, each with sentence 1 to sentence 5, each with one .avi"
OPTIONS = ("unsegmented",)
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio", "video")
NUM_CLIPS = None  # 1287 sentences (three of subject 23 are missing), 1257 without subject 12

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
_FOLDERS = re.compile(
    rf"(?:^|/)subject[ _-]?(?P<subject>\d+)/(?P<emotion>{'|'.join(EMOTIONS)})(?:/sentence[ _-]?(?P<sentence>[1-5]))?$", re.IGNORECASE
)
_CLIP = re.compile(r"s_?(?P<subject>\d+)_(?P<emotion>an|di|fe|ha|sa|su)(?:_(?P<sentence>[1-5])(?:avi)?)?")


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to ("s_3_ha_5" -> "s3_ha_5"), or None; "s12_an_1" is subject 12's."""
    match = _CLIP.fullmatch(stem)
    return match and _name(match["subject"], match["emotion"], match["sentence"])


def clips(root: Path, *, unsegmented: bool = False) -> tuple[Clip, ...]:
    """Read the corpus: one clip a sentence, `sentence` its emotion and number, for each emotion has its own.

    Args:
      root: folder that holds the subjects' folders at any depth.
      unsegmented: whether the recordings of a whole emotion (subject 6) are clips too, without a sentence.

    Raises:
      CorpusNotFound: no film in such folders is there.
    """
    found = recordings(root, {".avi"}, _recording, pattern="subject N/EMOTION/sentence K/*.avi")
    whole = {name: media["film"] for name, media in found.items() if name.count("_") == 1}
    if whole and not unsegmented:
        found = {name: media for name, media in found.items() if name not in whole}
        what = "left out, for they hold all sentences of an emotion uncut (--config.corpus.unsegmented=True reads them)"
        warnings.warn(f"{root}: {what}: {shorten(list(whole.values()), what='recordings')}", stacklevel=2)
    if not found:
        raise not_found("enterface", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media["film"]) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    name = _of_folders(path) or clip_id(path.stem)
    return _clip(name, str(path)) if name else None


def _recording(path: Path) -> tuple[str, str] | None:
    name = _of_folders(path)
    return (name, "film") if name else None


def _of_folders(path: PurePath) -> str | None:
    match = _FOLDERS.search(path.parent.as_posix())
    return _name(match["subject"], match["emotion"], match["sentence"]) if match else None


def _name(subject: str, emotion: str, sentence: str | None) -> str:
    return "_".join([f"s{int(subject)}", emotion[:2].lower(), *([sentence] if sentence else [])])


def _clip(name: str, film: str) -> Clip:
    speaker, code, *sentence = name.split("_")
    emotion = next(word for word in EMOTIONS if word.startswith(code))
    text = f"{emotion}{sentence[0]}" if sentence else ""
    return Clip(name, "enterface", emotion, speaker, audio=film, video=film, sentence=text)
