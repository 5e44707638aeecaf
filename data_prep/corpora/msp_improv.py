"""MSP-IMPROV: twelve actors in six sessions of two improvise so that one of them says a target sentence with a target emotion.

A file is named by sentence and target emotion, actor, scenario, and turn: `MSP-IMPROV-S01A-F01-P-FM01`. Labels are the raters' and lie in
one text, which its owner calls `Evalution.txt` and in which names begin with UTD-IMPROV.

Source: Busso et al. 2017, "MSP-IMPROV: an acted corpus of dyadic interactions to study emotion perception", IEEE Transactions on Affective
Computing 8(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from avemo_jax.clips import Clip
from data_prep.corpora.layout import kind_of, media_fields, not_found, recordings
from data_prep.corpora.walk import walk

ADDRESS = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html"
LAYOUT = "Evalution.txt, Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav and Video/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi"
OPTIONS = ()
LABEL_TARGETS = ("crowd",)
MODALITIES = ("audio", "video")
NUM_CLIPS = 8438

EMOTIONS = {"A": "angry", "H": "happy", "S": "sad", "N": "neutral", "O": "other", "X": "no_agreement"}
SCENARIOS = {"S": "target_improvised", "R": "target_read", "T": "other_improvised", "P": "natural"}
_NAME = re.compile(
    r"(?:(?:MSP|UTD)-IMPROV-)?(?P<turn>(?P<sentence>S\d\d)(?P<target>[AHSN])-(?P<actor>[FM]0[1-6])-(?P<scenario>[SRTP])-[FM]{2}\d\d)"
)
_LABEL = re.compile(r"^UTD-IMPROV-(?P<turn>\S+?)\.avi;\s*(?P<emotion>[A-Z]);(?P<scales>.*)$", re.MULTILINE)
_SCALE = re.compile(r"\b([AVDN]):\s*(\d+(?:\.\d+)?)")
_SCALES = {"A": "arousal", "V": "valence", "D": "dominance", "N": "naturalness"}


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to ("MSP-IMPROV-S01A-F01-P-FM01" -> "S01A-F01-P-FM01"), or None."""
    match = _NAME.fullmatch(stem)
    return match["turn"] if match else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a turn with a label, its sound from the wav file where there is one, else from the film.

    `sentence` is the target sentence where the turn is one, `session` the actor's number; arousal, valence, dominance and naturalness (1 to
    5, means of the raters) are attributes, as are the scenario and the target emotion.

    Raises:
      CorpusNotFound: no file of the corpus, or no label, is there.
    """
    media = recordings(root, {".wav", ".avi"}, _recording, pattern="MSP-IMPROV-SENTENCE-ACTOR-SCENARIO-TURN")
    texts = [path for path in walk(root).files if path.name.lower() in ("evalution.txt", "evaluation.txt")]
    labels = {match["turn"]: match for path in texts for match in _LABEL.finditer(path.read_text(encoding="utf-8", errors="replace"))}
    found = [_clip(name, media[name], labels[name]) for name in media if name in labels]
    if not found:
        there = f"{len(media)} turns and {len(labels)} labels" if media or labels else None
        raise not_found("msp_improv", root, layout=LAYOUT, address=ADDRESS, found=there)
    return tuple(found)


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    part = _NAME.fullmatch(path.stem)
    return Clip(part["turn"], "msp_improv", "", **_of_name(part)) if part else None


def _recording(path: Path) -> tuple[str, str] | None:
    name, kind = clip_id(path.stem), kind_of(path)
    return (name, kind) if name and kind else None


def _clip(name: str, media: Mapping[str, str], label: re.Match[str]) -> Clip:
    part = _NAME.fullmatch(name)
    assert part is not None  # so were the keys made
    facts = _of_name(part)
    facts["attributes"] |= {_SCALES[letter]: str(float(value)) for letter, value in _SCALE.findall(label["scales"])}
    word = EMOTIONS.get(label["emotion"], "other")
    return Clip(name, "msp_improv", word, **facts, **media_fields(media))


def _of_name(part: re.Match[str]) -> dict[str, Any]:
    return {
        "speaker": part["actor"],
        "gender": "female" if part["actor"].startswith("F") else "male",
        "session": str(int(part["actor"][1:])),
        "sentence": part["sentence"] if part["scenario"] in "SR" else "",
        "attributes": {"scenario": SCENARIOS[part["scenario"]], "target": EMOTIONS[part["target"]]},
    }
