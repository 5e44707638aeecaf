"""MELD: 13,708 utterances of the television series Friends, in the owner's parts train, dev and test.

Three tables name the utterances, three folders hold their films. Dialogues are numbered from 0 in each part, so the part belongs to an id.
The table's StartTime and EndTime are those of the episode, not of the film. The test folder also has films of longer cuts
(`final_videos_testdia0_utt0.mp4`), which are not read; of dev one film is missing, and one of train does not decode.

Source: Poria et al. 2019, "MELD: a multimodal multi-party dataset for emotion recognition in conversations", ACL.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from avemo_jax.clips import RECORDING, Clip
from data_prep.corpora.layout import kind_of, not_found, shorten
from data_prep.corpora.walk import nesting, walk

ADDRESS = "https://affective-meld.github.io (MELD.Raw.tar.gz, and the archives in it)"
LAYOUT = (
    "train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv, and dia0_utt0.mp4 and the like in train_splits, dev_splits_complete, "
    "output_repeated_splits_test"
)
OPTIONS = ()
LABEL_TARGETS = ("crowd",)  # the majority of three raters
MODALITIES = ("audio", "video")
NUM_CLIPS = 13708  # 9,989 in train, 1,109 in dev, 2,610 in test

PARTS = {"train": "train", "dev": "validation", "test": "test"}
_TABLE = re.compile(r"(train|dev|test)_sent_emo\.csv")
_FILM = re.compile(r"dia(?P<dialogue>\d+)_utt(?P<utterance>\d+)")
_NAME = re.compile(rf"(?P<part>{'|'.join(PARTS)})_(?P<film>{_FILM.pattern})")


def clip_id(stem: str) -> str | None:
    """Return the clip that a table row belongs to ("train_dia0_utt0"), or None; a film's name alone does not tell the part."""
    return stem if _NAME.fullmatch(stem) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a row of the tables, its speaker the character's name; a row without a film is a clip without media.

    Raises:
      CorpusNotFound: no table, or no film, is there.
    """
    tree = walk(root)
    tables = {match[1]: path for path in reversed(tree.files) if (match := _TABLE.fullmatch(path.name))}
    films: dict[str, Path] = {}
    for path in sorted(tree.files, key=nesting):
        if kind_of(path) in ("film", "sound") and _FILM.fullmatch(path.stem) and (part := _part(path.relative_to(root))):
            films.setdefault(f"{part}_{path.stem}", path)
    if not tables or not films:
        there = f"{len(tables)} tables and {len(films)} films" if tables or films else None
        raise not_found("meld", root, layout=LAYOUT, address=ADDRESS, found=there)
    if lacking := sorted(PARTS.keys() - tables.keys()):
        warnings.warn(f"{root}: no table of the parts {', '.join(lacking)}, so their films are not read", stacklevel=2)
    found = [clip for part, table in sorted(tables.items()) for clip in _clips(part, table, root, films)]
    if without := [clip.clip_id for clip in found if clip.video is None and clip.audio is None]:
        warnings.warn(f"{root}: no film of {shorten(without, what='utterances')}", stacklevel=2)
    return tuple(sorted(found, key=lambda clip: clip.clip_id))


def _part(below: Path) -> str:
    """The part of a film, by the innermost folder whose name has the word of one (`output_repeated_splits_test`)."""
    words = (set(re.split(r"[^a-z]+", folder.lower())) & PARTS.keys() for folder in reversed(below.parts[:-1]))
    return next((min(found) for found in words if found), "")


def _clips(part: str, table: Path, root: Path, films: dict[str, Path]) -> Iterator[Clip]:
    # the owner's tables have bytes of Windows-1252 in their texts, which are not read
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        for row in csv.DictReader(stream):
            dialogue = f"{part}_dia{int(row['Dialogue_ID'])}"
            name = f"{dialogue}_utt{int(row['Utterance_ID'])}"
            film = films.get(name)
            medium = film.relative_to(root).as_posix() if film else None
            attributes = {"split": PARTS[part], RECORDING: dialogue, "sentiment": row.get("Sentiment", "").strip().lower()}
            attributes |= {fact.lower(): row.get(fact, "").strip() for fact in ("Season", "Episode")}
            video = medium if film and kind_of(film) == "film" else None
            speaker = " ".join(row["Speaker"].split())
            yield Clip(name, "meld", row["Emotion"].strip().lower(), speaker, audio=medium, video=video, attributes=attributes)
