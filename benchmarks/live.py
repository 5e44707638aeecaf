"""Benchmark of following a recording while it is made: the latency of a hop, and memory over hours.

    python -m benchmarks.live                                        the demo's system of sound, trained for one epoch
    python -m benchmarks.live --run=runs/ravdess-gru_attention_small-luna5 --minutes=120
    python -m benchmarks.live --run=FOLDER --pace=1 --minutes=1      at the pace of a microphone

Made-up sound of 48 kHz is pushed in blocks of 0.1 s, as the page of --mode=serve does it, and with --pictures a drawn picture of 480 x 360
px at 8 pictures a second. Prints the seconds until the stream is ready; median, 95th and 100th percentile of the time in ms that a push
takes that completes a window (the views in a process of their own, encoders, networks, smoothing); the processor time of both processes a
window, which other work on the machine changes less; and the resident memory in MiB of this process and of that of the views after 5
minutes of recording and at the end.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from avemo_jax import api
from benchmarks.predict import demo_experiment, train_in_new_process
from data_prep.live_stream import Picture

RATE_HZ, BLOCK_S, PICTURES_PER_S = 48_000, 0.1, 8
_FIRST_MINUTES = 5.0


def blocks() -> Iterator[np.ndarray]:
    """Yield blocks of a voiced sound (S,) float32, with pauses, without end."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(BLOCK_S * RATE_HZ)) / RATE_HZ
    for number in itertools.count():
        pitch_hz = 120 + 60 * np.sin(number / 7)
        voice = sum(np.sin(2 * np.pi * pitch_hz * harmonic * (time_s + number * BLOCK_S)) / harmonic for harmonic in range(1, 12))
        level = 0.0 if number % 40 > 33 else 0.1
        yield (level * voice + rng.normal(scale=0.003, size=len(time_s))).astype(np.float32)


def picture() -> bytes:
    """Return a drawn face as JPEG."""
    image = Image.new("RGB", (480, 360), "grey")
    draw = ImageDraw.Draw(image)
    draw.ellipse((150, 60, 330, 300), fill="bisque")
    for x in (205, 275):
        draw.ellipse((x - 15, 140, x + 15, 160), fill="black")
    draw.line((200, 240, 280, 240), fill="darkred", width=8)
    content = io.BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()


def resident_mib(process_id: int | None) -> float:
    """Return the resident memory of a process in MiB (Linux)."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def processor_s(process_id: int | None) -> float:
    """Return the processor time that a process has taken in s (Linux)."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder: Path, *, minutes: float, pace: float, with_pictures: bool) -> Iterator[str]:
    """Yield lines of measurements."""
    with api.load(folder) as model:
        hears, sees = "audio" in model.media, with_pictures and "video" in model.media
        begin_s = time.perf_counter()
        with model.stream(RATE_HZ if hears else None, pictures=sees) as stream:
            stream.warm_up()
            yield f"ready after {time.perf_counter() - begin_s:.2f} s; {'sound' if hears else ''} {'pictures' if sees else ''}".rstrip()
            latencies_ms, num_hops, shown = [], 0, picture()
            begin_s, processes = time.perf_counter(), (os.getpid(), stream.process_id)
            before_s = sum(map(processor_s, processes))
            marks = sorted({min(_FIRST_MINUTES, minutes), minutes})
            for number, block in enumerate(itertools.islice(blocks(), round(60 * minutes / BLOCK_S))):
                time_s = number * BLOCK_S
                at = range(round(time_s * PICTURES_PER_S), round((time_s + BLOCK_S) * PICTURES_PER_S)) if sees else ()
                if pace:
                    time.sleep(max(0.0, begin_s + (time_s + BLOCK_S) / pace - time.perf_counter()))
                before, push_s = stream.latest, time.perf_counter()
                num_hops += len(stream.push(block if hears else None, [Picture(one / PICTURES_PER_S, shown) for one in at]))
                if stream.latest is not before:
                    latencies_ms.append(1000 * (time.perf_counter() - push_s))
                if marks and time_s + BLOCK_S >= 60 * marks[0] - 1e-6:
                    memory = f"{resident_mib(os.getpid()):.0f} + {resident_mib(stream.process_id):.0f} MiB"
                    yield f"{marks.pop(0):6g} minutes  {memory}"
            took_s = time.perf_counter() - begin_s
            processor_ms = 1000 * (sum(map(processor_s, processes)) - before_s) / len(latencies_ms)
            num_hops += len(stream.close())
            median, high, most = np.percentile(latencies_ms, (50, 95, 100))
            yield f"latency a hop: median {median:.1f}, 95 % {high:.1f}, largest {most:.1f} ms, of {len(latencies_ms)} windows"
            yield f"processor time a hop: {processor_ms:.1f} ms"
            yield f"{num_hops} hops of {model.hop_s:g} s in {took_s:.0f} s, expected {60 * minutes / model.hop_s:g} hops"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run directory or model folder; default: a small run of the demo's sound")
    parser.add_argument("--minutes", type=float, default=10, help="of recording")
    parser.add_argument("--pace", type=float, default=0, help="seconds of recording a second; 0: as fast as it goes")
    parser.add_argument("--pictures", action="store_true", help="push pictures too, where the system takes them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.run
        if folder is None:
            experiment = demo_experiment("audio", Path(temporary), num_actors=4, num_takes=2)
            train_in_new_process(experiment)
            folder = experiment.run_directory
        print(f"{len(os.sched_getaffinity(0))} cores, {folder.name}", flush=True)
        for line in measure(folder, minutes=arguments.minutes, pace=arguments.pace, with_pictures=arguments.pictures):
            print(line, flush=True)


if __name__ == "__main__":
    main()
