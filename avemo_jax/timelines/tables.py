"""Predictions over time as tables: segments of audformat (CSV) and Parquet."""

from __future__ import annotations

from pathlib import Path

from avemo_jax.csv_files import write_rows
from avemo_jax.evaluation.predictions import PROBABILITY_DIGITS
from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.timelines.media import Media


def write_audformat(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write a segmented table of audformat: file,start,end,emotion,p_<class>..., with times as pandas writes time deltas.

    Where people were predicted, columns `person` and `speaks` precede `emotion`.
    """
    with path.open("w", newline="", encoding="utf-8") as stream:
        write_rows(stream, _audformat_rows(prediction))


def _audformat_rows(prediction: RecordingPrediction) -> list[list[str]]:
    has_people = bool(prediction.people)
    head = ["file", "start", "end", *(["person", "speaks"] if has_people else []), "emotion"]
    rows = [[*head, *(f"p_{name}" for name in prediction.classes)]]
    for person, says, one in prediction.rows:
        predicted = "" if one.nothing else one.label(prediction.classes)
        numbers = [f"{value:.{PROBABILITY_DIGITS}f}" for value in one.probabilities.tolist()]
        times = [_time_delta(one.start_s), _time_delta(one.end_s)]
        rows.append([prediction.file, *times, *([person, says] if has_people else []), predicted, *numbers])
    return rows


def _time_delta(time_s: float) -> str:
    """Return seconds as "0 days 00:00:01.500000"."""
    seconds, millionths = divmod(round(1e6 * time_s), 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    return f"{days} days {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{millionths:06d}"


def write_parquet(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write the table of `RecordingPrediction.to_frame` as Parquet."""
    prediction.to_frame().to_parquet(path, index=False)
