"""Preparing a corpus: our prepared sets with two workers against the same views written plainly in one process, turn by turn (A B A B).

    python -m benchmarks.preparing                                                 the demo corpus, made where it is missing
    python -m benchmarks.preparing --corpus ravdess=/data/RAVDESS --part mel       another one; parts it has no media for are left out
    python -m benchmarks.preparing --clips 48 --rounds 5

What is timed on our side is `prepare_view` from clips to a finished set: content hashes of the media, decoding with its checks, the view,
staging, writing, reading back, waiting for the disk. On the other: `plain_views` in a loop, each clip saved with np.save. Libraries are
loaded on both sides before the clock starts; what that takes our workers stands beneath the table.

Prints for each part the median clips per second of either side, the median over rounds of the ratio of a round's two times with its least
and largest, processor milliseconds of a clip (of all processes and threads), peak resident memory (ours of this process and its workers,
plain of this process), and the mean absolute difference of the two sides' values as a part of their range. Ends with an error where one
and two workers write different bytes, or the sides differ by more than 1 % of the range.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedSet
from benchmarks import plain_views
from benchmarks.turns import format_ratio
from data_prep.corpora import load_clips
from data_prep.sets.prepare import prepare_view
from data_prep.workers.pool import WorkerPool

TOLERANCE = 0.01


class Part(NamedTuple):
    """One view on both sides: ours by name and parameters, theirs as a function of a file."""

    view: str
    params: Mapping[str, Any]
    plain: Callable[[Path], np.ndarray]
    medium: str


PARTS = {
    "decode": Part("frames", {"size_px": 64}, plain_views.frames, "video"),
    "faces": Part("faces", {}, plain_views.faces, "video"),
    "keyframes": Part("keyframes", {}, plain_views.keyframes, "video"),
    "mel": Part("logmel_frames", {"trim_db": 0.0}, plain_views.mel, "audio"),
    "mfcc": Part("mfcc", {}, plain_views.mfcc, "audio"),
}
HEADER = (
    f"{'part':10} {'clips':>5} {'ours /s':>9} {'plain /s':>9} {'plain / ours':>18} {'ours ms':>9} {'plain ms':>9} {'ours MiB':>9} "
    f"{'plain MiB':>9} {'difference':>11}"
)
# Options that `load_clips` takes of a corpus.
OPTIONS: dict[str, dict[str, Any]] = {"synthetic": {"num_actors": 12, "num_takes": 3, "seed": 0}, "ravdess": {"channel": "speech"}}


class Corpus(NamedTuple):
    """Clips and the folder that their media lie in."""

    name: str
    root: Path
    clips: Sequence[Clip]


class Row(NamedTuple):
    """What was measured of one part: seconds of each round, peak bytes, processor time of a round, difference as a part of the range."""

    ours_s: list[float]
    plain_s: list[float]
    ours_bytes: int
    plain_bytes: int
    ours_cpu_s: float
    plain_cpu_s: float
    difference: float


def ours(part: Part, corpus: Corpus, directory: Path, num_workers: int, pool: WorkerPool) -> PreparedSet:
    """Prepare a part in an empty directory."""
    return prepare_view(
        corpus=corpus.name,
        root=corpus.root,
        clips=corpus.clips,
        view_name=part.view,
        view_params=part.params,
        prepared_dir=directory,
        num_workers=num_workers,
        pool=pool,
    )


def plain(part: Part, corpus: Corpus, directory: Path) -> None:
    """The other side: file after file."""
    directory.mkdir()
    for clip in corpus.clips:
        np.save(directory / f"{clip.clip_id}.npy", part.plain(corpus.root / getattr(clip, part.medium)))


@contextmanager
def peak_memory(*, with_workers: bool, every_s: float = 0.05) -> Iterator[list[int]]:
    """Watch the resident memory of this process, with that of its workers or without; the list holds the largest sum in bytes."""
    peak, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(every_s):
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children() if with_workers)]
            peak[0] = max(peak[0], sum(_resident_bytes(pid) for pid in pids))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()


def _resident_bytes(pid: int | None) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # it has ended meanwhile
        return 0


def processor_s() -> float:
    """Processor time of this process and the workers that live, in s."""
    ticks = 0
    for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def difference(part: Part, prepared: PreparedSet, directory: Path) -> float:
    """Mean absolute difference of the values of all clips, as a part of the range of the plain ones.

    Raises:
      ValueError: a clip has other shapes on the two sides, or is not there.
    """
    total, num_values, least, largest = 0.0, 0, np.inf, -np.inf
    seen = set()
    for example in prepared.examples():
        theirs = np.load(directory / f"{example.clip_id}.npy")
        if example.segment or theirs.shape != example.values.shape:
            raise ValueError(f"{example.clip_id}: ours has the shape {example.values.shape}, the plain one {theirs.shape}")
        total += float(np.abs(example.values.astype(np.float64) - theirs).sum())
        num_values += theirs.size
        least, largest = min(least, theirs.min()), max(largest, theirs.max())
        seen.add(example.clip_id)
    if missing := {path.stem for path in directory.glob("*.npy")} - seen:
        raise ValueError(f"{part.view}: ours lacks {', '.join(sorted(missing))}")
    return total / num_values / float(largest - least)


def check_same_bytes(one: Path, other: Path) -> None:
    """Check that two prepared sets have the same files, byte for byte.

    Raises:
      ValueError: they differ.
    """
    files = [{path.name: path.read_bytes() for path in directory.iterdir()} for directory in (one, other)]
    if files[0] != files[1]:
        names = [name for name in files[0] | files[1] if files[0].get(name) != files[1].get(name)]
        raise ValueError(f"one and two workers wrote different bytes: {', '.join(sorted(names))}")


def measure(part: Part, corpus: Corpus, folder: Path, num_rounds: int, num_workers: int, pool: WorkerPool) -> Row:
    """Time a part on both sides in turns, in folders below `folder`, and compare what they made.

    Raises:
      ValueError: the outputs differ (see `difference`, `check_same_bytes`).
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    spent_s: tuple[list[float], list[float]] = ([], [])
    peaks = [0, 0]
    prepared = None
    for number in range(num_rounds):
        sides = (
            lambda place: ours(part, corpus, place, num_workers, pool),
            lambda place: plain(part, corpus, place),
        )
        for side, run in enumerate(sides):
            os.sync()  # ours waits until its set is on the disk, and must not wait for what the other side has left in memory
            with peak_memory(with_workers=side == 0) as peak:
                start, spent = time.perf_counter(), processor_s()
                found = run(folder / f"{side}-{number}")
                seconds[side].append(time.perf_counter() - start)
                spent_s[side].append(processor_s() - spent)
            peaks[side] = max(peaks[side], peak[0])
            prepared = found if found is not None else prepared
    assert prepared is not None
    with WorkerPool() as alone:
        check_same_bytes(ours(part, corpus, folder / "alone", 1, alone).directory, prepared.directory)
    return Row(*seconds, *peaks, *map(statistics.median, spent_s), difference(part, prepared, folder / "1-0"))


