"""TESS: two actresses say "Say the word ..." with 200 words in seven emotions.

The folders' spelling varies by source (`OAF_Fear`, `OAF_Pleasant_surprise`, one folder in another); the files' names have all labels. Read
as the owner distributes them: `OA_bite_neutral.wav`, two AIFF files that are named .wav, one file at 96 kHz among those at 24,414 Hz.

Source: Pichora-Fuller and Dupuis 2020, "Toronto emotional speech set (TESS)", Scholars Portal Dataverse, doi 10.5683/SP2/E8H2MF.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "https://doi.org/10.5683/SP2/E8H2MF"
LAYOUT = "OAF_angry/OAF_back_angry.wav and the like: SPEAKER_word_emotion.wav, in folders of any name and depth"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio",)
NUM_CLIPS = 2800
NUM_SPEAKERS = 2

AGES = {"OAF": "64", "YAF": "26"}
EMOTIONS = {word: word for word in ("angry", "disgust", "fear", "happy", "neutral", "sad")} | {"ps": "pleasant_surprise"}
_NAME = re.compile(rf"(?P<speaker>OAF?|YAF)_(?P<word>[a-z]+)_(?P<emotion>{'|'.join(EMOTIONS)})", re.IGNORECASE)


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to ("OA_bite_neutral" -> "OAF_bite_neutral"), or None."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    speaker = "YAF" if match["speaker"].upper() == "YAF" else "OAF"
    return f"{speaker}_{match['word'].lower()}_{match['emotion'].lower()}"


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a file, `sentence` the word, the speaker's age in years an attribute.

    Raises:
      CorpusNotFound: no file of the corpus is there.
    """
    found = recordings(root, {".wav", ".flac"}, _recording, pattern="SPEAKER_word_emotion")
    if not found:
        raise not_found("tess", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media["audio"]) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    name = clip_id(path.stem)
    return _clip(name, str(path)) if name else None


def _recording(path: Path) -> tuple[str, str] | None:
    name = clip_id(path.stem)
    return (name, "audio") if name else None


def _clip(name: str, audio: str) -> Clip:
    speaker, word, emotion = name.split("_")
    attributes = {"age": AGES[speaker]}
    return Clip(name, "tess", EMOTIONS[emotion], speaker, audio=audio, gender="female", sentence=word, attributes=attributes)
