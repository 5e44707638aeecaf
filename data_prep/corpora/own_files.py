"""What the two corpora of a person's own files share: kinds of media, words, parts, and what is said of speakers that are not known."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from avemo_jax.clips import Clip
from data_prep.corpora.layout import shorten

LABEL_TARGETS = ("acted", "crowd", "found")
SPLIT = "split"  # attribute: the part of a clip where its owner names one, for the protocol `official`
_PARTS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "devel"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}


def emotion_of(word: str) -> str:
    """Return an emotion word as label sets have them: "01_Happy" -> "happy", "Pleasant Surprise" -> "pleasant_surprise"."""
    plain = re.sub(r"^\d+\s*[._-]\s*(?=\D)", "", word.strip().lower())
    return re.sub(r"[\s-]+", "_", plain)


def part_of(word: str) -> str:
    """Return "train", "validation" or "test" for the usual words for them, another word in lower case as it is, and "" for ""."""
    plain = word.strip().lower()
    return _PARTS.get(plain, plain)


def readable(name: str) -> str:
    r"""Return a file name as text: bytes that are no UTF-8 become \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def warn_of_unknown_speakers(root: Path, clips: Sequence[Clip], *, remedy: str) -> None:
    """Warn where speakers are not known, of all clips or of some."""
    unknown = [clip.clip_id for clip in clips if not clip.speaker]
    if not unknown:
        return
    which = "no speaker is known" if len(unknown) == len(clips) else f"no speaker is known of {shorten(unknown, what='clips', show=3)}"
    warnings.warn(
        f"{root}: {which}; protocols by speaker (loso, speaker_k) are refused, and the audit cannot find one person in two parts. {remedy}",
        stacklevel=3,
    )
