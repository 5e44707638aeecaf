"""Matches of fingerprints: which of many sounds, films and stills hold the same recording."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from data_prep.duplicates.fingerprints import HOP_S, NUM_BITS, PICTURE_RATE_FPS, SCENE_BITS, PicturePrint, SoundPrint

# Bits that may differ in two fingerprints of one recording, chosen on RAVDESS and TESS between copies (mp3 and Opus of 24 kbit/s, ends cut
# off, a quarter of the level), which differ less, and takes by one speaker, which differ more: the more, the longer what is compared.
LARGEST_SOUND_ERROR = 0.20  # where half of the shorter one, and 0.6 s, is common to both
_SMALLEST_SHARE = 0.5
_FEW_FRAMES, _FEW_FRAMES_ERROR = (20, 50), (0.11, 0.16)  # where 0.24 s to 0.6 s or more is
FEWEST_FRAMES = _FEW_FRAMES[0]
_RUN_FRAMES, _RUN_ERROR = 84, 0.14  # a second that both hold anywhere
_MOST_COMMON = 256  # a word of more frames than this distinguishes nothing, and costs the square of their number
_GROUP_WORDS = 1_000_000  # compared at a time, which bounds the memory
_NEAR_FRAMES, _NEAR_ERROR = 10, 0.25  # around an equal word: fewer agree by chance

_LARGEST_LAG_FRAMES = 8
LARGEST_LAG_S = _LARGEST_LAG_FRAMES / PICTURE_RATE_FPS
LARGEST_SCENE_ERROR = 40 / SCENE_BITS  # of films: a few tenths of a second cut off change the mean picture
LARGEST_STILL_ERROR = 8 / SCENE_BITS
# Chosen on clips of GRID and CREMA-D and on drawn faces, between copies (a half and a third of the size, other codecs and frame rates, ends
# cut off) and other clips of one speaker, which share the scene.
LARGEST_MOTION_ERROR = 0.19
SMALLEST_CORRELATION = 0.80
_STILL_BELOW = 0.5  # grey levels that the picture moves by in the mean: less is noise, and the scene alone decides
_LEAST_TEXTURE = 2.0  # grey levels, deviation within the mean picture: black and flat pictures are all alike and say nothing
# Squared distances of a still from the nearest frame of a film, both of mean 0 and length 1. On those clips, frames stored as JPEG of half
# the size are at most 0.0004 away, or 0.002 where the face moves much and the frame explains 95 % of what the still differs by from the
# film's mean picture. Other takes of an actor are 0.0007 away and more, and explain up to 85 %; other scenes are 0.02 away and more.
_SAME_FRAME = 0.00045
_MOVED_FRAME, _SMALLEST_EXPLAINED = 0.0025, 0.95
_LIKE_FRAME = 0.003


@dataclasses.dataclass(frozen=True)
class Match:
    """Two fingerprints of one recording.

    Attributes:
      first, second: their names.
      error: share of bits that differ.
      shift_s: by how much the second starts later; 0 for a still.
      is_certain: False for a still that looks like a frame of a film, and may be of another moment in that scene.
      is_frame: one of the two is a still and the other a film.
    """

    first: str
    second: str
    error: float
    shift_s: float
    is_certain: bool = True
    is_frame: bool = False


def can_match(one: SoundPrint) -> bool:
    """Return whether a sound has enough that is neither silence nor a steady tone to be known again."""
    return int(one.active.sum()) >= FEWEST_FRAMES


def sound_matches(prints: Mapping[str, SoundPrint]) -> Iterator[Match]:
    """All pairs that hold the same recording, at any shift: half of the shorter one, the end of one as the start of the other, or a second.

    Pairs are found by words that are equal up to one bit, so the effort grows with the number of such words and not with that of pairs.
    """
    names = sorted(name for name, one in prints.items() if can_match(one))
    ordered = [prints[name] for name in names]
    index = _Index(ordered)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for first, second, shift in index.candidates():
        for near in (shift - 1, shift, shift + 1):
            error = _sound_error(ordered[first], ordered[second], near)
            if error is not None and error < best.get((first, second), (1.0, 0))[0]:
                best[first, second] = (error, near)
    for (first, second), (error, shift) in sorted(best.items()):
        yield Match(names[first], names[second], error, shift * HOP_S)


class _Index:
    """The words of many sounds, one behind the other with inactive ones between them."""

    def __init__(self, prints: list[SoundPrint]):
        gap = np.zeros(_NEAR_FRAMES, np.uint32)
        self._words = np.concatenate([gap, *itertools.chain.from_iterable((one.words, gap) for one in prints)])
        self._active = np.concatenate([gap > 0, *itertools.chain.from_iterable((one.active, gap > 0) for one in prints)])
        self._starts = np.cumsum([_NEAR_FRAMES, *(len(one.words) + _NEAR_FRAMES for one in prints)])[:-1]
        self._num, self._reach = len(prints), max((len(one.words) for one in prints), default=0) + 1

    def candidates(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first, second, shift) of pairs with two words, equal up to a bit, that agree on the shift, give or take a frame."""
        groups = []
        places = np.flatnonzero(self._active)
        for start in range(0, len(places), _GROUP_WORDS):
            own = places[start : start + _GROUP_WORDS]
            groups.append(own[np.argsort(self._words[own], kind="stable")])
        seen: set[int] = set()
        for first, second in itertools.combinations_with_replacement(groups, 2):
            keys = self._keys(*self._hits(first, second))
            seen.update(keys.tolist())
        for key in sorted(seen):
            pair, shift = divmod(key, 2 * self._reach)
            yield (*divmod(pair, self._num), shift - self._reach)

    def _hits(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of words of two groups, each in order of words, that are equal up to a bit and of two sounds."""
        words, table = self._words[first], self._words[second]
        found = []
        for flipped in (0, *(1 << bit for bit in range(NUM_BITS))):
            wanted = words ^ np.uint32(flipped)
            start, stop = np.searchsorted(table, wanted, "left"), np.searchsorted(table, wanted, "right")
            count = np.where(stop - start <= _MOST_COMMON, stop - start, 0)
            one = first[np.repeat(np.arange(len(words)), count)]
            other = second[np.repeat(start - np.cumsum(count) + count, count) + np.arange(count.sum())]
            is_apart = self._owner(one) != self._owner(other) if first is not second else self._owner(one) < self._owner(other)
            one, other = one[is_apart], other[is_apart]
            swapped = one > other
            found.append((np.where(swapped, other, one), np.where(swapped, one, other)))
        return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])

    def _owner(self, places: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._starts, places, "right") - 1

    def _keys(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return pair and shift as a number for those on which two hits agree whose surroundings agree as well."""
        first, second = self._owner(one), self._owner(other)
        shift = (other - self._starts[second]) - (one - self._starts[first])
        key = (first * self._num + second) * (2 * self._reach) + shift + self._reach
        keys, count = np.unique(key, return_counts=True)
        likely = (count > 1) | np.append(np.diff(keys) == 1, False) | np.insert(np.diff(keys) == 1, 0, False)
        among = likely[np.searchsorted(keys, key)]
        one, other, key = one[among], other[among], key[among]
        near = np.arange(-_NEAR_FRAMES, _NEAR_FRAMES + 1)
        agree = np.zeros(len(one), bool)
        for start in range(0, len(one), 1 << 17):
            here = slice(start, start + (1 << 17))
            places, others = one[here, None] + near, other[here, None] + near
            both = self._active[places] & self._active[others]
            bits = (np.bitwise_count(self._words[places] ^ self._words[others]) * both).sum(axis=1)
            agree[here] = bits <= _NEAR_ERROR * NUM_BITS * both.sum(axis=1)
        return np.unique(key[agree])


def _sound_error(first: SoundPrint, second: SoundPrint, shift: int) -> float | None:
    """Share of different bits where both are active, the second's frames `shift` later; None where they do not hold one recording."""
    start, stop = max(0, -shift), min(len(first.words), len(second.words) - shift)
    if stop - start < FEWEST_FRAMES:
        return None
    both = first.active[start:stop] & second.active[start + shift : stop + shift]
    num_both = int(both.sum())
    if num_both < FEWEST_FRAMES:
        return None
    bits = np.bitwise_count(first.words[start:stop][both] ^ second.words[start + shift : stop + shift][both])
    error = float(bits.mean()) / NUM_BITS
    is_half = num_both >= max(_FEW_FRAMES[1], _SMALLEST_SHARE * min(int(first.active.sum()), int(second.active.sum())))
    if error <= (LARGEST_SOUND_ERROR if is_half else float(np.interp(num_both, _FEW_FRAMES, _FEW_FRAMES_ERROR))):
        return error
    if num_both < _RUN_FRAMES:
        return None
    total = np.cumsum(np.insert(bits.astype(np.int64), 0, 0))
    of_run = float((total[_RUN_FRAMES:] - total[:-_RUN_FRAMES]).min()) / (_RUN_FRAMES * NUM_BITS)
    return of_run if of_run <= _RUN_ERROR else None


def picture_matches(prints: Mapping[str, PicturePrint]) -> Iterator[Match]:
    """All pairs that hold the same film at a shift of up to 0.64 s, the same still, or a film and a still that is one of its frames.

    Pictures without texture are not compared.
    """
    names = sorted(name for name, one in prints.items() if has_texture(one))
    if len(names) < 2:
        return
    scenes = np.stack([prints[name].scene for name in names]).astype(np.float32) * 2 - 1
    for second in range(1, len(names)):
        error = (1 - scenes[:second] @ scenes[second] / SCENE_BITS) / 2
        for first in np.flatnonzero(error <= LARGEST_SCENE_ERROR).tolist():
            match = _picture_error(prints[names[first]], prints[names[second]], float(error[first]))
            if match is not None:
                yield Match(names[first], names[second], *match)
    yield from _frame_matches({name: prints[name] for name in names})


def has_texture(one: PicturePrint) -> bool:
    """Return whether a picture or film is neither black nor of one grey, so that it can be known again."""
    return float(one.frames.astype(np.float32).mean(axis=0).std()) >= _LEAST_TEXTURE or _moves(one)


def _moves(one: PicturePrint) -> bool:
    return float(np.sqrt((one.residual.astype(np.float32) ** 2).mean())) / 2 >= _STILL_BELOW


def _picture_error(first: PicturePrint, second: PicturePrint, scene_error: float) -> tuple[float, float] | None:
    """(share of different bits, shift in s) of two films or stills of one recording, None where they are not."""
    moving = [_moves(one) for one in (first, second)]
    if not any(moving):
        return (scene_error, 0.0) if scene_error <= LARGEST_STILL_ERROR else None
    if not all(moving):
        return None
    best: tuple[float, float] | None = None
    for shift in range(-_LARGEST_LAG_FRAMES, _LARGEST_LAG_FRAMES + 1):
        start, stop = max(0, -shift), min(len(first.motion), len(second.motion) - shift)
        if stop - start < max(2, _SMALLEST_SHARE * min(len(first.motion), len(second.motion))):
            continue
        error = float((first.motion[start:stop] != second.motion[start + shift : stop + shift]).mean())
        if error <= LARGEST_MOTION_ERROR and (best is None or error < best[0]):
            one, other = (
                p.residual[a:b].astype(np.float32).ravel() for p, a, b in ((first, start, stop), (second, start + shift, stop + shift))
            )
            if one @ other >= SMALLEST_CORRELATION * np.sqrt((one @ one) * (other @ other)):
                best = (error, shift / PICTURE_RATE_FPS)
    return best


def _frame_matches(prints: Mapping[str, PicturePrint]) -> Iterator[Match]:
    """Yield the pairs of a still and a moving film of which it is a frame, or may be one."""
    stills = [name for name, one in prints.items() if len(one.frames) == 1]
    if not stills:
        return
    looks = np.stack([_normed(prints[name].frames.ravel()) for name in stills])
    for name, film in prints.items():
        if len(film.frames) == 1 or not _moves(film):
            continue
        frames = film.frames.reshape(len(film.frames), -1).astype(np.float32)
        mean = _normed(frames.mean(axis=0))
        # A still of a moment between two frames lies between their pictures.
        frames = _normed(np.concatenate([frames, (frames[1:] + frames[:-1]) / 2]))
        distance = 2 - 2 * looks @ frames.T
        nearest = distance.argmin(axis=1)
        for row in np.flatnonzero(distance.min(axis=1) <= _LIKE_FRAME).tolist():
            least = max(0.0, float(distance[row, nearest[row]]))
            explained = 1 - least / max(1e-9, float(((looks[row] - mean) ** 2).sum()))
            is_certain = least <= _SAME_FRAME or (least <= _MOVED_FRAME and explained >= _SMALLEST_EXPLAINED)
            error = float((prints[stills[row]].scene != film.scene).mean())
            first, second = sorted((name, stills[row]))
            yield Match(first, second, error, 0.0, is_certain, is_frame=True)


def _normed(pictures: np.ndarray) -> np.ndarray:
    """Return pictures (..., P) of mean 0 and length 1, so that brightness and contrast do not count."""
    centred = pictures - pictures.mean(axis=-1, keepdims=True)
    return (centred / np.maximum(1e-6, np.linalg.norm(centred, axis=-1, keepdims=True))).astype(np.float32)
