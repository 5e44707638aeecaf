"""IEMOCAP: ten actors in five sessions of two, improvising and playing scripts, labelled by the utterance.

Each dialogue has one label file, one film with both actors side by side, and a wav file for every utterance.

Source: Busso et al. 2008, "IEMOCAP: interactive emotional dyadic motion capture database", Language Resources and Evaluation 42.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from avemo_jax.clips import Clip
from data_prep.corpora.layout import find_medium, not_found, shorten
from data_prep.corpora.walk import nesting, walk

ADDRESS = "https://sail.usc.edu/iemocap/iemocap_release.htm"
LAYOUT = "Session1 to Session5, each with dialog/EmoEvaluation/*.txt, sentences/wav/DIALOGUE/UTTERANCE.wav, dialog/avi/DivX/DIALOGUE.avi"
OPTIONS = ()
LABEL_TARGETS = ("crowd",)  # the majority of three raters
MODALITIES = ("audio", "video")
NUM_CLIPS = 10039
NUM_SPEAKERS = 10

# Half of the film in which the actor with the face markers sits; the letter after the session names that actor, so in Ses01F_* the
# woman is on the left and in Ses01M_* the man. This is our reading: it follows a public script that cuts the films; the owner does not
# state it, and it is not checked on a film.
MARKED_ACTOR_REGION = "left"
OTHER_ACTOR_REGION = "right"

_UTTERANCE = re.compile(r"(?P<dialogue>Ses(?P<session>\d\d)(?P<marked>[FM])_(?P<scene>(?:impro|script)\w+))_(?P<actor>[FM])\w{3}")
_SCRIPT = re.compile(r"script\d\d_\d")  # what follows is the letter of a second recording of the same script
_LABEL_LINE = re.compile(
    r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\t(?P<utterance>\S+)\t(?P<label>[a-z]{3})"
    r"\t\[(?P<valence>[\d.]+), (?P<arousal>[\d.]+), (?P<dominance>[\d.]+)\]"
)


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to (the utterance id itself), or None."""
    return stem if _UTTERANCE.fullmatch(stem) else None


def clips(root: Path, *, corpus: str = "iemocap") -> tuple[Clip, ...]:
    """Read the corpus: one clip a labelled utterance, whatever its label ("xxx", no majority, included).

    Args:
      root: a folder with Session1 to Session5 at any depth.
      corpus: name that the clips carry.

    Returns:
      Clips sorted by id: `audio` is the utterance's wav file, `video` the dialogue's film with the utterance's span and the
      speaker's half, `session` "1" to "5", `speaker` such as "Ses01F", `sentence` the script ("script01_1") or "" where
      improvised; valence, arousal and dominance (1 to 5, mean of the annotators) are attributes.

    Raises:
      CorpusNotFound: no label line is there.
    """
    folders = [path for path in walk(root).folders if re.fullmatch("Session[1-5]", path.name)]
    first = {path.name: path for path in sorted(folders, key=nesting, reverse=True)}  # of copies
    sessions = [first[name] for name in sorted(first)]
    found = [_clip(root, corpus, session, line, part) for session in sessions for line, part in _label_lines(session)]
    if not found:
        raise not_found(corpus, root, layout=LAYOUT, address=ADDRESS)
    if len(sessions) < 5:
        warnings.warn(f"{root}: only {len(sessions)} of the 5 sessions are there ({', '.join(s.name for s in sessions)})", stacklevel=2)
    for medium in ("audio", "video"):
        missing = [clip.clip_id for clip in found if getattr(clip, medium) is None]
        if missing:
            warnings.warn(f"{root}: no {medium} file for {shorten(missing, what='labelled utterances')}", stacklevel=2)
    return tuple(sorted(found, key=lambda clip: clip.clip_id))


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    part = _UTTERANCE.fullmatch(path.stem)
    return Clip(path.stem, "iemocap", "", **_of_name(part)) if part else None


def _label_lines(session: Path) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Yield the label lines of a session with the parts of their utterance ids; annotators' lines (C-, A-) and comments (%) are none."""
    unreadable = []
    for path in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            match = _LABEL_LINE.match(line)
            part = _UTTERANCE.fullmatch(match["utterance"]) if match else None
            if match and part:
                yield match, part
            elif line.startswith("["):
                unreadable.append(f"{path.name}:{number}")
    if unreadable:
        warnings.warn(f"{session}: ignored, because they are not label lines: {shorten(unreadable, what='lines')}", stacklevel=3)


def _clip(root: Path, corpus: str, session: Path, line: re.Match[str], part: re.Match[str]) -> Clip:
    """Make the clip of one label line; a medium that is not on disk is None."""
    dialogue, actor = part["dialogue"], part["actor"]
    audio = find_medium(session / "sentences" / "wav" / dialogue / f"{line['utterance']}.wav")
    video = find_medium(session / "dialog" / "avi" / "DivX" / f"{dialogue}.avi")
    return Clip(
        clip_id=line["utterance"],
        corpus=corpus,
        label=line["label"],
        **_of_name(part),
        audio=audio.relative_to(root).as_posix() if audio else None,
        video=video.relative_to(root).as_posix() if video else None,
        video_start_s=float(line["start"]),
        video_end_s=float(line["end"]),
        video_region=MARKED_ACTOR_REGION if actor == part["marked"] else OTHER_ACTOR_REGION,
        attributes={name: str(float(line[name])) for name in ("valence", "arousal", "dominance")},
    )


def _of_name(part: re.Match[str]) -> dict[str, Any]:
    """What an utterance's id tells: speaker, gender, session, sentence."""
    script = _SCRIPT.match(part["scene"])
    return {
        "speaker": f"Ses{part['session']}{part['actor']}",
        "gender": "female" if part["actor"] == "F" else "male",
        "session": str(int(part["session"])),
        "sentence": script[0] if script else "",
    }
