"""From the config to networks: which encoders are frozen, which are trained along, and from where on."""

import jax
import numpy as np
import pytest
from flax import traverse_util

from avemo_jax.data.resident import ResidentSet
from avemo_jax.experiment.encoder_weights import encoder_variables, published_weights
from avemo_jax.experiment.networks import held_parameters, is_frozen, is_standardized, make_net, trained_encoder
from avemo_jax.experiment.plan import stages_of
from avemo_jax.models.emotion_net import overlay
from configs import base

STEP = ((12, 12, 1), "uint8")


def config(**fields):
    made = base.get_config()
    fixed = {"system.streams": ("video",), "train.stages": ("video",), "model.video.encoder": "mini_xception"}
    fixed |= {"encoders.mini_xception.weights": "random", "model.video.context": "none", "model.video.pooling": "mean"}
    with made.unlocked():
        for name, value in (fixed | {name.replace("__", "."): value for name, value in fields.items()}).items():
            made.update_from_flattened_dict({name: value})
    return made.to_dict()


def parameters(made) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """Shapes of a net's parameters by path."""
    shape, dtype = STEP
    batch = {"video": jax.ShapeDtypeStruct((2, 3, *shape), np.dtype(dtype)), "video_mask": jax.ShapeDtypeStruct((2, 3), np.dtype(bool))}
    net = make_net(made, stages_of(made)[0], 4)
    variables = jax.eval_shape(lambda key, batch: net.init(key, batch, train=False), jax.random.key(0), batch)
    return traverse_util.flatten_dict(variables["params"])


def test_an_encoder_is_frozen_unless_it_is_trained():
    frozen, tuned = config(), config(model__video__encoder_trained_from="all")
    assert is_frozen(frozen, "video") and trained_encoder(frozen, "video") is None and is_standardized(frozen, "video")
    assert dict(make_net(frozen, stages_of(frozen)[0], 4).streams)["video"].encoder == "none"  # it has its features
    assert not is_frozen(tuned, "video") and trained_encoder(tuned, "video").name == "mini_xception"
    assert not is_standardized(tuned, "video")  # it takes pictures as they are
    own = config(model__video__encoder="cnn")
    assert not is_frozen(own, "video") and trained_encoder(own, "video") is None and is_standardized(own, "video")


@pytest.mark.parametrize("start", ["all", "stem", "block2", "block4"])
def test_what_lies_before_the_first_trained_end_point_is_held(start):
    made = config(model__video__encoder_trained_from=start)
    held = held_parameters(made, "video", *STEP)
    paths = parameters(made)
    root = ("video", "context", "encoder", "mini_xception")
    parts = {path[4] for path in paths if path[:4] == root}
    assert parts == {"stem", "block1", "block2", "block3", "block4"}
    is_held = {path: any(path[: len(prefix)] == prefix for prefix in held) for path in paths}
    expected = {"all": set(), "stem": set(), "block2": {"stem", "block1"}, "block4": {"stem", "block1", "block2", "block3"}}[start]
    assert {path[4] for path, one in is_held.items() if one} == expected
    assert all(is_held[path] == (path[:4] == root and path[4] in expected) for path in paths)
    assert all(any(path[: len(prefix)] == prefix for path in paths) for prefix in held), "a held path that is none of the net's"


def test_what_is_read_back_from_json_makes_the_same_net():
    made = config(model__video__dense_units=(5, 3))
    as_lists = {**made, "model": {**made["model"], "video": {**made["model"]["video"], "dense_units": [5, 3], "context_units": [256]}}}
    stage = stages_of(made)[0]
    assert make_net(made, stage, 4) == make_net(as_lists, stage, 4) and hash(make_net(made, stage, 4)) == hash(make_net(as_lists, stage, 4))


def test_weights_of_a_trained_encoder_are_those_of_the_frozen_one():
    """Random ones too: what training is worth is seen where both start from the same draw."""
    made = config(model__video__encoder_trained_from="block3")
    arrays = {"video": np.zeros((1, 1, *STEP[0]), STEP[1]), "video_mask": np.ones((1, 1), bool)}
    published = published_weights(made, stages_of(made)[0], ResidentSet(("a",), arrays, {}))
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
    assert published_weights(config(), stages_of(made)[0], ResidentSet(("a",), arrays, {})) == {"params": {}, "batch_stats": {}}


def test_training_that_cannot_be_says_why():
    with pytest.raises(ValueError, match=r"encoder_trained_from='all' is for encoders with published weights .*encoder is 'cnn'"):
        trained_encoder(config(model__video__encoder="cnn", model__video__encoder_trained_from="all"), "video")
    with pytest.raises(ValueError, match=r"must be 'all' or one of \('stem', .*'features'\) of mini_xception, got 'block9'"):
        trained_encoder(config(model__video__encoder_trained_from="block9"), "video")
    early = {"encoders__mini_xception__end_point": "block2"}
    with pytest.raises(ValueError, match=r"one of \('stem', 'block1', 'block2'\) of mini_xception, got 'block3'"):
        trained_encoder(config(model__video__encoder_trained_from="block3", **early), "video")
