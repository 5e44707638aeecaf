"""Stages: the streams that they train, and the weights that they start from."""

import jax
import numpy as np
import pytest
from small_grid import NOTHING, changed, make_data, make_trial_inputs, program, stream_recipes

from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.training import steps
from avemo_jax.training.stage import Stage, make_stages, warm_start


def test_stages_take_over_the_branches_of_earlier_ones():
    streams = ("audio", "video")
    fused = make_stages(("audio", "video", "fused"), streams, freeze_earlier=True)[-1]
    assert fused == Stage("fused", streams, takes_over=streams, frozen=(("audio",), ("video",)))
    stacked = make_stages(("audio", "video", "stacked"), streams, freeze_earlier=False)[-1]
    assert stacked == Stage("stacked", streams, takes_over=streams, frozen=(("audio",), ("video",)), part="stack")
    assert make_stages(("audio", "video", "late"), streams, freeze_earlier=False)[-1].part == "inner"
    for machine in ("svm", "linear"):
        (stage,) = make_stages((machine,), ("audio",), freeze_earlier=False)
        assert stage == Stage(machine, ("audio",), part=machine) and stage.is_classical
    assert make_stages(("fused",), streams, freeze_earlier=False) == (Stage("fused", streams),)
    for names, of, message in (
        (("video",), ("audio",), r"to be a stream, one of \('audio',\), .* got 'video'"),
        (("fused",), ("audio",), "joins two streams or more"),
        (("audio",), streams, "must use all streams"),
        (("fused", "audio"), streams, "the last of train.stages"),
        (("both",), streams, "got 'both'"),
        (("audio", "late"), streams, "joins one stage for each stream"),
        (("audio", "svm"), ("audio",), "is the only stage"),
        ((), streams, "at least one stage"),
        (("audio", "fused"), ("audio", "fused"), "a stream cannot be named 'fused'"),
    ):
        with pytest.raises(ValueError, match=message):
            make_stages(names, of, freeze_earlier=False)


def test_streams_have_any_names_and_number():
    streams = ("text", "audio", "action_units")
    assert make_stages(("text", "audio", "fused"), streams, freeze_earlier=True) == (
        Stage("text", ("text",)),
        Stage("audio", ("audio",)),
        Stage("fused", streams, takes_over=("text", "audio"), frozen=(("text",), ("audio",))),
    )
    assert make_stages((*streams, "late"), streams, freeze_earlier=False)[-1] == Stage("late", streams, takes_over=streams, part="inner")
    assert make_stages(("text",), ("text",), freeze_earlier=False) == (Stage("text", ("text",)),)
    with pytest.raises(ValueError, match=r"one stage for each stream of .*; the stages before it are \('text', 'audio'\)"):
        make_stages(("text", "audio", "stacked"), streams, freeze_earlier=False)


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
    net = EmotionNet(4, {"audio": spec, "video": spec}, FusionSpec())
    fused = steps.init_trial(net, changed(streams=stream_recipes("audio", "video")), data, inputs[1], warm)
    np.testing.assert_array_equal(fused.learner.params["audio"]["dense0"]["bias"], 7.0)
    assert "audio_head" not in fused.learner.params and "fusion" in fused.learner.params
