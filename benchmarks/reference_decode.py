"""Decoding held against FFmpeg's own program: the same samples and pictures, at the same times.

    python -m benchmarks.reference_decode --films 300 --sounds 200      (needs `ffmpeg` and `ffprobe`: apt-get install ffmpeg)

Synthetic films and sounds are written by `ffmpeg` over containers, codecs, offsets, gaps, edit lists, rates and channels. `ffmpeg` decodes
each to PCM on its time line (silence in gaps, first sample at 0), with its own downmix, and to raw pictures; `ffprobe` gives the times of
the pictures. Counted are files with the same samples (after one shift of 10 ms at most, and to 2 ms of place, as containers round time
stamps; to 16-bit rounding in value where the codec is lossless, 2 % of full scale else), the same length, the same pictures (mean
difference below 2 of 255) and the same times. Prints a table, and each file that differs.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, MediaError
from data_prep.decoding.sound import stream_audio

# ending, codec of the picture, codec of the sound, whether the sound is lossless
FILMS = [
    ("mkv", "libx264", "pcm_s16le", True),
    ("mkv", "mpeg4", "flac", True),
    ("mp4", "libx264", "aac", False),
    ("mp4", "mpeg4", "aac", False),
    ("mov", "mjpeg", "pcm_s16le", True),
    ("avi", "mpeg4", "pcm_s16le", True),
    ("flv", "libx264", "aac", False),
    ("ts", "mpeg2video", "mp2", False),
    ("webm", "libvpx", "libopus", False),
    ("nut", "ffv1", "flac", True),
]
SOUNDS = [
    ("wav", "pcm_s16le", True),
    ("wav", "pcm_s24le", True),
    ("wav", "pcm_f32le", True),
    ("flac", "flac", True),
    ("aiff", "pcm_s16be", True),
    ("mp3", "libmp3lame", False),
    ("m4a", "aac", False),
    ("ogg", "libvorbis", False),
    ("opus", "libopus", False),
    ("w64", "pcm_s16le", True),
    ("caf", "pcm_s16le", True),
    ("mka", "ac3", False),
]
OFFSETS = ("none", "late sound", "late picture", "gap", "edit list")
LAYOUT_SIZES = {"mono": 1, "stereo": 2, "5.1": 6, "3.0": 3, "quad": 4}
LAYOUTS = tuple(LAYOUT_SIZES)
# The weights of the downmix as a filter of FFmpeg.
DOWNMIX = {
    "mono": "pan=mono|c0=c0",
    "stereo": "pan=mono|c0=0.5*c0+0.5*c1",
    "5.1": "pan=mono|c0=c2+0.7071068*c0+0.7071068*c1+0.5*c4+0.5*c5",
    "3.0": "pan=mono|c0=c2+0.7071068*c0+0.7071068*c1",
    "quad": "pan=mono|c0=0.5*c0+0.5*c1+0.3535534*c2+0.3535534*c3",
}
NUM_LAYOUTS = {"flv": 2, "mp3": 2, "ts": 2, "mkv": 3, "nut": 3}  # the first ones; Matroska and NUT have no roles of channels
PLACE_S = 0.002
STEP_S = 0.01  # of a view


def run(*arguments: str) -> bytes:
    """Return what a program prints; raise with its errors where it fails."""
    done = subprocess.run(arguments, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stderr.decode()[-2000:]}")
    return done.stdout


def write(path: Path, index: int, picture: str | None, codec: str, rate_hz: int, layout: str, way: str) -> None:
    """Write a file of 4 s; noise and a sweep as sound, a test picture that moves."""
    fps = (25, 30, "30000/1001", 12)[index % 4]
    sweep = "|".join(f"0.3*sin(2*PI*(150+{90 * channel}+60*t)*t)+0.02*(random({channel})-0.5)" for channel in range(LAYOUT_SIZES[layout]))
    sound = ["-f", "lavfi", "-i", f"aevalsrc={sweep}:d=4:s={rate_hz}:c={layout}"]
    film = ["-f", "lavfi", "-i", f"testsrc2=size=128x96:rate={fps}:duration=4"] if picture else []
    if way == "late sound":
        sound = ["-itsoffset", "0.75", *sound]
    if way == "late picture" and picture:
        film = ["-itsoffset", "0.6", *film]
    filters = ["-af", "aselect='not(between(t,1.5,2.1))'"] if way == "gap" else []
    codecs = ["-c:a", codec]
    if picture:
        codecs += ["-c:v", picture, "-g", "10", "-pix_fmt", "yuvj420p" if picture == "mjpeg" else "yuv420p"]
    quality = ["-b:a", "192k"] if codec in ("aac", "mp2", "libopus", "ac3") else []
    first = path.with_name(f"first_{path.name}") if way == "edit list" else path
    run("ffmpeg", "-v", "error", "-y", *film, *sound, *filters, *codecs, *quality, "-strict", "-2", str(first))
    if way == "edit list":
        run("ffmpeg", "-v", "error", "-y", "-ss", "1.3", "-i", str(first), "-c", "copy", str(path))
        first.unlink()


def start_of(path: Path) -> float:
    """Return where a file's time line begins, in the time stamps of the file."""
    found = json.loads(run("ffprobe", "-v", "error", "-show_format", "-of", "json", str(path)))["format"]
    return float(found.get("start_time", 0) or 0)


