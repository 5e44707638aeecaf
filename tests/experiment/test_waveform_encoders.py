"""An encoder that hears the waveform: frozen over a prepared set and over new media, and trained along from a layer on."""

from __future__ import annotations

import sys
import types

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from made_sets import write_set
from small_experiment import EMOTIONS, flat, small_config

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedCorpus, verify
from avemo_jax.experiment.encoder_weights import encoder_variables
from avemo_jax.experiment.features import frozen_encoder, needs_making, with_features
from avemo_jax.experiment.frozen_encoder import FrozenEncoder
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.live_features import LiveFeatures
from avemo_jax.experiment.networks import held_parameters, standardization, trained_encoder
from avemo_jax.experiment.stages import restore_stages
from avemo_jax.models.encoders import ENCODERS, find_encoder
from avemo_jax.models.encoders.contract import share_over_steps
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.encoders.wav2vec2 import NETWORKS, record_of
from avemo_jax.models.encoders.wav2vec2.module import Wav2Vec2Size
from avemo_jax.modes.train import train as train_grid
from data_prep.sets.derived import DerivedSets
from data_prep.views.waveform import Waveform

SIZE = Wav2Vec2Size(8, 3, 2, stem_channels=4, position_steps=4, position_groups=2, num_distances=8)
USED = {
    "streams__audio__view": "waveform",
    "streams__audio__encoder": "tiny",
    "encoders__tiny__weights": "random",
    "encoders__tiny__layers": "2",
}


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """A small network of the family, in the registry."""
    with pytest.MonkeyPatch.context() as patch:
        record = record_of("tiny", SIZE, NETWORKS["wavlm_base"][1])
        patch.setitem(sys.modules, "tiny_wav2vec2", types.SimpleNamespace(RECORDS=(record,)))
        patch.setitem(ENCODERS, "tiny", "tiny_wav2vec2")
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> PreparedCorpus:
    """Noise of 0.1 s, or 0.15 s in two segments."""
    clips = tuple(Clip(f"s{speaker}-{emotion}", "made", emotion, f"s{speaker}") for speaker in range(6) for emotion in EMOTIONS)

    def segments(i):
        samples = np.random.default_rng(i).normal(0, 0.1, 1600 + 800 * (i % 2)).astype(np.float32)
        return list(Waveform(segment_s=0.1).segments(iter(np.split(samples, [1600])[: 1 + i % 2])))

    made = write_set(tmp_path_factory.mktemp("waveform"), clips, segments, step_shape=(), view="waveform", key="a" * 64)
    return PreparedCorpus(clips, {"audio": made}, None)


def test_frozen_features_are_those_of_each_segment_alone_and_of_new_media(corpus, tmp_path):
    config = small_config(**USED, encoders__tiny__overlap_s=0.0)
    made = with_features(config, corpus, DerivedSets(tmp_path, "made", corpus.clips)).sets["audio"]
    verify(made)
    assert (made.manifest.view, made.manifest.step_shape) == ("waveform.tiny", (8,))
    encoder = frozen_encoder(config, "tiny", (), "float32")
    pairs = list(zip(made.examples(), corpus.sets["audio"].examples(), strict=True))
    assert {len(before.mask): len(one.mask) for one, before in pairs} == {1600: 4, 800: 2}
    for one, before in pairs:
        assert one.mask.all()
        np.testing.assert_array_equal(one.times_s, before.times_s[200::320][: len(one.times_s)])
    alone = jax.jit(encoder.spec.module().apply)
    recording = types.SimpleNamespace(views={"waveform": ((), "float32")}, segment_s=0.1, step_s=None, window_s=None)
    recording.open = lambda path: ({"waveform": [before for _, before in pairs[:2]]}, [])
    streams, _ = LiveFeatures(config, recording).open(tmp_path / "any.wav")
    for (one, before), live in zip(pairs[:2], streams["audio"], strict=True):
        np.testing.assert_allclose(one.values, alone(encoder.variables, before.values[None], before.mask[None])[0][0], atol=1e-5)
        np.testing.assert_allclose(live.values, one.values, atol=1e-5)


TRAINED = USED | {"streams__audio__encoder_trained_from": "layer2"}


