"""Enrolment of a new speaker: which of his clips are given with their label, and which are tested.

A protocol that separates speakers tests a system on speakers of whom it knows nothing. Here it is given a few labelled clips of each test
speaker. The tested clips are the same whatever the number of labelled ones, so that the numbers of a draw compare like with like.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Enrolment:
    """One draw of a speaker's clips.

    Attributes:
      speaker: name.
      draw: number of the draw.
      pool: for each class the clips that may be labelled, in the order in which they are taken.
      tested: sorted ids of the clips that are tested.
    """

    speaker: str
    draw: int
    pool: tuple[tuple[str, ...], ...]
    tested: tuple[str, ...]

    def labelled(self, num_labelled: int) -> tuple[str, ...]:
        """Return the first `num_labelled` clips of each class, fewer of a class whose pool has fewer."""
        return tuple(clip_id for of_class in self.pool for clip_id in of_class[:num_labelled])


def draw_enrolments(
    clip_ids: Sequence[str],
    speakers: Sequence[str],
    labels: Sequence[int],
    *,
    num_labelled: int,
    num_tested: int,
    num_draws: int,
    seed: int,
    always_tested: Collection[str] = (),
) -> list[Enrolment]:
    """Return the draws of each speaker, which depend on the seed, the speaker's name and its clips alone.

    Of each class the pool has `num_labelled` clips, or fewer where fewer than `num_tested` others would be left; all others are tested.

    Args:
      clip_ids, speakers, labels: (N,) clips of the speakers to enrol, with the class index of each.
      num_labelled: the largest number of labelled clips of a class.
      num_tested: clips of each class that are tested at least, as far as there are so many.
      num_draws: of each speaker.
      seed: of the draws.
      always_tested: clips that are never labelled, such as those of which another clip holds the same recording.

    Raises:
      ValueError: a clip has no speaker.
    """
    if "" in speakers:
        raise ValueError("expected the speaker of every clip, found clips without one; a speaker without a name cannot be enrolled")
    order = np.argsort(np.asarray(clip_ids, dtype=str))
    clip_ids, speakers, labels = ([values[row] for row in order] for values in (clip_ids, speakers, labels))
    found = []
    for speaker in sorted(set(speakers)):
        of_class: dict[int, list[str]] = {}
        for clip_id, other, label in zip(clip_ids, speakers, labels, strict=True):
            if other == speaker:
                of_class.setdefault(label, []).append(clip_id)
        name = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big")
        for draw in range(num_draws):
            rng = np.random.default_rng([seed, draw, name])
            pool: list[tuple[str, ...]] = []
            for label in sorted(of_class):
                free = [clip_id for clip_id in of_class[label] if clip_id not in always_tested]
                size = max(0, min(num_labelled, len(free), len(of_class[label]) - num_tested))
                pool.append(tuple(free[index] for index in rng.permutation(len(free))[:size]))
            taken = {clip_id for one in pool for clip_id in one}
            tested = tuple(clip_id for own in of_class.values() for clip_id in own if clip_id not in taken)
            found.append(Enrolment(speaker, draw, tuple(pool), tuple(sorted(tested))))
    return found
