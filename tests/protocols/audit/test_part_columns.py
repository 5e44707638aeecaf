"""Columns of a feature table that tell the folds or parts of a run are found; features raise no alarm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avemo_jax.clips import Clip
from avemo_jax.feature_columns import TableColumns
from avemo_jax.protocols.audit.facts import audit_part_columns, find_part_columns
from avemo_jax.protocols.folds import PARTS, FoldTable
from avemo_jax.protocols.rules import make_folds

NUM_SPEAKERS, NUM_CLASSES, NUM_TAKES = 12, 6, 4
CLIPS = tuple(
    Clip(f"s{speaker:02}-{emotion}-{take}", "made", str(emotion), f"s{speaker:02}")
    for speaker, emotion, take in itertools.product(range(NUM_SPEAKERS), range(NUM_CLASSES), range(NUM_TAKES))
)
IDS = tuple(clip.clip_id for clip in CLIPS)
CLASSES = [int(clip.label) for clip in CLIPS]
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(size=len(CLIPS))


def folds_of(protocol: str, seed: int = 0) -> FoldTable:
    return make_folds(protocol, CLIPS, CLASSES, num_folds=5, seed=seed)


def fold_numbers(table: FoldTable) -> np.ndarray:
    number_of = {clip: number for number, fold in enumerate(table.folds) for clip in fold.test}
    return np.array([number_of.get(clip, -1) for clip in IDS], float)


def part_codes(table: FoldTable, fold: int) -> np.ndarray:
    part_of = {clip: code for code, part in enumerate(PARTS) for clip in getattr(table.folds[fold], part)}
    return np.array([part_of[clip] for clip in IDS], float)


def find(table: FoldTable, *columns: np.ndarray, allowed=()) -> dict[str, str]:
    names = tuple(f"c{index}" for index in range(len(columns)))
    return find_part_columns(table, TableColumns(names, dict.fromkeys(allowed, "known"), (), IDS, np.stack(columns, axis=1)))


TABLE = folds_of("random_k")
FOLD = fold_numbers(TABLE)
PLANTED = {
    "the number of the fold": FOLD,
    "the fold in another order": np.array([3.0, 0.5, -2.0, 7.0, 1.0])[FOLD.astype(int)],
    "one fold": (FOLD == 2).astype(float),
    "two folds": (FOLD >= 3).astype(float),
    "the fold with a little noise": FOLD + 0.02 * NOISE,
    "the fold with a few slips": np.where(np.arange(len(FOLD)) % 60 == 7, (FOLD + 1) % 5, FOLD),
    "the fold counted down in tens": 50 - 10 * FOLD,
    "the parts of a fold": part_codes(TABLE, 0),
    "the training part of another fold": (part_codes(TABLE, 3) == 0).astype(float),
    "the test part of the last fold": (part_codes(TABLE, 4) == 2).astype(float),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_column_that_tells_random_folds_is_found(planted):
    found = find(TABLE, NOISE, PLANTED[planted])
    assert list(found) == ["c1"] and found["c1"].startswith(("the fold (", "the part of fold"))
    (finding,) = audit_part_columns(found)
    assert finding.name == "column_tells_part" and finding.severity == "error" and "'c1' looks like the " in finding.detail


@pytest.mark.parametrize("protocol", ["holdout_50_25_25", "holdout_80_20"])
def test_a_column_that_tells_the_parts_of_a_single_split_is_found(protocol):
    table = folds_of(protocol)
    codes = part_codes(table, 0)
    found = find(table, codes, NOISE, (codes == 2).astype(float), codes + 0.02 * NOISE)
    assert set(found) == ({"c0", "c2", "c3"} if len(np.unique(codes)) == 3 else {"c0", "c2"})
    assert found["c0"] == "the part of fold1 (the same in all clips of one part)"


@pytest.mark.parametrize("protocol", ["speaker_k", "loso"])
def test_a_column_that_tells_folds_of_speakers_is_found_and_features_of_speakers_are_not(protocol):
    table = folds_of(protocol)
    speaker = np.array([int(clip.speaker[1:]) for clip in CLIPS], float)
    assert list(find(table, fold_numbers(table), NOISE, part_codes(table, 1), speaker + 0.3 * NOISE)) == ["c0", "c2"]


def test_a_column_that_is_known_already_is_not_found_again():
    assert find(TABLE, FOLD, allowed=("c0",)) == {} and audit_part_columns({}) == []
    assert find_part_columns(TABLE, TableColumns(("c0",))) == {}


def test_honest_columns_raise_no_alarm():
    """Noise, counts and features that follow class and speaker, under 15 random and 15 speaker-independent fold tables."""
    for seed in range(15):
        random = np.random.default_rng(seed)
        speaker = np.array([int(clip.speaker[1:]) for clip in CLIPS])
        shape = (4, len(CLIPS))
        noise = random.normal(size=shape)
        moderate = noise + 1.5 * random.normal(size=(4, NUM_CLASSES))[:, CLASSES] + 1.5 * random.normal(size=(4, NUM_SPEAKERS))[:, speaker]
        columns = [*noise, *noise.round(1), *(noise > 0), *random.integers(0, 5, shape), *random.poisson(2, shape), *moderate]
        for protocol in ("random_k", "speaker_k"):
            assert find(folds_of(protocol, seed), *map(np.asarray, columns)) == {}
