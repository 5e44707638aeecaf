"""Damaged films and sounds: whether any of them crashes or holds up the decoder, or loses something without a word.

    python -m benchmarks.mutated_media --films 1500 --sounds 1000

Small films and sounds in many containers are written, and copies of them are damaged: cut, with zeros, flipped bits, lost, doubled or
random bytes. Each is decoded in a worker with the limits of a corpus. A file is accepted in silence where it has another length than the
whole one, or another number of pictures, and gives neither damage nor a note. Prints a table, and the files that failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from data_prep.decoding.media import MediaError
from data_prep.workers.pool import Crash, run_tasks

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

# ending, codec of the picture, codec of the sound, rate in Hz
FILMS = [
    ("mkv", "mpeg4", "pcm_s16le", 16000),
    ("mp4", "mpeg4", "aac", 16000),
    ("mov", "mjpeg", "pcm_s16le", 16000),
    ("avi", "mpeg4", "pcm_s16le", 16000),
    ("avi", "mjpeg", "mp3", 44100),
    ("flv", "flv", "mp3", 44100),
    ("flv", "libx264", "aac", 16000),
    ("ts", "mpeg2video", "aac", 16000),
    ("mpg", "mpeg1video", "mp2", 44100),
    ("webm", "libvpx", "libopus", 48000),
    ("asf", "wmv2", "pcm_s16le", 16000),
]
SOUNDS = [
    ("wav", "pcm_s16le"),
    ("wav", "mp3"),
    ("wav", "adpcm_ms"),
    ("flac", "flac"),
    ("mp3", "mp3"),
    ("m4a", "aac"),
    ("aac", "aac"),
    ("ogg", "flac"),
    ("opus", "libopus"),
    ("mka", "aac"),
    ("aiff", "pcm_s16be"),
    ("caf", "pcm_s16le"),
]
WAYS = ("cut", "zeros", "bits", "lost", "doubled", "random")
LIMIT_S = 60.0


@dataclasses.dataclass(frozen=True)
class Content:
    """What was decoded of a file: lengths, and what was said."""

    sound_s: float
    num_frames: int
    last_frame_s: float
    said: str
    peak_bytes: int


def decode(task: tuple[str, bool]) -> Content:
    """Decode all of a file; runs in a worker."""
    import resource

    from data_prep.decoding.films import stream_frames
    from data_prep.decoding.media import Findings
    from data_prep.decoding.sound import stream_audio

    path, has_picture = Path(task[0]), task[1]
    said, num_samples, times_s = [], 0, []
    sound, picture = Findings(), Findings()
    try:
        for piece in stream_audio(path, rate_hz=16000, segment_s=1.0, findings=sound):
            num_samples += len(piece)
    except MediaError as error:
        said.append(_kind_of(error, path))
    if has_picture:
        try:
            # `.image` is read because it converts the frame, which may fail too
            times_s = [(frame.time_s, frame.image.shape)[0] for frame in stream_frames(path, findings=picture)]
        except MediaError as error:
            said.append(_kind_of(error, path))
    notes = [*sound.notes, *picture.notes]
    said += ["note"] if notes else []
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Content(num_samples / 16000, len(times_s), times_s[-1] if times_s else 0.0, " ".join(said), peak_bytes)


def _kind_of(error: MediaError, path: Path) -> str:
    """Return the kind of damage; its sentence names the file and no address in memory."""
    assert path.name in error.detail and " object at 0x" not in error.detail, error.detail
    return error.kind


def damaged(raw: bytes, way: str, random: np.random.Generator) -> bytes:
    """Return a file's bytes damaged in one way, behind its first 2 percent in nine of ten cases."""
    first = int(len(raw) * 0.02) if random.random() < 0.9 else 0
    place = int(random.integers(first, len(raw) - 1))
    length = int(random.choice([64, 512, 4096]))
    block = raw[place : place + length]
    if way == "cut":
        return raw[: max(place, 1)]
    if way == "zeros":
        return raw[:place] + bytes(len(block)) + raw[place + length :]
    if way == "bits":
        changed = bytearray(raw)
        for where in random.integers(first, len(raw), size=int(random.choice([1, 4, 32]))):
            changed[where] ^= 1 << int(random.integers(8))
        return bytes(changed)
    if way == "lost":
        return raw[:place] + raw[place + length :]
    if way == "doubled":
        return raw[:place] + block + raw[place:]
    return raw[:place] + random.bytes(len(block)) + raw[place + length :]


