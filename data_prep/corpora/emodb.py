"""EmoDB, the Berlin database: ten actors speak ten German sentences in seven emotions.

The letter of an emotion is that of its German word: W (Wut) anger, L (Langeweile) boredom, E (Ekel) disgust, A (Angst) fear, F (Freude)
happiness, T (Trauer) sadness, N neutral.

Source: Burkhardt et al. 2005, "A database of German emotional speech", Interspeech.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "http://emodb.bilderbar.info"
LAYOUT = "wav/03a01Fa.wav and the like: speaker, text, letter of the emotion, version"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio",)
NUM_CLIPS = 535
NUM_SPEAKERS = 10

EMOTIONS = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}
# Speaker -> gender and age in years.
SPEAKERS = {
    **{"03": ("male", "31"), "08": ("female", "34"), "09": ("female", "21"), "10": ("male", "32"), "11": ("male", "26")},
    **{"12": ("male", "30"), "13": ("female", "32"), "14": ("female", "35"), "15": ("male", "25"), "16": ("female", "31")},
}
_NAME = re.compile(rf"(?P<speaker>{'|'.join(SPEAKERS)})(?P<text>[ab]\d\d)(?P<emotion>[{''.join(EMOTIONS)}])(?P<version>[a-z])")


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to (the name itself), or None."""
    return stem if _NAME.fullmatch(stem) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a file, `sentence` the code of its text ("a01"), the speaker's age in years an attribute.

    Raises:
      CorpusNotFound: no file of the corpus is there.
    """
    found = recordings(root, {".wav"}, _recording, pattern="SPEAKER TEXT EMOTION VERSION such as 03a01Fa")
    if not found:
        raise not_found("emodb", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media["audio"]) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    name = clip_id(path.stem)
    return _clip(name, str(path)) if name else None


def _recording(path: Path) -> tuple[str, str] | None:
    name = clip_id(path.stem)
    return (name, "audio") if name else None


def _clip(name: str, audio: str) -> Clip:
    speaker, text, emotion, version = name[:2], name[2:5], name[5], name[6]
    gender, age = SPEAKERS[speaker]
    attributes = {"age": age, "version": version}
    return Clip(name, "emodb", EMOTIONS[emotion], speaker, audio=audio, gender=gender, sentence=text, attributes=attributes)
