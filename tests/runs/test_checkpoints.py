"""Checkpoints restore exactly what was saved; damaged steps and steps of another run are refused."""

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

from avemo_jax.runs.checkpoints import Checkpoints, DamagedCheckpoint, ForeignCheckpoint

OWNER = {"run_id": "this", "fold_hash": "f", "trials": [{"fold": fold, "hyper": {"learning_rate": 0.1}} for fold in range(2)]}


def trials(value: float):
    return [{"params": {"kernel": np.full((40, 30), value + i, np.float32)}, "step": np.int32(i), "active": np.bool_(i)} for i in range(2)]


@pytest.fixture
def checkpoints(tmp_path):
    warnings = []
    made = Checkpoints(tmp_path / "audio", keep=2, warn=warnings.append, owner=OWNER)
    made.warnings = warnings
    return made


def data_file(directory):
    """Return the largest array file of a step; Orbax's own metadata and our manifest may be larger."""
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
def test_a_missing_or_truncated_file_is_detected(checkpoints, tmp_path, harm):
    checkpoints.save(1, trials(1))
    harm(data_file(tmp_path / "audio" / "1"))
    with pytest.raises(DamagedCheckpoint, match="remove that folder"):
        checkpoints.restore(trials(0))


def test_an_unfinished_step_is_skipped_and_overwritten(checkpoints, tmp_path):
    for epoch in (1, 2):
        checkpoints.save(epoch, trials(epoch))
    (tmp_path / "audio" / "2" / "manifest.json").unlink()
    assert checkpoints.restore(trials(0))[0] == 1
    checkpoints.save(2, trials(5))
    assert checkpoints.restore(trials(0))[1][0]["params"]["kernel"][0, 0] == 5


def test_the_next_save_removes_damaged_newer_steps_and_temporary_folders(checkpoints, tmp_path):
    for epoch in (10, 60):
        checkpoints.save(epoch, trials(epoch))
    (tmp_path / "audio" / "20.orbax-checkpoint-tmp-7").mkdir()
    flip(data_file(tmp_path / "audio" / "60"))
    assert checkpoints.restore(trials(0))[0] == 10
    checkpoints.save(20, trials(20))
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == ["10", "20"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run_id": "other"}, "run_id: expected this, found other"),
        ({"fold_hash": "g"}, "fold_hash: expected f, found g"),
        ({"prepared_sets": {"audio": "p"}}, "prepared_sets: expected none, found {'audio': 'p'}"),
        ({"trials": OWNER["trials"][::-1]}, "trial 0: fold: expected 0, found 1"),
        (
            {"trials": [*OWNER["trials"][:1], {"fold": 1, "hyper": {"learning_rate": 0.2}}]},
            "trial 1: hyper: expected {'learning_rate': 0.1",
        ),
        ({"trials": OWNER["trials"] * 2}, "trials: expected 2, found 4"),
    ],
)
def test_a_step_of_another_run_is_refused_and_not_skipped(checkpoints, tmp_path, changes, message):
    checkpoints.save(1, trials(1))
    Checkpoints(tmp_path / "other" / "audio", keep=2, warn=print, owner=OWNER | changes).save(2, trials(7))
    shutil.copytree(tmp_path / "other" / "audio" / "2", tmp_path / "audio" / "2")
    with pytest.raises(ForeignCheckpoint) as error:
        checkpoints.restore(trials(0))
    assert message in str(error.value) and "audio/2" in str(error.value) and "remove that folder" in str(error.value)
    shutil.rmtree(tmp_path / "audio" / "2")
    assert checkpoints.restore(trials(0))[0] == 1


def test_a_step_of_another_epoch_or_stage_is_refused(checkpoints, tmp_path):
    checkpoints.save(1, trials(1))
    (tmp_path / "video").mkdir()
    shutil.copytree(tmp_path / "audio" / "1", tmp_path / "video" / "1")
    with pytest.raises(ForeignCheckpoint, match="stage: expected video, found audio"):
        Checkpoints(tmp_path / "video", keep=2, warn=print, owner=OWNER).restore(trials(0))
    (tmp_path / "audio" / "1").rename(tmp_path / "audio" / "3")
    with pytest.raises(ForeignCheckpoint, match="epoch: expected 3, found 1"):
        checkpoints.restore(trials(0))


def test_a_step_of_an_earlier_version_is_restored_with_a_warning_only_in_a_run_of_that_version(checkpoints, tmp_path):
    checkpoints.save(1, trials(1))
    path = tmp_path / "audio" / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["belongs_to"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ForeignCheckpoint, match="run_id: expected this, found none"):
        checkpoints.restore(trials(0))
    warnings = []
    earlier = Checkpoints(tmp_path / "audio", keep=2, warn=warnings.append, owner=OWNER | {"run_id": ""})
    assert earlier.restore(trials(0))[0] == 1 and len(warnings) == 1 and "has no run id" in warnings[0]
    earlier.save(2, trials(2))
    assert earlier.restore(trials(0))[0] == 2 and len(warnings) == 2


def test_a_step_of_another_network_is_refused(checkpoints):
    checkpoints.save(1, trials(1))
    other = [{**one, "params": {"kernel": np.zeros((40, 31), np.float32)}} for one in trials(0)]
    with pytest.raises(ForeignCheckpoint, match=r"expected an array of shape and type \(\(40, 31\), .* found \(\(40, 30\)"):
        checkpoints.restore(other)


PROCESS = """
    import sys
    from pathlib import Path
    import jax
    import numpy as np
    from avemo_jax.runs.checkpoints import Checkpoints

    address, number, num_saves, directory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    jax.distributed.initialize(address, num_processes=2, process_id=number)
    assert jax.process_count() == 2 and jax.process_index() == number
    checkpoints = Checkpoints(directory / f"audio-{number}", keep=2, warn=print, owner={"run_id": "this"})
    for epoch in range(1, num_saves + 1):
        checkpoints.save(epoch, [{"kernel": np.full((40, 30), 100 * number + epoch, np.float32), "step": np.int32(epoch)}])
        found, (trial,) = checkpoints.restore([{"kernel": np.zeros((40, 30), np.float32), "step": np.int32(0)}])
        assert found == epoch and (trial["kernel"] == 100 * number + epoch).all() and trial["step"] == epoch
"""


def test_each_of_two_processes_saves_its_own_trials_at_its_own_pace(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    num_saves = (2, 5)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROCESS), address, str(number), str(num_saves[number]), str(tmp_path)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    printed = []
    try:
        printed = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(printed)
    for number in range(2):  # one process alone can restore both
        made = Checkpoints(tmp_path / f"audio-{number}", keep=2, warn=print, owner={"run_id": "this"})
        epoch, (trial,) = made.restore([{"kernel": np.zeros((40, 30), np.float32), "step": np.int32(0)}])
        assert epoch == num_saves[number] and (trial["kernel"] == 100 * number + epoch).all()
