"""CREMA-D: 91 actors speak twelve sentences in six emotions, one of the sentences at three levels.

A file is named by actor, sentence, acted emotion and level. In the films (.flv) the first stream holds neither picture nor sound, and the
sound is also there by itself. VideoDemographics.csv has the actors' age and sex, processedResults/summaryTable.csv the ratings of
each film.

Source: Cao et al. 2014, "CREMA-D: crowd-sourced emotional multimodal actors dataset", IEEE Transactions on Affective Computing 5(4).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import kind_of, not_found, recordings
from data_prep.corpora.walk import walk

ADDRESS = "https://github.com/CheyneyComputerScience/CREMA-D"
LAYOUT = "VideoFlash/1001_IEO_ANG_HI.flv and AudioWAV/1001_IEO_ANG_HI.wav, one or both, beside VideoDemographics.csv"
OPTIONS = ("label_target",)
LABEL_TARGETS = ("acted", "crowd")
MODALITIES = ("audio", "video")
NUM_CLIPS = 7442
NUM_SPEAKERS = 91

EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = {"XX": "unspecified", "LO": "low", "MD": "medium", "HI": "high"}
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
DEMOGRAPHICS, VOTES = "VideoDemographics.csv", "summaryTable.csv"
_NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>{'|'.join(SENTENCES)})_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<level>XX?|LO|MD|HI)"  # one has X
)


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to, or None."""
    match = _NAME.fullmatch(stem)
    return match and "_".join([*stem.split("_")[:3], "XX" if match["level"] == "X" else match["level"]])


def clips(root: Path, *, label_target: str = "acted") -> tuple[Clip, ...]:
    """Read the corpus: one clip a performance, its sound from the wav file where there is one, else from the mp3 file or the film.

    Args:
      root: folder that holds the corpus.
      label_target: "acted", or "crowd": the majority of the ratings of picture and sound together; "tie" where several words have as many.

    Raises:
      ValueError: unknown label_target.
      CorpusNotFound: no file of the corpus is there, or for "crowd" no votes.
    """
    if label_target not in LABEL_TARGETS:
        raise ValueError(
            f"label_target must be one of {LABEL_TARGETS} for crema_d, got {label_target!r}; set --config.corpus.label_target="
        )
    found = recordings(root, {".wav", ".mp3", ".flv", ".mp4"}, _recording, pattern="ACTOR_SENTENCE_EMOTION_LEVEL")
    people, votes = _table(root, DEMOGRAPHICS, "ActorID"), _table(root, VOTES, "FileName") if label_target == "crowd" else None
    if not found or votes == {}:
        raise not_found("crema_d", root, layout=LAYOUT, address=ADDRESS, found=f"{len(found)} clips, and no {VOTES}" if found else None)
    return tuple(_clip(name, media, people.get(name[:4], {}), votes) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    name = clip_id(path.stem)
    return _clip(name, {}, {}, None) if name else None


def _recording(path: Path) -> tuple[str, str] | None:
    name = clip_id(path.stem)
    medium = "film" if kind_of(path) == "film" else "wav" if path.suffix.lower() == ".wav" else "mp3"  # the owner has both of sound
    return (name, medium) if name else None


def _table(root: Path, name: str, key: str) -> dict[str, dict[str, str]]:
    """The rows of the first file of that name, by one of its columns; none where there is no such file."""
    for path in (path for path in walk(root).files if path.name == name):
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return {row[key]: row for row in csv.DictReader(stream)}
    return {}


def _clip(name: str, media: Mapping[str, str], person: Mapping[str, str], votes: Mapping[str, Mapping[str, str]] | None) -> Clip:
    actor, sentence, emotion, level = name.split("_")
    gender = person.get("Sex", "").lower()
    return Clip(
        clip_id=name,
        corpus="crema_d",
        label=EMOTIONS[emotion] if votes is None else _most_said(votes.get(name, {})),
        speaker=actor,
        audio=media.get("wav") or media.get("mp3") or media.get("film"),
        video=media.get("film"),
        gender=gender if gender in ("female", "male") else "unknown",
        sentence=sentence,
        attributes={"level": LEVELS[level]} | ({"age": person["Age"]} if person.get("Age") else {}),
    )


def _most_said(row: Mapping[str, str]) -> str:
    """The raters' word: a vote is an emotion's first letter, or several of them joined by colons."""
    return next((word for code, word in EMOTIONS.items() if row.get("MultiModalVote") == code[0]), "tie" if row else "unrated")