def start_up(part: Part, corpus: Corpus, directory: Path, num_workers: int, pool: WorkerPool) -> float:
    """Seconds until workers have their libraries and have prepared one clip each; and the plain side has loaded its own."""
    few = corpus._replace(clips=corpus.clips[: 2 * num_workers])
    start = time.perf_counter()
    ours(part, few, directory / "few", num_workers, pool)
    seconds = time.perf_counter() - start
    plain(part, few, directory / "few-plain")
    return seconds


def format_row(name: str, num_clips: int, row: Row) -> str:
    speeds = f"{num_clips / statistics.median(row.ours_s):9.1f} {num_clips / statistics.median(row.plain_s):9.1f}"
    ratio = format_ratio(row.plain_s, row.ours_s)
    spent = f"{row.ours_cpu_s / num_clips * 1e3:9.1f} {row.plain_cpu_s / num_clips * 1e3:9.1f}"
    return f"{name:10} {num_clips:5} {speeds} {ratio:>18} {spent} {row.ours_bytes >> 20:9} {row.plain_bytes >> 20:9} {row.difference:11.1e}"


def compare(corpus: Corpus, names: Iterable[str], num_rounds: int, num_workers: int) -> Iterator[str]:
    """Measure the parts that the corpus has media for; yield the lines of the table.

    Raises:
      SystemExit: the two sides differ by more than TOLERANCE.
    """
    yield f"{corpus.name}: {len(corpus.clips)} clips"
    yield HEADER
    rows, starts = [], []
    with WorkerPool() as pool:
        for name in names:
            part = PARTS[name]
            if not all(getattr(clip, part.medium) for clip in corpus.clips):
                continue
            with tempfile.TemporaryDirectory() as folder:
                starts.append(f"{name} {start_up(part, corpus, Path(folder), num_workers, pool):.1f} s")
                rows.append(measure(part, corpus, Path(folder), num_rounds, num_workers, pool))
            yield format_row(name, len(corpus.clips), rows[-1])
            if rows[-1].difference > TOLERANCE:
                raise SystemExit(f"error: the sides of {name} differ by {rows[-1].difference:.2%} of the range, expected {TOLERANCE:.0%}")
    ours_s, plain_s = (list(map(sum, _rounds(rows, side))) for side in ("ours_s", "plain_s"))
    yield f"all parts: plain / ours {format_ratio(plain_s, ours_s)}"
    yield f"before that, libraries and the first clips: {', '.join(starts)}"


def _rounds(rows: Sequence[Row], side: str) -> list[tuple[float, ...]]:
    """The seconds of all parts, round by round."""
    return list(zip(*(getattr(row, side) for row in rows), strict=True))


def read_corpus(text: str, most: int) -> Corpus:
    """NAME=FOLDER as a corpus of at most that many clips, spread evenly over all; 0: all."""
    name, _, root = text.partition("=")
    clips = load_clips(name, root, **OPTIONS.get(name, {}))
    places = np.linspace(0, len(clips) - 1, min(most, len(clips)) if most else len(clips)).round().astype(int)
    return Corpus(name, Path(root), [clips[place] for place in places])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", help="NAME=FOLDER, may be given several times; default synthetic=corpora/synthetic")
    parser.add_argument("--part", choices=PARTS, action="append", help="may be given several times; all by default")
    parser.add_argument("--clips", type=int, default=0, help="of each corpus, spread over it; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--opencv_threads", type=int, default=0, help="of the plain side; 0: as OpenCV chooses, one a core")
    arguments = parser.parse_args()
    if arguments.opencv_threads:
        cv2.setNumThreads(arguments.opencv_threads)
    num_cores, num_threads = len(os.sched_getaffinity(0)), cv2.getNumThreads()
    print(f"{num_cores} cores, {arguments.workers} workers, {arguments.rounds} rounds; plain side with {num_threads} threads of OpenCV")
    for text in arguments.corpus or ["synthetic=corpora/synthetic"]:
        print()
        for line in compare(read_corpus(text, arguments.clips), arguments.part or PARTS, arguments.rounds, arguments.workers):
            print(line, flush=True)


if __name__ == "__main__":
    main()