def sound_differs(path: Path, rate_hz: int, layout: str, is_lossless: bool) -> str | None:
    """Return how our sound differs from FFmpeg's, or None."""
    samples = np.concatenate(list(stream_audio(path, rate_hz=rate_hz, segment_s=1.0, findings=Findings())))
    fill = f"asetpts=PTS-{start_of(path)}/TB,aresample=async=1:min_hard_comp=0.012:first_pts=0,{DOWNMIX[layout]}"
    raw = run("ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:a:0", "-af", fill, "-f", "f32le", "-c:a", "pcm_f32le", "-")
    expected = np.frombuffer(raw, np.float32)
    if abs(len(samples) - len(expected)) > 0.05 * rate_hz:
        return f"{len(samples) / rate_hz:.3f} s of sound, FFmpeg {len(expected) / rate_hz:.3f} s"
    tolerance = 2 / 32768 if is_lossless else 0.02
    most = round(PLACE_S * rate_hz)
    piece = round(0.25 * rate_hz)
    shift = best_shift(samples, expected, round(STEP_S * rate_hz))
    samples = samples[shift:] if shift >= 0 else np.pad(samples, (-shift, 0))
    worst = 0.0
    for start in range(most, min(len(samples), len(expected)) - piece - most, piece):
        part = expected[start : start + piece]
        places = (samples[start + by : start + by + piece] for by in range(-most, most + 1))
        worst = max(worst, min(float(np.quantile(np.abs(place - part[: len(place)]), 0.95)) for place in places if len(place)))
    return None if worst <= tolerance else f"samples differ by {worst:.4f}"


def best_shift(samples: np.ndarray, expected: np.ndarray, most: int) -> int:
    """Return by how many samples, `most` at most, ours come later: FFmpeg's program may count the priming of a codec as time."""
    start = most + int(np.argmax(np.abs(expected[most:]) > 0.05))
    part = expected[start : start + 60 * most]
    scores = [float(samples[start + by : start + by + len(part)] @ part) for by in range(-most, most + 1)]
    return int(np.argmax(scores)) - most


def picture_differs(path: Path) -> str | None:
    """Return how our pictures differ from FFmpeg's, or None."""
    frames = [(frame.time_s, frame.image) for frame in stream_frames(path)]
    raw = run(
        "ffmpeg", "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"
    )
    expected = np.frombuffer(raw, np.uint8).reshape(-1, *frames[0][1].shape)
    shown = ("-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0")
    entries = run("ffprobe", "-v", "error", *shown, str(path)).decode()
    times_s = np.array([float(line.strip(",")) for line in entries.split()]) - start_of(path)
    num_early = int((times_s < -1e-3).sum())  # before an edit list; FFmpeg before version 7 shows one
    times_s, expected = times_s[num_early:], expected[num_early if len(expected) > len(frames) else 0 :]
    if not len(frames) == len(expected) == len(times_s):
        return f"{len(frames)} pictures, FFmpeg {len(expected)}, ffprobe {len(times_s)}"
    difference = max(float(np.abs(ours.astype(int) - theirs).mean()) for (_, ours), theirs in zip(frames, expected, strict=True))
    if difference > 2:
        return f"pictures differ by {difference:.1f}"
    apart_s = float(np.abs(times_s - [time_s for time_s, _ in frames]).max())
    return None if apart_s <= STEP_S else f"times differ by {apart_s:.3f} s"


def main() -> None:
    """Write and compare the files; print what differs, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--sounds", type=int, default=200)
    parser.add_argument("--keep", help="folder for the files that differ")
    arguments = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for kind, number, table in (("film", arguments.films, FILMS), ("sound", arguments.sounds, SOUNDS)):
            for index in range(number):
                ending, *codecs, is_lossless = table[index % len(table)]
                turn = index // len(table)
                layout = LAYOUTS[(turn // len(OFFSETS) + index) % NUM_LAYOUTS.get(ending, len(LAYOUTS))]
                way = OFFSETS[turn % len(OFFSETS)] if kind == "film" else "none"
                rate_hz = 48000 if codecs[-1] in ("libopus", "ac3") else (44100, 48000, 16000, 22050)[turn % 4]
                if codecs[-1] == "mp2":
                    rate_hz = 44100
                elif codecs[-1] == "libmp3lame" or ending == "flv":
                    rate_hz = (44100, 22050)[turn % 2]
                path = Path(folder) / f"{kind}_{index}_{way.replace(' ', '_')}_{layout}.{ending}"
                write(path, index, codecs[0] if kind == "film" else None, codecs[-1], rate_hz, layout, way)
                checks = {"sound": functools.partial(sound_differs, path, rate_hz, layout, is_lossless)}
                if kind == "film":
                    checks["picture"] = functools.partial(picture_differs, path)
                for what, compare in checks.items():
                    try:
                        difference = compare()
                    except MediaError as error:
                        difference = f"refused: {error}"
                    counts[f"{what} of {kind}s", "same" if difference is None else "differs"] += 1
                    if difference is not None:
                        print(f"{path.name} ({codecs[-1]}, {rate_hz} Hz): {difference}", flush=True)
                        if arguments.keep:
                            Path(arguments.keep).mkdir(parents=True, exist_ok=True)
                            (Path(arguments.keep) / path.name).write_bytes(path.read_bytes())
                path.unlink()
    for (what, outcome), number in sorted(counts.items()):
        print(f"{what:18} {outcome:8} {number:5}")


if __name__ == "__main__":
    main()
