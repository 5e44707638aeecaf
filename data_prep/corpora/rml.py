"""RML: eight speakers, six emotions, ten sentences of each emotion in one of six languages.

A speaker's films lie in a folder `s1` to `s8`; some speakers have one more level of folders in it, one a language, and the films of two
languages may have one name.

Source: Wang and Guan 2008, "Recognizing human emotional state from audiovisual signals", IEEE Transactions on Multimedia 10(5).
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import not_found, recordings

ADDRESS = "http://www.rml.ryerson.ca/rml-emotion-database.html (now Toronto Metropolitan University)"
LAYOUT = "rml-1/s1 to rml-1/s5 and rml-2/s6 to rml-2/s8, in each an1.avi, di1.avi, fe1.avi, ..., or folders of languages with those"
OPTIONS = ()
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio", "video")
NUM_CLIPS = 720

EMOTIONS = {"an": "anger", "di": "disgust", "fe": "fear", "ha": "happiness", "sa": "sadness", "su": "surprise"}
_SPEAKER = re.compile(r"s[1-8]", re.IGNORECASE)
_FILM = re.compile(rf"({'|'.join(EMOTIONS)})\w*", re.IGNORECASE)
_CLIP = re.compile(rf"s[1-8]_(.+_)?({'|'.join(EMOTIONS)})\w*")
# The owner's own names; looser ones are read below a root alone, where the other files say that they are of this corpus.
_NUMBERED = re.compile(rf"({'|'.join(EMOTIONS)})\d\w*", re.IGNORECASE)


def clip_id(stem: str) -> str | None:
    """Return the clip that a table row belongs to: the id itself ("s3_an5", "s1_mandarin_an5"); a film's name alone is no clip's."""
    return stem if _CLIP.fullmatch(stem) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a film; the language, where the folders name it, is an attribute.

    Raises:
      CorpusNotFound: no film below a speaker's folder is there.
    """
    found = recordings(root, {".avi"}, _recording, pattern="s1/an1.avi or s1/LANGUAGE/an1.avi")
    if not found:
        raise not_found("rml", root, layout=LAYOUT, address=ADDRESS)
    return tuple(_clip(name, media["film"]) for name, media in found.items())


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    if not _NUMBERED.fullmatch(path.stem.rpartition("_")[2]):
        return None
    below = path if _parts(path) else PurePath(*path.stem.split("_"))
    name = "_".join(_parts(below))
    return _clip(name, str(below)) if name else None


def _parts(path: PurePath) -> tuple[str, ...]:
    """Speaker, languages and name of a film, from the last folder that is named like a speaker; () where it is no film of the corpus."""
    parts = path.with_suffix("").parts
    places = [place for place, folder in enumerate(parts[:-1]) if _SPEAKER.fullmatch(folder)]
    return tuple(part.lower() for part in parts[places[-1] :]) if places and _FILM.fullmatch(parts[-1]) else ()


def _recording(path: Path) -> tuple[str, str] | None:
    parts = _parts(path)
    return ("_".join(parts), "film") if parts else None


def _clip(name: str, film: str) -> Clip:
    speaker, *languages, stem = _parts(Path(film))
    attributes = {"language": " ".join(languages)} if languages else {}
    return Clip(name, "rml", EMOTIONS[stem[:2]], speaker, audio=film, video=film, attributes=attributes)
