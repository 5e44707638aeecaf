"""CREMA-D: 91 actors speak twelve sentences in six emotions, one of the sentences at three levels.

A file is named by actor, sentence, emotion and level. In the films (.flv) the first stream holds neither picture nor sound, and the sound
is also there by itself. VideoDemographics.csv, where it is there, tells the actors' age and sex.

Source: Cao et al. 2014, "CREMA-D: crowd-sourced emotional multimodal actors dataset", IEEE Transactions on Affective Computing 5(4).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "https://github.com/CheyneyComputerScience/CREMA-D"
LAYOUT = "VideoFlash/1001_IEO_ANG_HI.flv and AudioWAV/1001_IEO_ANG_HI.wav, one or both, beside VideoDemographics.csv"
OPTIONS = ()
MODALITIES = ("audio", "video")
NUM_CLIPS = 7442

EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"XX": "unspecified", "LO": "low", "MD": "medium", "HI": "high"}
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
DEMOGRAPHICS = "VideoDemographics.csv"
_NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>{'|'.join(SENTENCES)})_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<level>XX?|LO|MD|HI)"  # one has X
)
_MEDIA = {".wav": "wav", ".mp3": "mp3", ".flv": "film", ".mp4": "film"}


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to, or None."""
    match = _NAME.fullmatch(stem)
    return match and "_".join([*stem.split("_")[:3], "XX" if match["level"] == "X" else match["level"]])


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a performance, its sound from the wav file where there is one, else from the mp3 file or the film.

    Raises:
      CorpusNotFound: no file of the corpus is there.
    """
    found = recordings(root, _MEDIA, _recording, pattern="ACTOR_SENTENCE_EMOTION_LEVEL")
    if not found:
        raise not_found("crema_d", root, layout=LAYOUT, address=ADDRESS)
    people = _people(root)
    return tuple(_clip(name, media, people) for name, media in found.items())


def _recording(path: Path) -> tuple[str, str] | None:
    name = clip_id(path.stem)
    return (name, _MEDIA[path.suffix.lower()]) if name else None


def _people(root: Path) -> dict[str, dict[str, str]]:
    """Actor -> row of the first table of actors."""
    for path in sorted(root.rglob(DEMOGRAPHICS)):
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return {row["ActorID"]: row for row in csv.DictReader(stream)}
    return {}


def _clip(name: str, media: Mapping[str, str], people: Mapping[str, Mapping[str, str]]) -> Clip:
    actor, sentence, emotion, level = name.split("_")
    person = people.get(actor, {})
    gender = person.get("Sex", "").lower()
    return Clip(
        clip_id=name,
        corpus="crema_d",
        label=EMOTIONS[emotion],
        speaker=actor,
        audio=media.get("wav") or media.get("mp3") or media.get("film"),
        video=media.get("film"),
        gender=gender if gender in ("female", "male") else "unknown",
        sentence=sentence,
        attributes={"level": LEVELS[level]} | ({"age": person["Age"]} if person.get("Age") else {}),
    )
