"""The recordings of which the entries of a split list are segments, frames or versions, by their names and spans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from avemo_jax.identity import clip_identity

Entry = tuple[str, str, float | None, float | None]  # clip, path, start and end in s; "" and None for what the list does not state

# Segments and frames of a recording ("talk_seg03.wav"), and what augmentation makes of it ("talk_noise.wav", "talk_pitch-2.wav").
_PIECE = r"[\s_.-]*(?:seg|segment|frame|frm|chunk|crop|window|win|patch)[\s_-]*\d+"
_VERSION = (
    r"[\s_-]+(?:aug|augmented|augmentation|noise|noisy|denoised|enhanced|vocals|resampled|norm(?:alized)?|\d+k(?:hz)?|speed|pitch|"
    r"(?:pitch|time)?[\s_-]?(?:shift|stretch)(?:ed)?|flip(?:ped)?|mirror(?:ed)?|rot(?:ated)?)[\s_+-]*\d*(?:\.\d+)?(?:db)?"
)
_LONGEST_FILE_NAME = 255  # of file systems; the time to match grows with the square of the length
_CUT_FROM = re.compile(rf"(.*?)(?:{_PIECE}|{_VERSION})+(?:\.[a-z]\w*)?", re.IGNORECASE)


def recordings_of(names: Mapping[Entry, str]) -> dict[Entry, str]:
    """Return the recording of each entry, "" if it is of none.

    Entries are of one recording if they are spans of one clip or file, if their names state it, or if they are the whole recording
    ("talk.wav" beside "talk_seg03.wav").

    Args:
      names: entry -> its unique name; that of an entry without other segments is its clip.
    """
    num_spans = Counter(path for _, path, start_s, end_s in names if path and (start_s, end_s) != (None, None))
    recordings = {}
    for entry, name in names.items():
        clip, path, *_ = entry
        of_spans = clip if name != clip else path if num_spans[path] > 1 else ""
        recordings[entry] = of_spans or _cut_from(clip) or _cut_from(path)
    whole = {clip_identity(recording): recording for recording in recordings.values() if recording}
    for entry, recording in recordings.items():
        if not recording:
            recordings[entry] = next((whole[key] for key in map(clip_identity, entry[:2]) if key in whole), "")
    return recordings


def _cut_from(name: str) -> str:
    """Return the recording of which a clip is a segment or version, "talk" for "talk_seg03.wav"; "" if its name states none."""
    folder, slash, file = name.replace("\\", "/").rpartition("/")
    piece = _CUT_FROM.fullmatch(file) if len(file) <= _LONGEST_FILE_NAME else None
    return f"{folder}{slash}{piece.group(1)}" if piece else ""
