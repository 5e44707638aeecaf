"""The clip: the unit of a corpus, of folds and of predictions."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avemo_jax.csv_files import read_cell, write_rows

REGIONS = ("full", "left", "right")
GENDERS = ("female", "male", "unknown")
SHARED_BY = ("bytes", "sound", "picture")
RECORDING = "recording"  # attribute of a clip that is a frame or a segment: name of the recording, equal for all clips of it
ROW_OFFSET = "row_offset"  # attribute of a clip with a picture in a table of pixels (its `video`): offset of the row in bytes


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled recording of one speaker.

    Attributes:
      clip_id: unique within the corpus; name of the clip in folds and predictions.csv.
      corpus: name of its corpus.
      label: emotion in the corpus's own words (`calm`, `exc`); a `LabelSet` maps it to a class.
      speaker: name of the speaker; "" if unknown. Protocols that group by speaker have it in one part only.
      audio: media file with the sound, relative to the corpus root, or None.
      video: media file with the picture, relative to the corpus root, or None. May be the same file as `audio`.
      start_s, end_s: span of the clip within its media files in seconds; None means the beginning or the end of the file.
      video_start_s, video_end_s: span of the picture, if it is in another file than the sound (e.g. the wav of an utterance and the video
        of the whole dialogue). If both are None, `start_s` and `end_s` apply to the picture too.
      video_region: part of the picture that shows the speaker: "full", or the "left" or "right" half.
      gender: of the speaker: "female", "male" or "unknown".
      session: recording session; "" if the corpus has none.
      sentence: name of the spoken text; "" if unknown or free.
      attributes: other facts in the corpus (intensity, repetition, valence), as strings.
    """

    clip_id: str
    corpus: str
    label: str
    speaker: str
    audio: str | None = None
    video: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    video_start_s: float | None = None
    video_end_s: float | None = None
    video_region: str = "full"
    gender: str = "unknown"
    session: str = ""
    sentence: str = ""
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.video_region not in REGIONS:
            raise ValueError(f"clip {self.clip_id}: video_region must be one of {REGIONS}, got {self.video_region!r}")
        if self.gender not in GENDERS:
            raise ValueError(f"clip {self.clip_id}: gender must be one of {GENDERS}, got {self.gender!r}")
        for prefix, (start_s, end_s) in (("", self.audio_span_s), ("video_", (self.video_start_s, self.video_end_s))):
            if start_s is not None and end_s is not None and not 0 <= start_s < end_s:
                raise ValueError(f"clip {self.clip_id}: expected 0 <= {prefix}start_s < {prefix}end_s, got {start_s} and {end_s}")

    def group(self, by: str) -> str:
        """Return the clip's "corpus", "speaker", "session", "sentence" or attribute by which a protocol groups; "" if unknown."""
        return getattr(self, by) if by in ("corpus", "speaker", "session", "sentence") else self.attributes.get(by, "")

    @property
    def audio_span_s(self) -> tuple[float | None, float | None]:
        """Return start and end of the clip within `audio` in seconds; None means the beginning or the end of the file."""
        return self.start_s, self.end_s

    @property
    def video_span_s(self) -> tuple[float | None, float | None]:
        """Return start and end of the clip within `video` in seconds; None means the beginning or the end of the file."""
        if self.video_start_s is None and self.video_end_s is None:
            return self.start_s, self.end_s
        return self.video_start_s, self.video_end_s


@dataclasses.dataclass(frozen=True)
class SharedMedia:
    """Two clips that hold the same recording.

    Attributes:
      first, second: their ids.
      how: "bytes" if the files are equal; "sound" or "picture" if their content is (re-encoded, louder, trimmed).
      detail: what was compared and the difference found, as text.
    """

    first: str
    second: str
    how: str
    detail: str

    def __post_init__(self):
        if self.how not in SHARED_BY:
            raise ValueError(f"clips share media by one of {SHARED_BY}, got {self.how!r}")


def check_unique(clips: Sequence[Clip]) -> None:
    """Raise ValueError if a clip id occurs twice; the message names the first such id."""
    seen: set[str] = set()
    for clip in clips:
        if clip.clip_id in seen:
            raise ValueError(f"two clips of corpus {clip.corpus} are both named {clip.clip_id!r}; clip ids must be unique")
        seen.add(clip.clip_id)


_FIELDS = tuple(field.name for field in dataclasses.fields(Clip))


def write_clips(path: Path, clips: Iterable[Clip]) -> None:
    """Write clips as CSV, one row a clip; None becomes an empty field."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        write_rows(stream, [_FIELDS, *map(_row, clips)])


def _row(clip: Clip) -> list[object]:
    row = {name: getattr(clip, name) for name in _FIELDS} | {"attributes": json.dumps(dict(clip.attributes), sort_keys=True)}
    return ["" if value is None else value for value in row.values()]


def read_clips(path: Path) -> tuple[Clip, ...]:
    """Return the clips in a file of `write_clips`."""
    clips = []
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        for cells in csv.DictReader(stream):
            row = {name: read_cell(text) for name, text in cells.items()}
            values: dict[str, object] = dict(row)
            for name in ("audio", "video"):
                values[name] = row[name] or None
            for name in ("start_s", "end_s", "video_start_s", "video_end_s"):
                values[name] = float(row[name]) if row[name] else None
            values["attributes"] = json.loads(row["attributes"])
            clips.append(Clip(**values))  # type: ignore[arg-type]
    return tuple(clips)
