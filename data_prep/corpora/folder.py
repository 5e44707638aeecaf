"""A corpus of one's own: a folder a class, speakers told by the paths.

An example is `recordings/maria/happy/take1.wav` with --config.corpus.speaker_level=1, or `happy/maria_take1.wav` with
--config.corpus.speaker_pattern="([a-z]+)_take". Nothing about it is published, so there is nobody to ask and no number of clips to expect.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path, PurePath

from avemo_jax.clips import Clip
from data_prep.corpora.layout import Kind, composed, kind_of, media_fields, not_found, recordings, shorten
from data_prep.corpora.own_files import LABEL_TARGETS as LABEL_TARGETS
from data_prep.corpora.own_files import SPLIT, emotion_of, part_of, readable, warn_of_unknown_speakers

ADDRESS = "docs/corpora.md#your-own-files (files of your own)"
LAYOUT = "a folder for each emotion (happy/take1.wav; deeper or shallower with --config.corpus.label_level) with sound, films or pictures"
OPTIONS = ("label_target", "label_level", "speaker_level", "speaker_pattern", "split_level")
MODALITIES = ("audio", "video", "still")
NUM_CLIPS = None


def clip_id(stem: str) -> str | None:
    """Return the clip that a table row belongs to: the path below the root without the suffix, "happy/take1"."""
    return stem or None


def clips(
    root: Path,
    *,
    label_target: str = "acted",
    label_level: int = -1,
    speaker_level: int = 0,
    speaker_pattern: str = "",
    split_level: int = 0,
) -> tuple[Clip, ...]:
    """Read the corpus: one clip a file; a sound file and a film or picture of one name in one folder are one clip.

    Args:
      root: the folder.
      label_target: what the labels are: "acted", "crowd" or "found".
      label_level: the folder that names the emotion: 1 is the first below the root, -1 the one that the file lies in.
      speaker_level: the folder that names the speaker, counted in the same way; 0: none does.
      speaker_pattern: regular expression that is searched in the path below the root; its group "speaker", or its first group, is the
        speaker. "" searches none.
      split_level: the folder that names the part (train, val, test), for the protocol `official`; 0: none does.

    Raises:
      ValueError: the pattern is no regular expression with a group, or both it and a level tell the speaker.
      CorpusNotFound: no file lies in a folder of that level.
    """
    if speaker_level and speaker_pattern:
        raise ValueError("set one of --config.corpus.speaker_level and --config.corpus.speaker_pattern, not both")
    pattern = _compiled(speaker_pattern)
    found, shallow = [], []
    for name, media in recordings(root, {".wav", ".mp4", ".png"}, _recording, pattern="FOLDER/NAME").items():
        path = composed(Path(next(iter(media.values()))))
        label = emotion_of(readable(_folder(path, label_level)))
        if not label:
            shallow.append(name)
            continue
        speaker = _speaker(path, pattern) if pattern else _folder(path, speaker_level)
        part = part_of(_folder(path, split_level))
        found.append(Clip(name, "folder", label, readable(speaker), **media_fields(media), attributes={SPLIT: part} if part else {}))
    if not found:
        raise not_found("folder", root, layout=LAYOUT, address=ADDRESS)
    if shallow:
        what = f"left out, for they lie in no folder of level {label_level} (--config.corpus.label_level)"
        warnings.warn(f"{root}: {what}: {shorten(shallow, what='files')}", stacklevel=2)
    warn_of_unknown_speakers(root, found, remedy="Set --config.corpus.speaker_level or --config.corpus.speaker_pattern.")
    return tuple(found)


def _recording(path: Path) -> tuple[str, Kind] | None:
    kind = kind_of(path)
    return (readable(path.with_suffix("").as_posix()), kind) if kind else None


def _folder(path: PurePath, level: int) -> str:
    """The name of the folder at a level, "" where there is none."""
    folders = path.parts[:-1]
    place = level - 1 if level > 0 else len(folders) + level
    return folders[place] if level and 0 <= place < len(folders) else ""


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        compiled = re.compile(pattern) if pattern else None
    except re.error as error:
        raise ValueError(f"--config.corpus.speaker_pattern={pattern!r} is no regular expression: {error}") from error
    if compiled is not None and not compiled.groups:
        raise ValueError(f"--config.corpus.speaker_pattern={pattern!r} needs a group around the speaker, such as '([a-z]+)_take'")
    return compiled


def _speaker(path: PurePath, pattern: re.Pattern[str]) -> str:
    match = pattern.search(path.as_posix())
    return "" if match is None else (match["speaker"] if "speaker" in pattern.groupindex else match[1]) or ""
