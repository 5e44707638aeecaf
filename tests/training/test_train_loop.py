"""The training loop: it saves, resumes and stops."""

import jax
import numpy as np
import pytest
from small_grid import NOTHING, make_trial_inputs, program

from avemo_jax.runs.checkpoints import Checkpoints
from avemo_jax.runs.preemption import Preempted, StopRequest
from avemo_jax.training.stage import Stage
from avemo_jax.training.train_loop import train_group


def train(directory, *, num_epochs=3, stop=None, every=10, rows=None, resumed=None):
    trials, inputs = make_trial_inputs()
    return train_group(
        stage=Stage("audio", ("audio",)),
        trials=trials,
        inputs=inputs,
        warm=[NOTHING] * len(trials),
        program=program(),
        num_epochs=num_epochs,
        checkpoints=Checkpoints(directory, keep=2, warn=print, owner={"run_id": "this"}),
        checkpoint_every_epochs=every,
        write_rows=(rows if rows is not None else []).extend,
        resume_rows=(resumed if resumed is not None else []).append,
        stop=stop or StopRequest(),
    )


def test_a_stopped_run_resumes_bit_for_bit(tmp_path):
    rows, resumed = [], []
    straight = train(tmp_path / "straight", rows=rows)
    assert [row["epoch"] for row in rows] == [0] * 4 + [1] * 4 + [2] * 4
    stop = StopRequest()
    stop.signal_number = 15
    with pytest.raises(Preempted):
        train(tmp_path / "stopped", stop=stop)
    again = []
    finished = train(tmp_path / "stopped", rows=again, resumed=resumed)
    assert resumed == [1]
    for one, other in zip(jax.tree.leaves(straight), jax.tree.leaves(finished), strict=True):
        np.testing.assert_array_equal(one, other)

    def timeless(part):
        return [{name: value for name, value in row.items() if name != "seconds"} for row in part]

    assert timeless(again) == timeless(rows[4:])
    # Starting a finished stage again trains nothing and gives the same states.
    nothing = []
    for one, other in zip(jax.tree.leaves(straight), jax.tree.leaves(train(tmp_path / "straight", rows=nothing)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert nothing == []
