"""Formats of predictions over time, one file each: a function that writes the prediction of one recording to one file.

To add a format, write its file and add a record to FORMATS. Functions import their packages late, because most runs need none of them.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.text import nearest
from avemo_jax.timelines import overlay, page, plot, subtitles, tables, tiers
from avemo_jax.timelines.media import Media

WHOLE_CALL = ("json", "csv")  # one file for all recordings of a call, which the mode `predict` writes


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of one file a recording.

    Attributes:
      suffix: of the file.
      write: writes a prediction to a path; `Media` reads the recording where the format shows it.
      packages: Python module -> package of PyPI, for those that the project does not need otherwise.
    """

    suffix: str
    write: Callable[[RecordingPrediction, Path, Media], None]
    packages: tuple[tuple[str, str], ...] = ()


FORMATS: dict[str, Format] = {
    "eaf": Format(".eaf", tiers.write_eaf, (("pympi", "pympi-ling"),)),
    "textgrid": Format(".TextGrid", tiers.write_textgrid, (("praatio", "praatio"),)),
    "vtt": Format(".vtt", subtitles.write_vtt, (("webvtt", "webvtt-py"),)),
    "srt": Format(".srt", subtitles.write_srt, (("webvtt", "webvtt-py"),)),
    "audformat": Format(".audformat.csv", tables.write_audformat),
    "parquet": Format(".parquet", tables.write_parquet, (("pyarrow", "pyarrow"),)),
    "png": Format(".png", plot.write_plot),
    "svg": Format(".svg", plot.write_plot),
    "overlay": Format(".overlay.mp4", overlay.write_overlay),
    "html": Format(".html", page.write_page),  # after the overlay, which it plays where no browser plays the recording
}


def check_formats(names: Sequence[str]) -> None:
    """Check before any work that formats exist and that their packages are installed.

    Raises:
      ValueError: there is no such format.
      RuntimeError: a package is missing; the message has the command that installs it.
    """
    known = (*WHOLE_CALL, *FORMATS)
    for name in names:
        if name not in known:
            raise ValueError(f"--formats={name}: expected some of {', '.join(known)}{nearest(name, known)}")
    lacking = {package: name for name in names if name in FORMATS for package in _missing(FORMATS[name].packages)}
    if lacking:
        raise RuntimeError(
            f"--formats={','.join(dict.fromkeys(lacking.values()))} needs {', '.join(lacking)}, which is not installed; install it with: "
            f"python -m pip install {' '.join(lacking)}, or leave the format out"
        )


def save(prediction: RecordingPrediction, name: str, path: Path, media: Media) -> None:
    """Write a prediction in one format; the file appears when it is complete.

    Raises:
      ValueError, RuntimeError: as `check_formats`.
    """
    check_formats([name])
    partial = path.with_name(f".{secrets.token_hex(8)}.partial{path.suffix}")
    try:
        FORMATS[name].write(prediction, partial, media)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def suffix_of(name: str) -> str:
    """Return the suffix of the files of a format.

    Raises:
      ValueError: the format is one file for all recordings of a call.
    """
    if name not in FORMATS:
        raise ValueError(f"{name} is one file for all recordings of a call of --mode=predict; expected one of {', '.join(FORMATS)}")
    return FORMATS[name].suffix


def in_order(names: Iterable[str]) -> list[str]:
    """Return the formats of one file a recording, each once, in the order in which they are written."""
    given = set(names)
    return [name for name in FORMATS if name in given]


def _missing(packages: Iterable[tuple[str, str]]) -> list[str]:
    return [package for module, package in packages if importlib.util.find_spec(module) is None]
