"""The clip: the unit that a corpus is a list of, that folds are made of and that predictions are about."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

REGIONS = ("full", "left", "right")
GENDERS = ("female", "male", "unknown")
SHARED_BY = ("bytes", "sound", "picture")
RECORDING = "recording"  # attribute of a clip that is a frame of something longer: what the frames of that have in common
ROW_OFFSET = "row_offset"  # attribute of a clip whose picture is a row of its `video`, a table of pixels: the row's place in bytes


@dataclasses.dataclass(frozen=True)
class Clip:
    """One labelled recording of one speaker.

    Attributes:
      clip_id: unique within the corpus; what predictions.csv and folds name it by.
      corpus: name of the corpus it comes from.
      label: emotion in the corpus's own words (`calm`, `exc`); a `LabelSet` maps it to a class.
      speaker: identity of the speaker; grouped protocols keep it in one part. "" where the owner does not say who it is.
      audio: media file with the sound, relative to the corpus root, or None.
      video: media file with the picture, relative to the corpus root, or None. May be the same file as `audio`.
      start_s, end_s: span of the clip within its media files in seconds; None means from the beginning, to the end.
      video_start_s, video_end_s: the picture's own span, where it lies in another file than the sound (an utterance's wav beside
        the film of the whole dialogue). Both None means that `start_s` and `end_s` hold for the picture as well.
      video_region: part of the picture that shows the speaker: "full", or the "left" or "right" half.
      gender: of the speaker: "female", "male" or "unknown".
      session: recording session, "" where the corpus has none.
      sentence: identity of the spoken text, "" where unknown or free.
      attributes: whatever else the corpus says (intensity, repetition, valence), as strings.
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
        """What a protocol groups by: "speaker", "session", "sentence", or an attribute; "" where the corpus does not say."""
        return getattr(self, by) if by in ("speaker", "session", "sentence") else self.attributes.get(by, "")

    @property
    def audio_span_s(self) -> tuple[float | None, float | None]:
        """Start and end of the clip within `audio` in seconds; None means from the beginning, to the end."""
        return self.start_s, self.end_s

    @property
    def video_span_s(self) -> tuple[float | None, float | None]:
        """Start and end of the clip within `video` in seconds; None means from the beginning, to the end."""
        if self.video_start_s is None and self.video_end_s is None:
            return self.start_s, self.end_s
        return self.video_start_s, self.video_end_s


@dataclasses.dataclass(frozen=True)
class SharedMedia:
    """Two clips that hold the same recording.

    Attributes:
      first, second: their ids.
      how: "bytes" where the files are equal, "sound" or "picture" where what they hold is: re-encoded, louder, trimmed.
      detail: what was compared and how well it agrees, for people.
    """

    first: str
    second: str
    how: str
    detail: str

    def __post_init__(self):
        if self.how not in SHARED_BY:
            raise ValueError(f"clips share media by one of {SHARED_BY}, got {self.how!r}")


def check_unique(clips: Sequence[Clip]) -> None:
    """Raise ValueError naming the first clip id that occurs twice."""
    seen: set[str] = set()
    for clip in clips:
        if clip.clip_id in seen:
            raise ValueError(f"two clips of corpus {clip.corpus} are both named {clip.clip_id!r}; clip ids must be unique")
        seen.add(clip.clip_id)


_FIELDS = tuple(field.name for field in dataclasses.fields(Clip))


def write_clips(path: Path, clips: Iterable[Clip]) -> None:
    """Write clips as CSV, one row a clip, absent values as empty fields."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_FIELDS)
        for clip in clips:
            row = {name: getattr(clip, name) for name in _FIELDS} | {"attributes": json.dumps(dict(clip.attributes), sort_keys=True)}
            writer.writerow(["" if value is None else value for value in row.values()])


def read_clips(path: Path) -> tuple[Clip, ...]:
    """Read what `write_clips` wrote."""
    clips = []
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            values: dict[str, object] = dict(row)
            for name in ("audio", "video"):
                values[name] = row[name] or None
            for name in ("start_s", "end_s", "video_start_s", "video_end_s"):
                values[name] = float(row[name]) if row[name] else None
            values["attributes"] = json.loads(row["attributes"])
            clips.append(Clip(**values))  # type: ignore[arg-type]
    return tuple(clips)
