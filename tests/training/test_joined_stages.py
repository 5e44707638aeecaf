"""Stages of some streams: the branches that they train, and the stages that later ones take branches over from."""

import pytest

from avemo_jax.training.stage import make_stages

STREAMS = ("image", "video", "audio")


def test_a_branch_is_taken_over_from_the_newest_stage_that_trained_it():
    stages = make_stages(("image", "video", "image+video", "audio", "fused"), STREAMS, freeze_earlier=True)
    joined, fused = stages[2], stages[-1]
    assert (joined.name, joined.streams, joined.takes_over, joined.frozen) == ("image+video", ("image", "video"), ("image", "video"), ())
    assert [joined.source(stream) for stream in joined.streams] == ["image", "video"]
    assert fused.takes_over == STREAMS and fused.frozen == (("image",), ("video",), ("audio",))
    assert [fused.source(stream) for stream in fused.streams] == ["image+video", "image+video", "audio"]


def test_joined_stages_follow_each_other_and_need_no_stages_before_them():
    first, second, fused = make_stages(("video+image", "image+audio", "fused"), STREAMS, freeze_earlier=False)
    assert first.streams == ("image", "video") and first.takes_over == ()  # in the order of the system's streams
    assert second.takes_over == ("image",) and second.source("image") == "video+image"
    assert {stream: fused.source(stream) for stream in fused.takes_over} == {
        "image": "image+audio",
        "video": "video+image",
        "audio": "image+audio",
    }


@pytest.mark.parametrize("name", ["image+text", "image+image", "image+video+audio", "image+"])
def test_a_joined_stage_names_some_streams_of_the_system(name):
    with pytest.raises(ValueError, match=r"must name some of the streams .*, each once; 'fused' trains all of them"):
        make_stages((name, "fused"), STREAMS, freeze_earlier=False)
