"""Checkpoints: what is read is what was written, or it is not read at all."""

import jax
import numpy as np
import pytest

from avemo_jax.runs.checkpoints import Checkpoints, DamagedCheckpoint


def trials(value: float):
    return [{"params": {"kernel": np.full((40, 30), value + i, np.float32)}, "step": np.int32(i), "active": np.bool_(i)} for i in range(2)]


@pytest.fixture
def checkpoints(tmp_path):
    warnings = []
    made = Checkpoints(tmp_path / "audio", keep=2, warn=warnings.append)
    made.warnings = warnings
    return made


def data_file(directory):
    """The largest file of numbers in a step; Orbax's own metadata and our manifest may be larger."""
    return max(directory.rglob("d/*"), key=lambda path: path.stat().st_size)


def flip(path, position=-5):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_restores_what_was_saved_and_keeps_the_newest(checkpoints):
    assert checkpoints.restore(trials(0)) is None
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, trials(epoch))
    assert checkpoints.epochs() == [2, 3]
    epoch, restored = checkpoints.restore(trials(0))
    assert epoch == 3
    for got, expected in zip(jax.tree.leaves(restored), jax.tree.leaves(trials(3)), strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


def test_a_flipped_bit_is_named_and_the_step_before_is_used(checkpoints, tmp_path):
    for epoch in (1, 2):
        checkpoints.save(epoch, trials(epoch))
    damaged = data_file(tmp_path / "audio" / "2")
    flip(damaged, damaged.stat().st_size // 2)
    epoch, restored = checkpoints.restore(trials(0))
    assert epoch == 1 and restored[0]["params"]["kernel"][0, 0] == 1
    assert len(checkpoints.warnings) == 1 and damaged.name in checkpoints.warnings[0] and "SHA-256" in checkpoints.warnings[0]


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_missing_or_shortened_file_is_noticed(checkpoints, tmp_path, harm):
    checkpoints.save(1, trials(1))
    harm(data_file(tmp_path / "audio" / "1"))
    with pytest.raises(DamagedCheckpoint, match="remove that folder"):
        checkpoints.restore(trials(0))


def test_an_unfinished_step_is_passed_over_and_overwritten(checkpoints, tmp_path):
    for epoch in (1, 2):
        checkpoints.save(epoch, trials(epoch))
    (tmp_path / "audio" / "2" / "manifest.json").unlink()
    assert checkpoints.restore(trials(0))[0] == 1
    checkpoints.save(2, trials(5))
    assert checkpoints.restore(trials(0))[1][0]["params"]["kernel"][0, 0] == 5


def test_damaged_newer_steps_and_what_a_kill_left_go_with_the_next_save(checkpoints, tmp_path):
    for epoch in (10, 60):
        checkpoints.save(epoch, trials(epoch))
    (tmp_path / "audio" / "20.orbax-checkpoint-tmp-7").mkdir()
    flip(data_file(tmp_path / "audio" / "60"))
    assert checkpoints.restore(trials(0))[0] == 10
    checkpoints.save(20, trials(20))
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == ["10", "20"]
