"""The prediction of one media file: for the terminal, as CSV and as JSON."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.csv_files import write_rows
from avemo_jax.data.prepared import Damage
from avemo_jax.evaluation.predictions import PROBABILITY_DIGITS
from avemo_jax.inference.predict import SegmentPrediction, clip_probabilities, clip_values
from avemo_jax.inference.timeline import Span, format_timeline, joined_spans, spans, spans_with_gaps, without_gaps
from avemo_jax.text import count_of

_MOST_PRINTED = 60  # spans of a recording; two hours have thousands


SPEAKS, SAYS_NOTHING, CANNOT_BE_TOLD = "speaks", "says nothing", "cannot be told"
_OF_PEOPLE = "Each person is predicted from their own face; a system that hears is given the sound of all."
_BY_MOUTHS = (
    "Who speaks is told by which mouth moves with the loudness of the sound. It can be wrong, and mostly is where the speaker is unseen."
)
_NO_SOUND = "Who speaks cannot be told: the film has no sound."


@dataclasses.dataclass(frozen=True)
class PersonPrediction:
    """The prediction for one person of a film, whose face was followed; a person who comes back after a while has a new number.

    Attributes:
      number: from 1 on, in the order in which people appear.
      segments: those in which the person is seen; there may be gaps.
      times_s: (N,) looks that found the face.
      boxes: (N, 4) the face as x, y, width, height, shares of the picture.
      speaks: whether the person speaks in each of the segments, None where that cannot be told; () of a film without sound.
    """

    number: int
    segments: tuple[SegmentPrediction, ...]
    times_s: tuple[float, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    speaks: tuple[bool | None, ...] = ()

    @property
    def name(self) -> str:
        """How the person is called in every format."""
        return f"person {self.number}"

    def spans(self, classes: Sequence[str]) -> list[Span]:
        """Return the time in which the person is seen as spans of one label each."""
        return spans_with_gaps(self.segments, classes)

    @property
    def speech(self) -> tuple[str, ...]:
        """ "speaks", "says nothing" or "cannot be told" of each segment; () of a film without sound."""
        return tuple(CANNOT_BE_TOLD if one is None else SPEAKS if one else SAYS_NOTHING for one in self.speaks)

    @property
    def speech_spans(self) -> list[Span]:
        """The same as spans; none of a film without sound."""
        told = [Span(one.start_s, one.end_s, says, None) for one, says in zip(self.segments, self.speech, strict=False)]
        return [span for part in without_gaps(told) for span in joined_spans(part)]


@dataclasses.dataclass(frozen=True)
class RecordingPrediction:
    """The prediction of a run for one media file.

    Attributes:
      file: path of the file, as it was given.
      segments: predictions of its segments; empty where nothing could be decoded.
      problems: damage of the file.
      classes: K class names.
      rule: how the probabilities of the segments are combined, see `clip_probabilities`.
      trained_on: what the networks were trained on, as a clause.
      people: predictions of the people of a film, where they were asked for and there are several.
      place: path at which the file is read, where `file` is only its name; None: `file`.
    """

    file: str
    segments: tuple[SegmentPrediction, ...]
    problems: tuple[Damage, ...]
    classes: tuple[str, ...] = ()
    rule: str = "mean"
    trained_on: str = ""
    people: tuple[PersonPrediction, ...] = ()
    place: Path | None = None

    @property
    def path(self) -> Path:
        """Where the recording is read, by formats that show it."""
        return Path(self.file) if self.place is None else self.place

    @property
    def probabilities(self) -> dict[str, float]:
        """Class name -> probability, of the whole recording; empty where nothing could be decoded."""
        if not self.segments:
            return {}
        return dict(zip(self.classes, clip_probabilities(self.segments, self.rule).tolist(), strict=True))

    @property
    def predicted(self) -> str | None:
        """The class of the whole recording; None where it holds nothing, see `nothing`."""
        return None if self.nothing or not self.segments else max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def spans(self) -> list[Span]:
        """The recording as spans of one label each."""
        return spans(self.segments, self.classes)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row a segment: start_s, end_s, predicted, problem, without, p_<class>, value_<dimension>.

        Where people were predicted, columns `person` and `speaks` are "" in rows of the whole picture, and further rows are each person's.
        """
        import pandas as pd  # late: it is slow

        rows = [
            {
                **{"file": self.file, **({"person": name, "speaks": says} if self.people else {})},
                **{"start_s": one.start_s, "end_s": one.end_s},
                "predicted": None if one.nothing else one.label(self.classes),
                **{"problem": one.nothing, "without": " ".join(one.without)},
                **{f"p_{name}": value for name, value in zip(self.classes, one.probabilities.tolist(), strict=True)},
                **{f"value_{name}": value for name, value in one.values.items()},
            }
            for name, says, one in self.rows
        ]
        columns = ["file", "start_s", "end_s", "predicted", "problem", "without", *(f"p_{name}" for name in self.classes)]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)

    @property
    def attended(self) -> tuple[str, ...]:
        """Streams over which the system has attention over time; none where its networks have no attention pooling."""
        return tuple(dict.fromkeys(name for one in self.segments for name in one.attention))

    @property
    def timelines(self) -> list[tuple[str, tuple[SegmentPrediction, ...]]]:
        """Name and segments of each timeline: "" for that of the whole picture, then those of the people."""
        return [("", self.segments), *((one.name, one.segments) for one in self.people)]

    @property
    def rows(self) -> list[tuple[str, str, SegmentPrediction]]:
        """Person, whether they speak, and segment, of all timelines; "" for the whole picture, and for what is not known."""
        of_people = [
            (one.name, says, segment)
            for one in self.people
            for says, segment in zip(one.speech or [""] * len(one.segments), one.segments, strict=True)
        ]
        return [*(("", "", one) for one in self.segments), *of_people]

    @property
    def spans_of_all(self) -> list[tuple[str, list[Span]]]:
        """Name and spans of each timeline, as `timelines` has them."""
        return [("", self.spans), *((one.name, one.spans(self.classes)) for one in self.people)]

    @property
    def speech_of_all(self) -> list[tuple[str, list[Span]]]:
        """Name of each person and spans of whether they speak; none of a film without sound."""
        return [(one.name, one.speech_spans) for one in self.people if one.speaks]

    @property
    def who_speaks(self) -> str:
        """How people were predicted and who speaks was told, "" where no people were."""
        if not self.people:
            return ""
        return f"{_OF_PEOPLE} {_BY_MOUTHS if self.speech_of_all else _NO_SOUND}"

    @property
    def nothing(self) -> str:
        """What the file is in place of an emotion: "silence", "no face"; "" where a segment of it holds more."""
        if any(one.has_emotion for one in self.segments):
            return ""
        return ", ".join(dict.fromkeys(one.nothing for one in self.segments))

    @property
    def without(self) -> dict[str, int]:
        """Stream -> number of segments that lack it, of the streams that some segment lacks; their answers rest on the other streams."""
        return dict(Counter(stream for one in self.segments if len(one.without) < one.num_streams for stream in one.without))


