"""Benchmark of who speaks: films of two faces side by side made of clips of one speaker each, of which one is heard.

    python -m benchmarks.who_speaks --clips "GRID/*.mpg" --clips "CREMA-D/*.flv"

The speaker of a clip is its name up to "_". For each two clips of different speakers the first is heard, and beside it is seen
    speaks too   the second one, which says something else at the same time and is not heard: four films, shifted in time
    listens      the second one where it is silent, to and fro
    turns        both speak and listen by turns of a clip's length, four turns; the whole seconds of a turn count,
                 but for those of which less than a third is loud
    not seen     as "speaks too", with the sound of a third clip: right is that it cannot be told
The films are written, and their faces and sound read again, as --mode=predict reads films. The width of the
weights and the thresholds are chosen on the films of half of
the speakers (the most right answers of which at most 5 % are wrong) and counted on those of the other half, both ways; the counts of both
halves are added. Films with speakers of both halves are left out.
"""

from __future__ import annotations

import argparse
import glob
import itertools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from avemo_jax.inference.speaking import LEAST_CORRELATION, LEAST_LEAD, WEIGHTS_S, SpeakerFinder
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings
from data_prep.decoding.sound import stream_audio
from data_prep.mouth_motion import MouthsAndSound, mouths_and_sound
from data_prep.people import find_people

_RATE_FPS, _RATE_HZ = 25, 16000
_SIZE_PX = (320, 240)
_SILENT = 0.05  # of the loudest 40 ms
_GRID = tuple(itertools.product((0.5, 0.7, 1.0), (0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)))
_MOST_WRONG = 0.05


class Talk(NamedTuple):
    """A clip: pictures (T, H, W, 3) at 25 a second, sound (S,) of the same length, numbers of pictures in which it is silent."""

    speaker: str
    pictures: np.ndarray
    sound: np.ndarray
    rest: np.ndarray


class Judged(NamedTuple):
    """What is seen and heard in a film, and who speaks when: (start in s, end in s, number of the person or None)."""

    kind: str
    found: MouthsAndSound
    truth: list[tuple[float, float, int | None]]


def read_talk(path: Path) -> Talk:
    """Return a clip."""
    frames = [(frame.time_s, cv2.resize(frame.image, _SIZE_PX)) for frame in stream_frames(path, findings=Findings(keeps=True))]
    times_s = np.array([time_s for time_s, _ in frames])
    steps_s = np.arange(int(times_s[-1] * _RATE_FPS) + 1) / _RATE_FPS
    pictures = np.stack([frames[int(np.abs(times_s - step_s).argmin())][1] for step_s in steps_s])
    sound = np.concatenate(list(stream_audio(path, rate_hz=_RATE_HZ, segment_s=10, findings=Findings(keeps=True))))
    size = _RATE_HZ // _RATE_FPS
    sound = np.pad(sound, (0, max(0, len(pictures) * size - len(sound))))[: len(pictures) * size]
    level = _level(sound)
    loud = np.flatnonzero(level > _SILENT * level.max())
    head, tail = np.arange(loud[0]), np.arange(loud[-1] + 1, len(pictures))
    return Talk(path.stem.split("_")[0], pictures, sound, head if len(head) > len(tail) else tail)


def is_loud(one: Talk, second_s: int) -> bool:
    """Return whether a third of a second of a clip is louder than its pauses."""
    level = _level(one.sound)
    return bool((level[second_s * _RATE_FPS : (second_s + 1) * _RATE_FPS] > _SILENT * level.max()).mean() > 1 / 3)


