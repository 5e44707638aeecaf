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
    sentences: Sequence[str] | None = None,
) -> list[Enrolment]:
    """Return the draws of each speaker, which depend on the seed, the speaker's name and its clips alone.

    Of each class the pool has `num_labelled` clips, or fewer where fewer than `num_tested` others would be left; all others are tested.
    With `sentences`, each draw takes the pool from one half of the speaker's sentences and tests the other half, whatever `num_tested`.

    Args:
      clip_ids, speakers, labels: (N,) clips of the speakers to enrol, with the class index of each.
      num_labelled: the largest number of labelled clips of a class.
      num_tested: clips of each class that are tested at least, as far as there are so many.
      num_draws: of each speaker.
      seed: of the draws.
      always_tested: clips that are never labelled, such as those of which another clip holds the same recording.
      sentences: (N,) of each clip.

    Raises:
      ValueError: a clip has no speaker, or a speaker has a single sentence.
    """
    if "" in speakers:
        raise ValueError("expected the speaker of every clip, found clips without one; a speaker without a name cannot be enrolled")
    order = np.argsort(np.asarray(clip_ids, dtype=str))
    said = [""] * len(clip_ids) if sentences is None else sentences
    rows = [(clip_ids[row], speakers[row], labels[row], said[row]) for row in order]
    found = []
    for speaker in sorted(set(speakers)):
        own = [row for row in rows if row[1] == speaker]
        name = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big")
        for draw in range(num_draws):
            rng = np.random.default_rng([seed, draw, name])
            taught = None if sentences is None else _half(sorted({sentence for *_, sentence in own}), rng, speaker)
            pool: list[tuple[str, ...]] = []
            for label in sorted({label for _, _, label, _ in own}):
                of_class = [(clip_id, sentence) for clip_id, _, other, sentence in own if other == label]
                of_pool = [clip_id for clip_id, sentence in of_class if taught is None or sentence in taught]
                free = [clip_id for clip_id in of_pool if clip_id not in always_tested]
                most = len(of_class) - num_tested if taught is None else len(free)
                size = max(0, min(num_labelled, len(free), most))
                pool.append(tuple(free[index] for index in rng.permutation(len(free))[:size]))
            taken = {clip_id for one in pool for clip_id in one}
            tested = [one[0] for one in own if (one[0] not in taken if taught is None else one[3] not in taught)]
            found.append(Enrolment(speaker, draw, tuple(pool), tuple(tested)))
    return found


def _half(sentences: Sequence[str], rng: np.random.Generator, speaker: str) -> set[str]:
    """Return one half of a speaker's sentences, drawn at random."""
    if len(sentences) < 2:
        raise ValueError(f"expected two sentences of speaker {speaker} or more, one to label and another one to test; found {sentences}")
    return {sentences[index] for index in rng.permutation(len(sentences))[: len(sentences) // 2]}