def format_prediction(prediction: RecordingPrediction, classes: Sequence[str], rule: str = "mean", trained_on: str = "") -> str:
    """Return the prediction of one file as text: its class, all probabilities, the timeline, and the file's damage.

    Args:
      trained_on: what the models were trained on, which is said after each class.
    """
    lines = [prediction.file]
    if prediction.nothing:
        lines.append(f"  no emotion: {prediction.nothing}")
    elif prediction.segments:
        has_classes = len(classes) > 1
        if has_classes:
            mean = clip_probabilities(prediction.segments, rule)
            order = np.argsort(-mean, kind="stable")
            lines.append(f"  {classes[order[0]]}   ({', '.join(f'{classes[i]} {mean[i]:.2f}' for i in order)})")
        if values := clip_values(prediction.segments):
            lines.append(f"  {', '.join(f'{name} {value:.2f}' for name, value in values.items())}")
        for stream, count in prediction.without.items():
            where = "" if count == len(prediction.segments) else f" in {count} of {len(prediction.segments)} segments"
            lines.append(f"  without {stream}{where}: predicted from the other streams")
        if trained_on:
            lines.append(f"  trained on {trained_on}")
        if has_classes and (len(prediction.segments) > 1 or prediction.segments[0].nothing):
            found = spans(prediction.segments, classes)
            lines += [f"  {line}" for line in format_timeline(found[:_MOST_PRINTED]).splitlines()]
            if len(found) > _MOST_PRINTED:
                lines.append(f"  ... and {count_of(len(found) - _MOST_PRINTED, 'more span')}, which the files have")
    else:
        lines.append("  no prediction")
    for one in prediction.people:
        of_person = one.spans(classes)
        lines += [f"  {one.name}:", *(f"  {line}" for line in format_timeline(of_person[:_MOST_PRINTED]).splitlines())]
        if len(of_person) > _MOST_PRINTED:
            lines.append(f"  ... and {count_of(len(of_person) - _MOST_PRINTED, 'more span')}, which the files have")
        if one.speaks:
            lines.append(f"    {_speaking_time(one.speech_spans)}")
    if prediction.people:
        lines.append(f"  {prediction.who_speaks}")
    return "\n".join([*lines, *(f"  {problem.kind}: {problem.detail}" for problem in prediction.problems)])


def _speaking_time(found: Sequence[Span]) -> str:
    """Return for how long a person speaks, as text."""
    total_s = {
        label: sum(one.end_s - one.start_s for one in found if one.label == label) for label in (SPEAKS, SAYS_NOTHING, CANNOT_BE_TOLD)
    }
    return ", ".join(f"{label} {length_s:.1f} s" for label, length_s in total_s.items() if length_s)


