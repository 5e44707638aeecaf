"""The identity of speakers, clips, sentences, recordings and corpora across spellings of their names.

Tables that were joined, saved by a spreadsheet or read by pandas spell a name in several ways: `1`, `01` and `1.0`; `Actor` and `actor `.
Code that compares names of speakers or clips compares their `identity`; names that are only probably the same are in `look_alikes`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterable

RULE = (
    "names are equal after trimming, NFKC, case folding, leading zeros and .0 of numbers; clips also with / for \\ and without suffix; "
    "sentences also without punctuation"
)
# Suffixes of media that FFmpeg or Pillow decode.
SOUND_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".amr", ".sph"),
    *(".au", ".caf", ".w64", ".wv", ".mka", ".ac3"),
)
FILM_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".flv", ".mpg", ".mpeg", ".webm", ".wmv", ".m4v", ".3gp", ".ts"),
    *(".asf", ".mts", ".m2ts", ".ogv", ".vob", ".gif"),  # GIF: animations, without sound
)
PICTURE_SUFFIXES = (".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
MEDIA_SUFFIXES = (
    *(*SOUND_SUFFIXES, *FILM_SUFFIXES, *PICTURE_SUFFIXES),
    *(".mp2", ".snd", ".gsm", ".pgm", ".ppm", ".heic", ".npy", ".npz", ".pt", ".pkl", ".mat", ".h5", ".hdf5", ".arff", ".htk"),
    *(".parquet", ".feather", ".txt", ".lab", ".textgrid", ".csv", ".json"),
)
_WHOLE_AS_FLOAT = re.compile(r"(?<!\d)(?<!\d[.,])(\d+)(?:[.,]0+(?!\d|[.,]\d)|\.$)")
_PERCENT_CODE = re.compile("%[0-9a-fA-F]{2}")
_LEADING_ZEROS = re.compile(r"(?<!\d)(?<!\d\.)0+(?=\d)")


@functools.lru_cache(maxsize=1 << 17)
def identity(name: str) -> str:
    """Return one string for all spellings of a name: "actor 1" for "Actor 01", "actor 1" and "ACTOR 1.0".

    Ignores Unicode compatibility forms (NFKC), case, extra blanks, invisible characters, leading zeros of integers, the ".0" or ",0" of
    integers written as floats, and UTF-8 that was read as Windows-1252 ("JosÃ©"). Returns "" only for an empty or invisible name.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _decoded(name)).casefold())
    shown = "".join(character for character in folded if unicodedata.category(character) != "Cf")
    text = _WHOLE_AS_FLOAT.sub(r"\1", " ".join(shown.split()))
    # NFKC does not change digits of other scripts.
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    return _LEADING_ZEROS.sub("", text)


def _decoded(name: str) -> str:
    """Return the text of UTF-8 that a program took for Windows-1252 or Latin-1; other names as they are."""
    if name.isascii():
        return name
    for encoding in ("cp1252", "latin-1"):
        try:
            return name.encode(encoding).decode("utf-8")
        except UnicodeError:
            pass
    return name


@functools.lru_cache(maxsize=1 << 17)
def clip_identity(name: str) -> str:
    r"""Return one string for all spellings of a clip's name or path, such as "Actor_01\A.WAV", "./Actor_01/a.wav.npy" and "actor%201/a"."""
    text = name.strip().replace("\\", "/")
    text = urllib.parse.unquote(text) if _PERCENT_CODE.search(text) else text
    parts = [part for part in text.removeprefix("file:").split("/") if part.strip() not in ("", ".")]
    if not parts:
        return ""
    stem = parts[-1].strip()
    while len(suffix := media_suffix(stem)) not in (0, len(stem)):
        stem = stem[: -len(suffix)].strip()
    return "/".join(map(identity, (*parts[:-1], stem)))


@functools.lru_cache(maxsize=1 << 17)
def sentence_identity(name: str) -> str:
    """Return one string for all spellings of a sentence: as `identity`, and without punctuation."""
    text = identity(name)
    return " ".join(re.sub(r"[\W_]+", " ", re.sub("['\u2019`]", "", text)).split()) or text


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
