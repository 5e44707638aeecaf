"""RAVDESS: 24 actors speak and sing two sentences in eight emotions.

A file is named by seven numbers, MM-VC-EE-II-SS-RR-AA: modality, vocal channel, emotion, intensity, sentence, repetition, actor.
The file name has all labels, so any nesting of folders is read: the archives as they unpack, one folder an actor, all in one.

Source: Livingstone and Russo 2018, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5), table 4.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import kind_of, not_found, recordings

ADDRESS = "https://zenodo.org/records/1188976"
LAYOUT = "MM-VC-EE-II-SS-RR-AA.mp4 or .wav files (such as Actor_05/03-01-06-01-02-01-05.wav), in folders of any depth"
OPTIONS = ("channel",)
LABEL_TARGETS = ("acted",)
MODALITIES = ("audio", "video")
NUM_CLIPS = None  # see num_clips
_NUM_OF_CHANNEL = {"speech": 1440, "song": 1012, "all": 2452}
_NUM_SPEAKERS_OF_CHANNEL = {"speech": 24, "song": 23, "all": 24}  # actor 18 did not sing

CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = dict(
    zip(
        ("01", "02", "03", "04", "05", "06", "07", "08"),
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
        strict=True,
    )
)
INTENSITIES = {"01": "normal", "02": "strong"}

AUDIO_VISUAL, VIDEO_ONLY, AUDIO_ONLY = "01", "02", "03"
_PERFORMANCE = r"(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<sentence>0[12])-(?P<repetition>\d\d)-(?P<actor>\d\d)"
_NAME = re.compile(rf"((?P<modality>0[123])-)?(?P<performance>{_PERFORMANCE})")


def clip_id(stem: str) -> str | None:
    """Return the clip that a media name or a table row belongs to ("01-01-03-01-01-01-05" -> "01-03-01-01-01-05"), or None."""
    match = _NAME.fullmatch(stem)
    return match["performance"] if match else None


def clips(root: Path, *, channel: str = "speech", corpus: str = "ravdess") -> tuple[Clip, ...]:
    """Read the corpus: one clip a performance, its sound from the wav file where there is one, else from the film.

    Args:
      root: folder that holds the corpus, in any of its layouts.
      channel: "speech", "song" or "all".
      corpus: name that the clips carry.

    Returns:
      Clips sorted by id. `sentence` is "1" or "2", with the channel before it ("song1") where both channels are read.

    Raises:
      ValueError: unknown channel.
      CorpusNotFound: no file of the corpus, or none of the channel, is there.
    """
    if channel not in (*CHANNELS.values(), "all"):
        raise ValueError(f"channel must be speech, song or all, got {channel!r}; set --config.corpus.channel=")
    root = Path(root)
    performances = recordings(root, {".wav", ".mp4"}, _recording, pattern="MM-VC-EE-II-SS-RR-AA")
    if not performances:
        raise not_found(corpus, root, layout=LAYOUT, address=ADDRESS)
    found = []
    for performance, media in performances.items():
        part = _NAME.fullmatch(performance)
        assert part is not None  # so were the keys made
        if channel not in (CHANNELS[part["channel"]], "all"):
            continue
        clip = _clip(performance, part, corpus, media)
        found.append(dataclasses.replace(clip, sentence=clip.attributes["channel"] + clip.sentence) if channel == "all" else clip)
    if not found:
        there = f"{len(performances)} performances of the other channel, none of {channel} (--config.corpus.channel={channel})"
        raise not_found(corpus, root, layout=LAYOUT, address=ADDRESS, found=there)
    return tuple(found)


def num_clips(*, channel: str = "speech") -> int:
    """Return the number of clips of a channel in the complete corpus."""
    return _NUM_OF_CHANNEL[channel]


def num_speakers(*, channel: str = "speech") -> int:
    """Return the number of speakers of a channel in the complete corpus."""
    return _NUM_SPEAKERS_OF_CHANNEL[channel]


def named(path: PurePath) -> Clip | None:
    """Return the clip that a media name or path tells by itself, its media as they are named, or None where it is none of the corpus."""
    part = _NAME.fullmatch(path.stem)
    return _clip(part["performance"], part, "ravdess", {}) if part else None


def _recording(path: Path) -> tuple[str, str] | None:
    """The performance and modality in a path's name."""
    match = _NAME.fullmatch(path.stem)
    if match is None or match["modality"] is None or (kind_of(path) == "sound") != (match["modality"] == AUDIO_ONLY):
        return None
    return match["performance"], match["modality"]


def _clip(performance: str, part: re.Match[str], corpus: str, media: Mapping[str, str]) -> Clip:
    """Make the clip of a performance; `sentence` is "1" or "2"."""
    return Clip(
        clip_id=performance,
        corpus=corpus,
        label=EMOTIONS[part["emotion"]],
        speaker=part["actor"],
        audio=media.get(AUDIO_ONLY) or media.get(AUDIO_VISUAL),
        video=media.get(AUDIO_VISUAL) or media.get(VIDEO_ONLY),
        gender="male" if int(part["actor"]) % 2 else "female",
        sentence=str(int(part["sentence"])),
        attributes={
            "channel": CHANNELS[part["channel"]],
            "intensity": INTENSITIES[part["intensity"]],
            "repetition": str(int(part["repetition"])),
        },
    )
