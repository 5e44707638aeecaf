"""Staged clips: whole or not there, and the same on reading."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.data.prepared import Damage
from data_prep.sets.staging import read_staged, stage, stage_lost, staged_path
from data_prep.views.segments import ViewSegment


def segment(seed: int, num_steps: int = 3) -> ViewSegment:
    values = np.random.default_rng(seed).normal(size=(num_steps, 2)).astype(np.float32)
    return ViewSegment(values, np.array([True] * (num_steps - 1) + [False]), np.arange(num_steps, dtype=np.float32), num_steps)


def test_what_is_staged_is_read_again(tmp_path):
    path = staged_path(tmp_path / "staging", "Ses01/F:ü..")
    assert path.parent == tmp_path / "staging"
    written = stage(path, "Ses01/F:ü..", (segment(seed) for seed in range(2)))
    read = read_staged(path)
    assert read == written and read.num_segments == 2 and read.num_bytes == 48 and read.damage is None
    for index, example in enumerate(read.examples()):
        expected = segment(index)
        assert (example.clip_id, example.segment) == ("Ses01/F:ü..", index)
        for name in ("values", "mask", "times_s"):
            np.testing.assert_array_equal(getattr(example, name), getattr(expected, name), strict=True)


def test_different_clips_have_different_files(tmp_path):
    names = ("a/b", "a%2Fb", "a b", "A B", "a.b", "../a")
    paths = {staged_path(tmp_path, name) for name in names}
    assert len(paths) == len(names) and {path.parent for path in paths} == {tmp_path}


def test_long_ids_have_a_file_that_can_be_written(tmp_path):
    ids = ["ü" * 300, "ü" * 300 + "a", "a/b c"]
    paths = [staged_path(tmp_path, clip_id) for clip_id in ids]
    assert len({path.name for path in paths}) == 3 and all(len(path.name) < 230 for path in paths) and paths[2].name == "a%2Fb c.zip"


def test_a_lost_clip_and_one_without_segments_say_why(tmp_path):
    lost = stage_lost(tmp_path / "a.zip", "a", Damage("truncated", "half of it"))
    assert read_staged(tmp_path / "a.zip") == lost and lost.damage == Damage("truncated", "half of it") and lost.num_segments == 0
    assert stage(tmp_path / "b.zip", "b", ()).damage.kind == "empty"


def test_a_failure_half_way_leaves_nothing(tmp_path):
    def segments():
        yield segment(0)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        stage(tmp_path / "a.zip", "a", segments())
    assert list(tmp_path.iterdir()) == []


def test_a_torn_file_counts_as_absent(tmp_path):
    path = tmp_path / "a.zip"
    stage(path, "a", [segment(0)])
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert read_staged(path) is None
    assert read_staged(tmp_path / "absent.zip") is None
