"""SAVEE: four men read TIMIT sentences in six emotions (15 sentences of each) and neutrally (30).

The letters of the emotion stand before the sentence's number, and those of sadness and surprise begin with the same letter: a d f h n sa
su. Flat copies have the speaker before them: `DC_a01.wav`.

Source: Haq and Jackson 2010, "Multimodal emotion recognition", in Machine Audition; http://kahlan.eps.surrey.ac.uk/savee.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import kind_of, media_fields, not_found, recordings

ADDRESS = "http://kahlan.eps.surrey.ac.uk/savee"
LAYOUT = "AudioData/DC/a01.wav and AudioVisualClip/DC/a01.avi, one or both; or flat, DC_a01.wav; speakers DC JE JK KL"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio", "video")
NUM_CLIPS = 480
NUM_SPEAKERS = 4

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {"sa": "sadness", "su": "surprise", "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral"}
_NAME = re.compile(rf"(?:(?P<speaker>{'|'.join(SPEAKERS)})_)?(?P<emotion>{'|'.join(EMOTIONS)})(?P<number>\d\d)", re.IGNORECASE)


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to ("DC_sa01"), or None: "sa01" alone may be any speaker's."""
    match = _NAME.fullmatch(stem)
    return f"{match['speaker'].upper()}_{match['emotion'].lower()}{match['number']}" if match and match["speaker"] else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a reading, its sound from the wav file where there is one, else from the film.

    `sentence` is the emotion's letters with the number ("sa01"): what the four speakers read under one name is one sentence. Three
    sentences are common to all emotions and those peculiar to one are read neutrally too; the names do not distinguish them.

    Raises:
      CorpusNotFound: no file of the corpus is there.
    """
    found = recordings(root, {".wav", ".avi"}, _recording, pattern="SPEAKER/a01 or SPEAKER_a01")
    if not found:
        raise not_found("savee", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    name = _reading(path)
    return _clip(name, {}) if name else None


def _recording(path: Path) -> tuple[str, str] | None:
    """Return the reading that a path names, and its medium."""
    name = _reading(path)
    kind = kind_of(path)
    return (name, kind) if name and kind else None


def _reading(path: PurePath) -> str | None:
    """Return the reading that a path names: the speaker precedes the name, or is the folder."""
    folder = path.parent.name.upper()
    return clip_id(path.stem) or (clip_id(f"{folder}_{path.stem}") if folder in SPEAKERS else None)


def _clip(name: str, media: Mapping[str, str]) -> Clip:
    speaker, sentence = name.split("_")
    return Clip(name, "savee", EMOTIONS[sentence[:-2]], speaker, **media_fields(media), gender="male", sentence=sentence)