def write_whole(folder: Path) -> dict[str, Path]:
    """Write the whole files; name -> path."""
    from written_media import chirp, numbered_images, write_sound, write_streams

    found = {}
    random = np.random.default_rng(0)
    images = [np.clip(image + random.integers(-20, 20, image.shape), 0, 255).astype(np.uint8) for image in numbered_images(75, 96, 128)]
    for ending, picture_codec, sound_codec, rate_hz in FILMS:
        path = folder / f"{picture_codec}_{sound_codec}.{ending}"
        sound = chirp(3, rate_hz) * 0.8 + random.normal(0, 0.02, 3 * rate_hz)
        write_streams(path, images=images, sound=sound, picture_codec=picture_codec, sound_codec=sound_codec, rate_hz=rate_hz)
        found[path.name] = path
    for ending, codec in SOUNDS:
        path, rate_hz = folder / f"{codec}.{ending}", 48000 if codec == "libopus" else 44100
        write_sound(path, chirp(3, rate_hz) * 0.8 + random.normal(0, 0.02, 3 * rate_hz), rate_hz=rate_hz, codec=codec)
        found[path.name] = path
    return found


def is_silent(got: Content, whole: Content) -> bool:
    """Return whether something is missing or added without a word."""
    return not got.said and (abs(got.sound_s - whole.sound_s) > 0.03 or got.num_frames != whole.num_frames)


def main() -> None:
    """Write, damage and decode the files; print what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1500)
    parser.add_argument("--sounds", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", help="folder for the files that failed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = write_whole(folder)
        groups = [sorted(one for one in whole if one.split(".")[1] in {ending for ending, *_ in table}) for table in (FILMS, SOUNDS)]
        tasks: dict[str, tuple[str, bool]] = {one: (str(path), one in groups[0]) for one, path in whole.items()}
        source_of: dict[str, str] = {}  # of each damaged file
        for names, number in zip(groups, (arguments.films, arguments.sounds), strict=True):
            for index in range(number):
                source, way = names[index % len(names)], WAYS[index // len(names) % len(WAYS)]
                stem, ending = source.split(".")
                path = folder / f"{stem}_{way}_{index}.{ending}"
                path.write_bytes(damaged(whole[source].read_bytes(), way, np.random.default_rng([index, len(names)])))
                tasks[path.name] = (str(path), names is groups[0])
                source_of[path.name] = source
        results = dict(run_tasks(decode, tasks, num_workers=arguments.workers, time_limit_s=LIMIT_S, unit="file"))
        counts: Counter[tuple[str, str]] = Counter()
        peak_bytes = 0
        for one, source in sorted(source_of.items()):
            path_text, is_film = tasks[one]
            got, whole_one = results[one], results[source]
            if isinstance(got, Crash):
                outcome = f"crash: {got.reason}"
            elif is_silent(got, whole_one):
                outcome = "silent"
            else:
                outcome = got.said.split()[0] if got.said else "same length"
            if not isinstance(got, Crash):
                peak_bytes = max(peak_bytes, got.peak_bytes)
            counts["films" if is_film else "sounds", outcome] += 1
            if outcome == "silent" or outcome.startswith("crash"):
                print(f"{one}: {outcome} {got}, whole: {whole_one}")
                if arguments.keep:
                    Path(arguments.keep).mkdir(parents=True, exist_ok=True)
                    (Path(arguments.keep) / one).write_bytes(Path(path_text).read_bytes())
        print("whole files:", {one: (round(results[one].sound_s, 3), results[one].num_frames, results[one].said) for one in whole})
        for (kind, outcome), number in sorted(counts.items()):
            print(f"{kind:7} {outcome:40} {number:5}")
        print(f"largest memory of a worker: {peak_bytes / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
