"""Networks from the config: which encoders are frozen, which are trained with the network, and from which end point."""

import json

import jax
import numpy as np
import pytest
from flax import traverse_util
from small_experiment import small_config

from avemo_jax.config import parse, to_plain
from avemo_jax.experiment.encoder_weights import encoder_variables, published_weights
from avemo_jax.experiment.grid import stages_of
from avemo_jax.experiment.networks import held_parameters, is_frozen, make_net, standardization, trained_encoder
from avemo_jax.models.emotion_net import overlay

STEP = ((12, 12, 1), "uint8")


ENCODED = {
    "system__streams": ("video",),
    "train__stages": ("video",),
    "streams__video__encoder": "mini_xception",
    "encoders__mini_xception__weights": "random",
}


def config(**fields):
    return small_config(**ENCODED | fields)


def parameters(made) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """Shapes of a net's parameters by path."""
    shape, dtype = STEP
    batch = {"video": jax.ShapeDtypeStruct((2, 3, *shape), np.dtype(dtype)), "video_mask": jax.ShapeDtypeStruct((2, 3), np.dtype(bool))}
    net = make_net(made, stages_of(made)[0], 4)
    variables = jax.eval_shape(lambda key, batch: net.init(key, batch, train=False), jax.random.key(0), batch)
    return traverse_util.flatten_dict(variables["params"])


def test_an_encoder_is_frozen_unless_it_is_trained():
    frozen, tuned = config(), config(streams__video__encoder_trained_from="all")
    own = config(streams__video__encoder="cnn")
    assert [is_frozen(one.streams["video"]) for one in (frozen, tuned, own)] == [True, False, False]
    assert trained_encoder(frozen, "video") is None and trained_encoder(own, "video") is None
    assert trained_encoder(tuned, "video").name == "mini_xception"
    # An encoder inside the network expects pictures that are not standardised.
    assert [standardization("video", one.streams["video"]) for one in (frozen, tuned, own)] == ["features", "none", "features"]
    (branch,) = dict(make_net(frozen, stages_of(frozen)[0], 4).streams).values()
    assert branch.encoder == "none"  # a frozen encoder is no part of the network


@pytest.mark.parametrize("start", ["all", "stem", "block2", "block4"])
def test_modules_before_the_first_trained_end_point_are_frozen(start):
    made = config(streams__video__encoder_trained_from=start)
    frozen = held_parameters(made, "video", *STEP)
    paths = parameters(made)
    root = ("video", "context", "encoder", "mini_xception")
    parts = {path[4] for path in paths if path[:4] == root}
    assert parts == {"stem", "block1", "block2", "block3", "block4"}
    is_frozen_path = {path: any(path[: len(prefix)] == prefix for prefix in frozen) for path in paths}
    expected = {"all": set(), "stem": set(), "block2": {"stem", "block1"}, "block4": {"stem", "block1", "block2", "block3"}}[start]
    assert {path[4] for path, one in is_frozen_path.items() if one} == expected
    assert all(is_frozen_path[path] == (path[:4] == root and path[4] in expected) for path in paths)
    assert all(any(path[: len(prefix)] == prefix for path in paths) for prefix in frozen), "a frozen path that the net does not have"


def test_an_array_beside_the_modules_of_an_encoder_is_held_by_itself():
    """Whisper's positions are such an array; held as a module, they would hold the whole encoder."""
    whisper = {"streams__audio__view": "logmel_whisper", "streams__audio__encoder": "whisper_tiny", "encoders__whisper_tiny__layers": "2"}
    frozen = held_parameters(small_config(**whisper, streams__audio__encoder_trained_from="layer2"), "audio", (80,), "float32")
    root = ("audio", "context", "encoder", "whisper_tiny")
    assert {path[4] for path in frozen} == {"conv1", "conv2", "positions", "block1"}
    assert (*root, "positions") in frozen


def test_a_config_read_back_from_json_makes_the_same_net():
    made = config(streams__video__dense_units=(5, 3))
    again = parse(json.loads(json.dumps(to_plain(made))))
    nets = [make_net(one, stages_of(one)[0], 4) for one in (made, again)]
    assert nets[0] == nets[1] and hash(nets[0]) == hash(nets[1])


def test_weights_of_a_trained_encoder_are_those_of_the_frozen_one():
    """This holds for random weights too, so that trained and frozen encoders start from the same weights."""
    made = config(streams__video__encoder_trained_from="block3")
    published = published_weights(made, stages_of(made)[0], {"video": STEP})
    variables = encoder_variables(config(), "mini_xception", *STEP)
    for kind in ("params", "batch_stats"):
        found = published[kind]["video"]["context"]["encoder"]["mini_xception"]
        assert jax.tree.structure(found) == jax.tree.structure(variables[kind])
        jax.tree.map(np.testing.assert_array_equal, found, variables[kind])
    fresh = {path: np.zeros(leaf.shape, np.float32) for path, leaf in parameters(made).items()}
    laid = traverse_util.flatten_dict(overlay(traverse_util.unflatten_dict(fresh), published["params"]))
    assert laid.keys() == fresh.keys()
    kernel = variables["params"]["block1"]["shortcut"]["kernel"]
    np.testing.assert_array_equal(laid["video", "context", "encoder", "mini_xception", "block1", "shortcut", "kernel"], kernel)
    assert published_weights(config(), stages_of(made)[0], {"video": STEP}) == {"params": {}, "batch_stats": {}}


def test_an_encoder_that_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match=r"encoder_trained_from='all' needs an encoder with published weights .*encoder='cnn'"):
        trained_encoder(config(streams__video__encoder="cnn", streams__video__encoder_trained_from="all"), "video")
    with pytest.raises(ValueError, match=r"must be 'all' or one of \('stem', .*'features'\) of mini_xception, got 'block9'"):
        trained_encoder(config(streams__video__encoder_trained_from="block9"), "video")
    early = {"encoders__mini_xception__end_point": "block2"}
    with pytest.raises(ValueError, match=r"one of \('stem', 'block1', 'block2'\) of mini_xception, got 'block3'"):
        trained_encoder(config(streams__video__encoder_trained_from="block3", **early), "video")