def write_csv(
    path: Path, predictions: Sequence[RecordingPrediction], classes: Sequence[str], rule: str = "mean", dimensions: Sequence[str] = ()
) -> None:
    """Write a CSV file with the columns file,segment,start_s,end_s,predicted,problem,without,p_<class>...,value_<dimension>...

    Each file has one row for all of it, with an empty segment, followed by one row a segment. Where a segment holds no speech and no face,
    `predicted` is empty and `problem` names what there is instead. `without` names the streams that a segment, or the whole file, lacks,
    separated by spaces; the answer then rests on the other streams. Where people were predicted, columns
    `person` and `speaks` follow `file`.
    """
    with atomic_file(path) as stream:
        write_rows(stream, _csv_rows(predictions, classes, rule, dimensions))


def _csv_rows(
    predictions: Sequence[RecordingPrediction], classes: Sequence[str], rule: str, dimensions: Sequence[str]
) -> Iterator[list[Any]]:
    columns = [*(f"p_{name}" for name in classes), *(f"value_{name}" for name in dimensions)]
    has_people = any(one.people for one in predictions)
    person = ["person", "speaks"] if has_people else []
    yield ["file", *person, "segment", "start_s", "end_s", "predicted", "problem", "without", *columns]
    for one in predictions:
        problem = "; ".join(f"{damage.kind}: {damage.detail}" for damage in one.problems)
        if not one.segments:
            yield [one.file, *("" for _ in person), "", "", "", "", problem, "", *("" for _ in columns)]
            continue
        lacking = tuple(stream for stream, count in one.without.items() if count == len(one.segments))
        span_s = (one.segments[0].start_s, one.segments[-1].end_s)
        whole = SegmentPrediction(*span_s, clip_probabilities(one.segments, rule), lacking, values=clip_values(one.segments))
        numbers = {name: itertools.count() for name, _ in one.timelines}
        for name, says, segment, number in [("", "", whole, ""), *((*row, next(numbers[row[0]])) for row in one.rows)]:
            times = [f"{segment.start_s:.3f}", f"{segment.end_s:.3f}"]
            nothing = one.nothing if number == "" else segment.nothing
            predicted = "" if nothing else classes[int(np.argmax(segment.probabilities))]
            values = [f"{value:.{PROBABILITY_DIGITS}f}" for value in (*segment.probabilities, *segment.values.values())]
            yield [
                one.file,
                *([name, says] if has_people else []),
                number,
                *times,
                predicted,
                problem if number == "" else nothing,
                " ".join(segment.without),
                *values,
            ]


def as_json(prediction: RecordingPrediction, classes: Sequence[str], rule: str) -> dict[str, Any]:
    """Return the entry of one file in predictions.json."""
    problems = [dataclasses.asdict(problem) for problem in prediction.problems]
    if not prediction.segments:
        return {"file": prediction.file, "predicted": None, "problems": problems}
    return {
        "file": prediction.file,
        **_label_and_probabilities(clip_probabilities(prediction.segments, rule), classes, prediction.nothing),
        **_dimensions(clip_values(prediction.segments)),
        "without": prediction.without,
        **_over_time(prediction.segments, spans(prediction.segments, classes), classes),
        **(
            {"people": [_person(one, classes) for one in prediction.people], "who_speaks": prediction.who_speaks}
            if prediction.people
            else {}
        ),
        "problems": problems,
    }


def _person(one: PersonPrediction, classes: Sequence[str]) -> dict[str, Any]:
    over_time = _over_time(one.segments, one.spans(classes), classes)
    for segment, speaks in zip(over_time["segments"], one.speaks, strict=False):
        segment["speaks"] = speaks
    return {"person": one.number, **over_time, "speech": [{**_span(span), "label": span.label} for span in one.speech_spans]}


def _over_time(segments: Sequence[SegmentPrediction], found: Sequence[Span], classes: Sequence[str]) -> dict[str, Any]:
    """Return segments and spans as predictions.json lists them."""
    return {
        "segments": [
            {
                **_span(segment),
                **_label_and_probabilities(segment.probabilities, classes, segment.nothing),
                **_dimensions(segment.values),
                "without": segment.without,
                "absent": dict(segment.absent),
                **_attention(segment),
            }
            for segment in segments
        ],
        "timeline": [
            {
                **_span(span),
                "label": span.label,
                "probability": None if span.probability is None else round(span.probability, PROBABILITY_DIGITS),
            }
            for span in found
        ],
    }


def _attention(segment: SegmentPrediction) -> dict[str, Any]:
    curves = {name: [round(value, 3) for value in own.tolist()] for name, own in segment.attention.items()}
    return {"attention": curves} if curves else {}


def _dimensions(values: Mapping[str, float]) -> dict[str, Any]:
    return {"dimensions": {name: round(value, PROBABILITY_DIGITS) for name, value in values.items()}} if values else {}


def _span(one: SegmentPrediction | Span) -> dict[str, float]:
    return {"start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3)}


def _label_and_probabilities(probabilities: np.ndarray, classes: Sequence[str], nothing: str) -> dict[str, Any]:
    rounded = {name: round(float(value), PROBABILITY_DIGITS) for name, value in zip(classes, probabilities, strict=True)}
    return {"predicted": None if nothing else classes[int(np.argmax(probabilities))], "probabilities": rounded}
