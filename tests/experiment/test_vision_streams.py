"""A vision transformer with the weights of a model folder: frozen over prepared pictures, and trained from a layer on."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from made_sets import spanning_pictures, write_set
from small_experiment import EMOTIONS, flat, small_config
from tiny_vision_encoders import NAME, RECORDS
from vision_folders import tiny, write_folder

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.encoder_weights import encoder_variables
from avemo_jax.experiment.features import with_features
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.networks import held_parameters, trained_encoder
from avemo_jax.experiment.stages import restore_stages
from avemo_jax.models.encoders import ENCODERS
from avemo_jax.modes.train import train
from data_prep.sets.derived import DerivedSets
from data_prep.views.segments import ViewSegment

STEP = (16, 16, 3)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a function of fields -> an experiment with the encoder, whose weights a folder holds."""
    pytest.importorskip("transformers")
    monkeypatch.setitem(ENCODERS, NAME, "tiny_vision_encoders")
    write_folder(tmp_path, "clip_vit_base_16", tiny("clip_vit_base_16").design)

    def made(**fields):
        stream = {"system__streams": ("video",), "train__stages": ("video",), "streams__video__encoder": NAME}
        return small_config(tmp_path / "run", **stream | {f"encoders__{NAME}__weights": str(tmp_path)} | fields)

    return made


@pytest.fixture
def pictures(tmp_path):
    clips = tuple(Clip(f"s{speaker}-{emotion}", "made", emotion, f"s{speaker}") for speaker in range(6) for emotion in EMOTIONS)

    def segments(i):
        length, level = 2 + i % 2, 40 * EMOTIONS.index(clips[i].label)
        values = spanning_pictures(np.random.default_rng(i).integers(level, level + 60, (length, *STEP)))
        return [ViewSegment(values, np.ones(length, bool), np.arange(length, dtype=np.float32), length)]

    faces = write_set(tmp_path, clips, segments, step_shape=STEP, modality="video", view="faces", dtype="uint8")
    return PreparedCorpus(clips, {"video": faces}, None)


def test_features_of_a_frozen_encoder_are_those_of_the_folders_weights(config, pictures, tmp_path):
    made = config(**{f"encoders__{NAME}__layers": "all", f"encoders__{NAME}__tokens": "patches"})
    encoded = with_features(made, pictures, DerivedSets(tmp_path, "made", pictures.clips)).sets["video"]
    assert (encoded.manifest.step_shape, encoded.manifest.dtype) == ((3, 16), "float32")
    net = RECORDS[0].make("layer2", layers=("layer0", "layer1", "layer2"), tokens="patches")
    variables = encoder_variables(config(**{f"encoders__{NAME}__end_point": "layer2"}), NAME, STEP, "uint8")
    example, before = next(iter(encoded.examples())), next(iter(pictures.sets["video"].examples()))
    np.testing.assert_allclose(example.values, net.apply(variables, before.values), atol=1e-5)
    class_token = config(**{f"encoders__{NAME}__layers": "all"})
    other = with_features(class_token, pictures, DerivedSets(tmp_path, "made", pictures.clips)).sets["video"]
    assert other.manifest.key != encoded.manifest.key
    assert np.abs(next(iter(other.examples())).values - example.values).max() > 0.1


def test_what_lies_before_the_first_trained_layer_is_held(config):
    held = held_parameters(config(streams__video__encoder_trained_from="layer2"), "video", STEP, "uint8")
    assert {path[:4] for path in held} == {("video", "context", "encoder", NAME)}
    assert {path[4] for path in held} == {"embed", "first_norm", "block1"}


LORA = {
    (f"block{number}", "attention", f"{name}_lora", part, "kernel")
    for number in (1, 2)
    for name in ("query", "value")
    for part in ("down", "up")
}


def test_lora_starts_as_the_frozen_encoder_and_holds_all_of_it(config):
    made = config(streams__video__encoder_lora_rank=2)
    module = trained_encoder(made, "video").module()
    frozen = encoder_variables(made, NAME, STEP, "uint8")
    pictures = np.random.default_rng(0).integers(0, 256, (2, *STEP), np.uint8)
    own = flatten_dict(frozen["params"])
    drawn = flatten_dict(jax.jit(module.init)(jax.random.key(0), pictures)["params"])
    assert set(drawn) - set(own) == LORA
    held = {path[4:] for path in held_parameters(made, "video", STEP, "uint8")}
    assert {path for path in drawn if not any(path[: len(prefix)] == prefix for prefix in held)} == LORA
    start = {"params": unflatten_dict(drawn | own)}
    found, expected = jax.jit(lambda: (module.apply(start, pictures), module.clone(lora_rank=0).apply(frozen, pictures)))()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fields", "trained"),
    [({"encoder_trained_from": "layer2"}, {"block2", "norm"}), ({"encoder_lora_rank": 2}, {"/".join(path) for path in LORA})],
)
def test_a_run_changes_what_is_trained_of_an_encoder_alone(fields, trained, config, pictures):
    stream = {f"streams__video__{name}": value for name, value in fields.items()}
    made = config(**stream, protocol__name="holdout_50_25_25", train__num_epochs=2)
    train(made, pictures)
    (state,) = restore_stages(make_plan(made, pictures), Path(made.workdir))[0].states
    before = flat(encoder_variables(made, NAME, STEP, "uint8")["params"])
    after = flat(state.learner.params["video"]["context"]["encoder"][NAME])
    moved = {name for name, leaf in after.items() if not np.array_equal(leaf, before.get(name, 0 * leaf))}
    if "encoder_lora_rank" in fields:
        assert moved == trained == set(after) - set(before)
    else:
        assert {name.split("/")[0] for name in moved} == trained
        assert {name.split("/")[0] for name in after} == {"embed", "first_norm", "block1", "block2", "norm"}