def test_trained_from_a_layer_on_all_that_lies_before_it_is_held():
    held = held_parameters(small_config(**TRAINED), "audio", (), "float32")
    before = {path[4] for path in held if path[:4] == ("audio", "context", "encoder", "tiny")}
    assert before == {"stem", "feature_norm", "project", "positions", "norm", "distances", "block1"}


def test_lora_holds_all_of_the_encoder_but_what_it_adds():
    for fields, trained_layers in (({}, set()), ({"streams__audio__encoder_trained_from": "layer2"}, {"block2"})):
        config = small_config(**USED, **fields, streams__audio__encoder_lora_rank=2)
        spec = trained_encoder(config, "audio")
        held = held_parameters(config, "audio", (), "float32")
        paths = [("audio", "context", "encoder", "tiny", *path) for path in flatten_dict(spec.variable_shapes((), "float32")["params"])]
        free = {path[4:] for path in paths if not any(path[: len(prefix)] == prefix for prefix in held)}
        added = {path for path in free if path[2].endswith("_lora")}
        assert added == {
            (f"block{number}", "attention", f"{name}_lora", part, "kernel")
            for number in (1, 2)
            for name in ("query", "value")
            for part in ("down", "up")
        }
        assert {path[0] for path in free - added} == trained_layers
        assert standardization("audio", config.streams["audio"]) == "none"
        assert not needs_making(config, "audio")


def test_an_array_at_the_top_of_an_encoder_holds_no_other():
    """Whisper's positions are one."""
    fields = {"streams__audio__encoder": "whisper_tiny", "streams__audio__encoder_trained_from": "layer2"}
    held = held_parameters(small_config(**fields), "audio", (80,), "float32")
    own = {path[4:5] for path in held if path[:4] == ("audio", "context", "encoder", "whisper_tiny")}
    assert own == {("conv1",), ("conv2",), ("positions",), ("block1",)}


def test_lora_of_an_encoder_without_attention_is_refused():
    with pytest.raises(ValueError, match="vgg16 has no attention to adapt"):
        EncoderSpec("vgg16", lora_rank=4)
    with pytest.raises(ValueError, match=r"encoder_lora_rank=4 needs an encoder with published weights .*encoder='cnn'"):
        trained_encoder(small_config(streams__audio__encoder="cnn", streams__audio__encoder_lora_rank=4), "audio")


@pytest.mark.long
def test_a_run_that_trains_from_a_layer_on_changes_that_layer_alone(corpus, tmp_path):
    config = small_config(
        tmp_path / "run",
        **TRAINED,
        streams__audio__pooling="attention",
        protocol__name="holdout_50_25_25",
        train__num_epochs=1,
        devices__feed="stream",
    )
    train_grid(config, corpus)
    (outcome,) = restore_stages(make_plan(config, corpus), tmp_path / "run")
    before = flat(encoder_variables(config, "tiny", (), "float32")["params"])
    after = flat(outcome.states[0].learner.params["audio"]["context"]["encoder"]["tiny"])
    assert set(before) == set(after)
    moved = {name.split("/")[0] for name, leaf in before.items() if not np.array_equal(leaf, after[name])}
    assert moved == {"block2"}


def test_the_weight_of_a_feature_is_divided_among_the_samples_nearest_to_it():
    spec = EncoderSpec("tiny")
    mask = np.arange(1040)[None] < 1000
    times = find_encoder("tiny").feature_times(np.arange(1040, dtype=np.float32))
    np.testing.assert_array_equal(times, [200, 520, 840])
    shared = np.asarray(share_over_steps(np.array([[0.2, 0.5, 0.3]], np.float32), mask, spec))[0]
    for start, end, weight in ((0, 361, 0.2), (361, 681, 0.5), (681, 1000, 0.3)):
        np.testing.assert_allclose(shared[start:end], weight / (end - start), rtol=1e-5)
    assert not shared[1000:].any()


def test_batches_are_smaller_where_activations_are_larger():
    made = {name: FrozenEncoder(EncoderSpec(name), None, (48_000,), "float32").batch_size for name in ("whisper_base", "wav2vec2_base")}
    assert made == {"whisper_base": 32, "wav2vec2_base": 8}