def _level(sound: np.ndarray) -> np.ndarray:
    return np.sqrt((sound.reshape(-1, _RATE_HZ // _RATE_FPS) ** 2).mean(axis=1))


def at_rest(one: Talk, length: int) -> np.ndarray:
    """Return pictures of a clip in which it is silent, to and fro."""
    there = one.rest if len(one.rest) > 1 else np.array([len(one.pictures) - 2, len(one.pictures) - 1])
    return one.pictures[np.resize(np.concatenate([there, there[-2:0:-1]]), length)]


def films(talks: list[Talk]) -> Iterator[tuple[str, np.ndarray, np.ndarray, list[tuple[float, float, int | None]]]]:
    """Yield kind, pictures, sound and truth of each film; person 0 is on the left."""
    size = _RATE_HZ // _RATE_FPS
    for one, other in itertools.permutations(talks, 2):
        if one.speaker == other.speaker:
            continue
        length = min(len(one.pictures), len(other.pictures))
        sound, whole = one.sound[: length * size], (0.0, length / _RATE_FPS)
        for shift in range(4):
            moved = np.roll(other.pictures[:length], shift * length // 4, axis=0)
            yield "speaks too", np.concatenate([one.pictures[:length], moved], axis=2), sound, [(*whole, 0)]
        yield "listens", np.concatenate([one.pictures[:length], at_rest(other, length)], axis=2), sound, [(*whole, 0)]
        third = next((talk for talk in talks if talk.speaker not in (one.speaker, other.speaker) and len(talk.pictures) >= length), None)
        if third is not None:
            pictures = np.concatenate([one.pictures[:length], other.pictures[:length]], axis=2)
            yield "not seen", pictures, third.sound[: length * size], [(*whole, None)]
        if one.speaker < other.speaker:
            first = np.concatenate([one.pictures[:length], at_rest(other, length)], axis=2)
            second = np.concatenate([at_rest(one, length), other.pictures[:length]], axis=2)
            turns = np.concatenate([sound, other.sound[: length * size]])
            truth = [
                (turn * whole[1] + second_s, turn * whole[1] + second_s + 1.0, turn % 2)
                for turn in range(4)
                for second_s in range(int(whole[1]))
                if is_loud((one, other)[turn % 2], second_s)
            ]
            yield "turns", np.concatenate([first, second] * 2), np.tile(turns, 2), truth


def write_film(path: Path, pictures: np.ndarray, sound: np.ndarray) -> None:
    """Write pictures (T, H, W, 3) uint8 at 25 a second and sound (S,)."""
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=_RATE_FPS, options={"qscale": "3", "b": "4M"})
        film.height, film.width = pictures.shape[1:3]
        film.pix_fmt = "yuv420p"
        track = container.add_stream("pcm_s16le", rate=_RATE_HZ, layout="mono")
        for picture in pictures:
            container.mux(film.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(film.encode())
        samples = av.AudioFrame.from_ndarray(np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = _RATE_HZ, 0, Fraction(1, _RATE_HZ)
        container.mux(track.encode(samples))
        container.mux(track.encode())


def read_films(talks: list[Talk], detector: str, detector_path: str | None) -> tuple[list[Judged], Counter]:
    """Return what is seen and heard in each film in which both faces are followed, and a count of the others by kind."""
    judged, lost = [], Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.avi"
        for kind, pictures, sound, truth in films(talks):
            write_film(path, pictures, sound)
            people = find_people(path, detector, detector_path)
            found = mouths_and_sound(path, [one.track for one in people])
            sides = [int(one.track.boxes[0][0] > 0.5) for one in people]
            if found is None or sorted(sides) != [0, 1]:
                lost[kind] += 1
                continue
            judged.append(Judged(kind, found._replace(motion=found.motion[np.argsort(sides)]), truth))
    return judged, lost


def counts(films_of_half: list[Judged], weights_s: float, correlation: float, lead: float) -> dict[str, Counter]:
    """Return kind -> how many answers are right, wrong, and "cannot be told"."""
    found: dict[str, Counter] = defaultdict(Counter)
    for one in films_of_half:
        finder = SpeakerFinder(one.found, weights_s=weights_s, least_correlation=correlation, least_lead=lead)
        for start_s, end_s, person in one.truth:
            answer = finder.speaks(start_s, end_s)
            told = [number for number, speaks in enumerate(answer) if speaks]
            if person is None:
                found[one.kind]["wrong" if told else "right"] += 1
            elif told:
                found[one.kind]["right" if told == [person] else "wrong"] += 1
            else:  # also where it says that nobody speaks
                found[one.kind]["cannot be told" if None in answer else "wrong"] += 1
    return found


def chosen(films_of_half: list[Judged]) -> tuple[float, float, float]:
    """Return the thresholds with the most right answers about who is seen speaking, of which at most 5 % are wrong."""

    def worth(thresholds: tuple[float, float, float]) -> tuple[bool, float]:
        total = sum((one for kind, one in counts(films_of_half, *thresholds).items() if kind != "not seen"), Counter())
        wrong = total["wrong"] / max(1, total["right"] + total["wrong"])
        return wrong <= _MOST_WRONG, total["right"] if wrong <= _MOST_WRONG else -wrong

    return max(_GRID, key=worth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", action="append", required=True, help="pattern of film clips of one speaker each; may be repeated")
    parser.add_argument("--detector", default="haar", help="face detector")
    parser.add_argument("--detector_path", help="its file")
    arguments = parser.parse_args()
    talks = [read_talk(Path(name)) for pattern in arguments.clips for name in sorted(glob.glob(pattern))]
    speakers = sorted({one.speaker for one in talks})
    halves = [speakers[0::2], speakers[1::2]]
    of_halves, total = [], defaultdict(Counter)
    for half in halves:
        judged, lost = read_films([one for one in talks if one.speaker in half], arguments.detector, arguments.detector_path)
        print(f"speakers {', '.join(half)}: {len(judged)} films, and without both faces {dict(lost) or 'none'}", flush=True)
        of_halves.append(judged)
    for own, other in ((0, 1), (1, 0)):
        thresholds = weights_s, correlation, lead = chosen(of_halves[own])
        print(f"chosen on {', '.join(halves[own])}: {weights_s} s, correlation {correlation}, lead {lead}; counted on the others:")
        for kind, one in counts(of_halves[other], *thresholds).items():
            print(f"  {kind}: {dict(one)}")
            total[kind] += one
    print("both halves:")
    show(total)
    print(f"with the numbers of the program, {WEIGHTS_S} s, {LEAST_CORRELATION} and {LEAST_LEAD}, chosen on all speakers:")
    show(counts(of_halves[0] + of_halves[1], WEIGHTS_S, LEAST_CORRELATION, LEAST_LEAD))


def show(total: dict[str, Counter]) -> None:
    """Print counts as a table."""
    for kind, one in total.items():
        told = one["right"] + one["wrong"]
        print(f"  {kind:<11} right {one['right']:4}  wrong {one['wrong']:4}  cannot be told {one['cannot be told']:4}", end="")
        print("" if kind == "not seen" else f"   told {told / one.total():.0%}, right of those {one['right'] / max(1, told):.1%}")


if __name__ == "__main__":
    main()
