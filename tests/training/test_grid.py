"""The grid: trials, stages, and the loop that saves, resumes and stops."""

import jax
import numpy as np
import pytest
from small_grid import HYPER, NOTHING, changed, make_data, make_trial_inputs, program

from avemo_jax.models.emotion_net import BranchSpec, EmotionNet, FusionSpec
from avemo_jax.runs.checkpoints import Checkpoints
from avemo_jax.runs.preemption import Preempted, StopRequest
from avemo_jax.training import steps
from avemo_jax.training.trials import Stage, make_stages, make_trials, warm_start


def test_trials_are_all_combinations_and_folds_turn_fastest():
    trials = make_trials(num_folds=2, seeds=(5, 6), hyper=HYPER, sweep={"learning_rate": (0.1, 0.2), "momentum": ()})
    assert len(trials) == 8 and [trial.number for trial in trials] == list(range(8))
    assert [(t.setting, t.seed, t.fold) for t in trials[:4]] == [(0, 5, 0), (0, 5, 1), (0, 6, 0), (0, 6, 1)]
    assert trials[0].hyper["learning_rate"] == 0.1 and trials[4].hyper["learning_rate"] == 0.2
    assert trials[4].hyper["momentum"] == HYPER["momentum"]


def test_stages_say_what_they_take_over():
    streams = ("audio", "video")
    fused = make_stages(("audio", "video", "fused"), streams, freeze_earlier=True)[-1]
    assert fused == Stage("fused", streams, takes_over=streams, frozen=(("audio",), ("video",)))
    stacked = make_stages(("audio", "video", "stacked"), streams, freeze_earlier=False)[-1]
    assert stacked == Stage("stacked", streams, takes_over=streams, frozen=(("audio",), ("video",)), part="stack")
    assert make_stages(("audio", "video", "late"), streams, freeze_earlier=False)[-1].part == "inner"
    assert make_stages(("svm",), ("audio",), freeze_earlier=False) == (Stage("svm", ("audio",), part="svm"),)
    assert make_stages(("fused",), streams, freeze_earlier=False) == (Stage("fused", streams),)
    for names, of, message in (
        (("video",), ("audio",), "system.streams is"),
        (("fused",), ("audio",), "two streams"),
        (("audio",), streams, "uses all of system.streams"),
        (("fused", "audio"), streams, "the last of train.stages"),
        (("both",), streams, "expected one of"),
        (("audio", "late"), streams, "joins a stage for each of"),
        (("audio", "svm"), ("audio",), "stands alone"),
        ((), streams, "at least one stage"),
    ):
        with pytest.raises(ValueError, match=message):
            make_stages(names, of, freeze_earlier=False)


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
    # Starting a finished stage again trains nothing and gives the same.
    nothing = []
    for one, other in zip(jax.tree.leaves(straight), jax.tree.leaves(train(tmp_path / "straight", rows=nothing)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert nothing == []


def test_a_fused_stage_starts_from_the_best_weights_of_the_same_trial():
    _, inputs = make_trial_inputs()
    one = program()
    audio = one.trials(one.init(one.lanes(inputs), one.lanes([NOTHING] * 4)), 4)
    audio = [jax.tree.map(np.array, state) for state in audio]
    audio[1].best.params["audio"]["dense0"]["bias"][:] = 7.0
    warm = warm_start(Stage("fused", ("audio", "video"), takes_over=("audio",)), {"audio": audio}, 4)[1]
    data = make_data()
    data |= {"video": data["audio"][:, :, :2], "video_mask": data["audio_mask"]}
    spec = BranchSpec(context_units=(5,), dense_units=(4,))
    net = EmotionNet(4, audio=spec, video=spec, fusion=FusionSpec())
    fused = steps.init_trial(net, changed(standardized=("audio", "video")), data, inputs[1], warm)
    np.testing.assert_array_equal(fused.learner.params["audio"]["dense0"]["bias"], 7.0)
    assert "audio_head" not in fused.learner.params and "fusion" in fused.learner.params
