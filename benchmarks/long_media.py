"""Benchmark of long recordings: time and memory of preparing, encoding and predicting them, by length.

    python -m benchmarks.long_media                                     sound of 5, 20, 60 and 120 minutes through Whisper-base
    python -m benchmarks.long_media --film                              films, faces found at one frame a second, no encoder
    python -m benchmarks.long_media --minutes 5 120 --encoder whisper_tiny

The recordings are noise and tones; films show a drawn picture of 64 x 64 px at 5 frames a second. Weights are random unless --weights names
a folder, since neither time nor memory depends on them. Each step is a command of its own:

    prepare    decoding and the views of the recording, as a corpus of one clip
    encode     the frozen encoder over these views
    predict    run.py --mode=predict with a run of one epoch, trained on a small demo corpus

Prints for each length and step the seconds, the largest memory of any process of the command (MiB), the size of what it wrote (MiB), and
from where to where in the recording its steps or segments lie, with the largest distance between two of them (s).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.config import Experiment, parse, to_plain
from avemo_jax.config.overrides import with_fields
from avemo_jax.data.prepared import PreparedCorpus
from benchmarks.predict import demo_experiment, train_in_new_process
from data_prep.sets.derived import DerivedSets
from data_prep.sets.prepare import prepare_view

_ROOT = Path(__file__).resolve().parents[1]
_RATE_HZ, _SOUND_BLOCK_S = 16_000, 10
_FRAME_RATE_FPS, _SIZE_PX = 5, 64
_FACES_FPS = 1.0
# A small process that starts the command: a child counts the memory of the process that it is forked from as its own.
_LAUNCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


class Measured(NamedTuple):
    """Seconds of a command, and the largest memory of any of its processes in MiB."""

    seconds: float
    peak_mib: float


def write_recording(path: Path, minutes: float, *, film: bool) -> Path:
    """Write noise and tones of that length as FLAC or, with pictures, as MP4; return the path."""
    import av

    rng = np.random.default_rng(0)
    tones = np.sin(2 * np.pi * 220 * np.arange(_SOUND_BLOCK_S * _RATE_HZ) / _RATE_HZ) * 0.05
    rows, columns = np.mgrid[:_SIZE_PX, :_SIZE_PX]
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac" if film else "flac", rate=_RATE_HZ, layout="mono")
        pictures = container.add_stream("mpeg4", rate=_FRAME_RATE_FPS) if film else None
        if pictures is not None:
            pictures.width = pictures.height = _SIZE_PX
            pictures.pix_fmt = "yuv420p"
        for block in range(round(minutes * 60 / _SOUND_BLOCK_S)):
            samples = tones * rng.uniform(0.5, 1) + rng.normal(scale=0.02, size=len(tones))
            frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = _RATE_HZ, block * len(tones), Fraction(1, _RATE_HZ)
            container.mux(sound.encode(frame))
            for number in range(_SOUND_BLOCK_S * _FRAME_RATE_FPS) if pictures is not None else ():
                shade = (rows + columns + number) % 256
                picture = av.VideoFrame.from_ndarray(np.repeat(shade[..., None], 3, 2).astype(np.uint8), "rgb24")
                picture.pts = block * _SOUND_BLOCK_S * _FRAME_RATE_FPS + number
                picture.time_base = Fraction(1, _FRAME_RATE_FPS)
                container.mux(pictures.encode(picture))
        for stream in container.streams:
            container.mux(stream.encode(None))
    return path


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end.

    Raises:
      SystemExit: it fails, with the end of its output.
    """
    started_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _LAUNCHER, *command], cwd=_ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return Measured(time.monotonic() - started_s, int(done.stdout.splitlines()[-1]) / 1024)


def prepared_times(folder: Path, view: str) -> str:
    """Return where the real steps of a prepared set of one clip begin and end, and the largest distance between two of them."""
    from avemo_jax.data.prepared import PreparedSet

    (found,) = [path for path in folder.glob(f"*-{view}-*") if path.is_dir() and not path.name.endswith(".partial")]
    times_s = np.concatenate([one.times_s[one.mask] for one in PreparedSet.open(found).examples()])
    return f"{times_s[0]:.2f}-{times_s[-1]:.2f} s, at most {np.diff(times_s.astype(np.float64)).max():.3f} s apart, {len(times_s):,} steps"


