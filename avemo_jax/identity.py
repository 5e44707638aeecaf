"""The identity of speakers, clips, sentences, recordings and corpora across spellings of their names.

Tables that were joined, saved by a spreadsheet or read by pandas spell a name in several ways: `1`, `01` and `1.0`; `Actor` and `actor `.
Code that compares names of speakers or clips compares their `identity`; names that are only probably the same are `look_alikes`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

RULE = "names are equal after trimming, NFKC, case folding, leading zeros and .0 of numbers; clips also with / for \\ and without suffix"
# Suffixes of media that FFmpeg or Pillow decode.
SOUND_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".amr", ".sph"),
    *(".au", ".caf", ".w64", ".wv", ".mka", ".ac3"),
)
FILM_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".flv", ".mpg", ".mpeg", ".webm", ".wmv", ".m4v", ".3gp", ".ts"),
    *(".asf", ".mts", ".m2ts", ".ogv", ".vob"),
)
PICTURE_SUFFIXES = (".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
MEDIA_SUFFIXES = (*SOUND_SUFFIXES, *FILM_SUFFIXES, *PICTURE_SUFFIXES, ".npy", ".npz", ".pt", ".txt", ".csv", ".json")
# Words for "speaker" before a number, which do not distinguish speakers.
_SPEAKER_WORDS = frozenset(
    (
        *("speaker", "speakerid", "spk", "spkr", "spkid", "sp", "s", "actor", "actorid", "actress", "act", "talker", "user", "userid"),
        *("subject", "subjectid", "subj", "sub", "sbj", "person", "personid", "pers", "participant", "participantid", "part"),
        *("id", "no", "nr", "num", "number"),
    )
)
_WHOLE_AS_FLOAT = re.compile(r"(?<!\d)(?<!\d\.)(\d+)\.0*$")
_LEADING_ZEROS = re.compile(r"(?<!\d)(?<!\d\.)0+(?=\d)")


@functools.lru_cache(maxsize=1 << 17)
def identity(name: str) -> str:
    """Return one string for all spellings of a name: "actor 1" for "Actor 01", "actor 1" and "ACTOR 1.0".

    Ignores Unicode compatibility forms (NFKC), case, extra blanks, invisible characters, leading zeros of integers, and the ".0" of
    integers written as floats. Returns "" only for an empty or invisible name.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    shown = "".join(character for character in folded if unicodedata.category(character) != "Cf")
    text = _WHOLE_AS_FLOAT.sub(r"\1", " ".join(shown.split()))
    # NFKC does not change digits of other scripts.
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    return _LEADING_ZEROS.sub("", text)


@functools.lru_cache(maxsize=1 << 17)
def clip_identity(name: str) -> str:
    r"""Return one string for all spellings of a clip's name or path, such as "Actor_01\A.WAV", "./Actor_01/a.wav" and "actor_01/a"."""
    parts = [part for part in name.strip().replace("\\", "/").split("/") if part.strip() not in ("", ".")]
    if not parts:
        return ""
    stem = parts[-1].strip()
    suffix = media_suffix(stem)
    parts[-1] = stem[: len(stem) - len(suffix)] or stem
    return "/".join(map(identity, parts))


def media_suffix(name: str) -> str:
    """Return the suffix of a media or feature file in lower case, or "" if a name has none."""
    _, dot, suffix = name.strip().rpartition(".")
    return f".{suffix.lower()}" if dot and f".{suffix.lower()}" in MEDIA_SUFFIXES else ""


def spellings(names: Iterable[str], by: Callable[[str], str] = identity) -> dict[str, tuple[str, ...]]:
    """Return identity -> its spellings, in order of first occurrence, without ""."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for name in names:
        if key := by(name):
            found[key][name] = None
    return {key: tuple(several) for key, several in found.items()}


def first_spellings(names: Iterable[str], by: Callable[[str], str] = identity) -> dict[str, str]:
    """Return each spelling -> the first spelling of the same identity."""
    return {name: several[0] for several in spellings(names, by).values() for name in several}


def joined_spellings(names: Iterable[str], by: Callable[[str], str] = identity) -> tuple[tuple[str, ...], ...]:
    """Return the spellings of each name that has several."""
    return tuple(several for several in spellings(names, by).values() if len(several) > 1)


def look_alikes(identities: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different identities of speakers that are probably one person.

    They look alike if only separators, accents or a word for "speaker" differ ("actor_1" and "actor1", "spk-3" and "3"), if one is the
    number of the other ("3" and "luna3"), or if one is the other with a number appended ("maria" and "maria_2"). "f1" and "m1", or
    "maria_1" and "maria_2", do not.
    """
    by_core: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(identities) - {""}):
        by_core[_core(name)].append(name)
    pairs = [(first, second) for names in by_core.values() for at, first in enumerate(names) for second in names[at + 1 :]]
    for core, names in by_core.items():
        numbers = re.findall(r"\d+", core)
        letters = re.sub(r"\d+$", "", core)
        bare = [one for one in by_core.get(numbers[0], ()) if one.isdecimal()] if len(numbers) == 1 and core != numbers[0] else []
        bare += by_core.get(letters, ()) if letters != core and len(letters) > 1 and letters.isalpha() else ()
        pairs += [(other, name) for other in bare for name in names]
    return pairs


def _core(name: str) -> str:
    """Return a speaker's name without accents, separators and words for "speaker"."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if unicodedata.category(one) != "Mn")
    tokens = re.findall(r"[^\W\d_]+|\d+", plain)
    core = [token for token in tokens if token not in _SPEAKER_WORDS] if any(token.isdecimal() for token in tokens) else tokens
    text = " ".join(token.lstrip("0") or "0" if token.isdecimal() else token for token in core or tokens)
    return re.sub(r" (?!\d)|(?<!\d) ", "", text) or name  # numbers stay separate, because "1-1" is not "11"


def folders_differ(identities: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of clip identities that differ only by leading folders: "a" and "actor_1/a"."""
    all_of = set(identities) - {""}
    pairs = []
    for name in sorted(all_of):
        parts = name.split("/")
        pairs += [(tail, name) for at in range(1, len(parts)) if (tail := "/".join(parts[at:])) in all_of]
    return pairs