def predicted_times(folder: Path) -> str:
    """Return where the segments of a prediction begin and end."""
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["segment"]]
    return f"{float(rows[0]['start_s']):.2f}-{float(rows[-1]['end_s']):.2f} s, {len(rows):,} segments"


def size_mib(folder: Path) -> float:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def format_row(minutes: float, step: str, measured: Measured, written_mib: float, covers: str) -> str:
    return f"{minutes:>7g} {step:8} {measured.seconds:8.1f} {measured.peak_mib:8.0f} {written_mib:8.1f}  {covers}"


def compare(minutes: float, folder: Path, experiment: Experiment, *, film: bool) -> Iterator[str]:
    """Yield the rows of a recording of that length."""
    recording = write_recording(folder / ("film.mp4" if film else "sound.flac"), minutes, film=film)
    prepared, output = folder / "prepared", folder / "predictions"
    task = {"config": to_plain(with_fields(experiment, {"prepared_dir": str(prepared)})), "recording": str(recording)}
    command = [sys.executable, "-m", "benchmarks.long_media", "--task"]
    views = measure([*command, json.dumps(task)])
    views_mib = size_mib(prepared)
    yield format_row(minutes, "prepare", views, views_mib, prepared_times(prepared, "faces" if film else "logmel_whisper"))
    if not film:
        encoded = measure([*command, json.dumps(task | {"encode": True})])
        view = f"logmel_whisper.{experiment.streams['audio'].encoder}"
        yield format_row(minutes, "encode", encoded, size_mib(prepared) - views_mib, prepared_times(prepared, view))
    run = experiment.run_directory
    command = [sys.executable, "run.py", f"--run={run}", "--mode=predict", f"--input={recording}", f"--output={output}"]
    yield format_row(minutes, "predict", measure(command), size_mib(output), predicted_times(output))


def prepare_recording(experiment: Experiment, recording: Path, *, encode: bool) -> None:
    """Prepare a recording as a corpus of one clip, as the mode `prepare` does; with `encode` also its features."""
    clips = (Clip("long", "long", "", "", audio=recording.name, video=recording.name),)
    folder = Path(experiment.prepared_dir)
    sets = {
        stream: prepare_view(
            corpus="long",
            root=recording.parent,
            clips=clips,
            view_name=own.view,
            view_params=experiment.views[own.view],
            prepared_dir=folder,
            num_workers=1,
        )
        for stream, own in experiment.streams.items()
    }
    if encode:
        from avemo_jax.experiment.features import with_features  # late: brings JAX

        with_features(experiment, PreparedCorpus(clips, sets, None), DerivedSets(folder, "long", clips))


def trained_experiment(folder: Path, *, film: bool, encoder: str, weights: str) -> Experiment:
    """Return the experiment of a run of one epoch on a small demo corpus, trained here where `folder` does not hold it."""
    experiment = demo_experiment("audio_video" if film else "whisper", folder, num_actors=4, num_takes=1)
    changes: dict[str, Any] = {"protocol.name": "holdout_50_25_25", "views.faces.rate_fps": _FACES_FPS}
    if not film:
        changes |= {"streams.audio.encoder": encoder, f"encoders.{encoder}.weights": weights}
    experiment = with_fields(experiment, changes)
    if not (experiment.run_directory / "results.json").is_file():
        train_in_new_process(experiment)
    return experiment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 20, 60, 120])
    parser.add_argument("--film", action="store_true", help="films through the demo's audio_video, without an encoder")
    parser.add_argument("--encoder", default="whisper_base")
    parser.add_argument("--weights", default="random", help="folder of the encoder's published weights")
    parser.add_argument("--folder", type=Path, help="folder of the trained run, which is used again; default: a temporary one")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if task := arguments.task:
        prepare_recording(parse(task["config"]), Path(task["recording"]), encode=task.get("encode", False))
        return
    film = arguments.film
    print(f"{'minutes':>7} {'step':8} {'seconds':>8} {'peak MiB':>8} {'MiB':>8}  covers", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        experiment = trained_experiment(folder, film=film, encoder=arguments.encoder, weights=arguments.weights)
        for minutes in arguments.minutes:
            with tempfile.TemporaryDirectory() as own:
                for row in compare(minutes, Path(own), experiment, film=film):
                    print(row, flush=True)


if __name__ == "__main__":
    main()
