"""An encoder of sequences, added as one module and one registry line; it gives half as many steps and has two layers.

It runs frozen over a prepared set and over new media, and inside a network, where it is trained.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables
from made_sets import write_set
from small_experiment import small_config

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Example, PreparedCorpus, verify
from avemo_jax.experiment import frozen_encoder
from avemo_jax.experiment.features import feature_step, with_features
from avemo_jax.experiment.features import frozen_encoder as make_frozen_encoder
from avemo_jax.experiment.live_features import LiveFeatures
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet, attention_weights
from avemo_jax.models.encoders import ENCODERS
from avemo_jax.models.encoders.contract import share_over_steps
from avemo_jax.models.encoders.spec import EncoderSpec
from data_prep.sets.derived import DerivedSets
from data_prep.views.segments import ViewSegment

MODULE = """
import flax.linen as nn
import jax.numpy as jnp

from avemo_jax.models.encoders.record import Encoder


class Halving(nn.Module):
    end_point: str = "second"
    layers: tuple[str, ...] = ()

    @nn.compact
    def __call__(self, values, mask):
        mask = mask[:, ::2]
        x, found = values, {}
        for name, stride in (("first", 2), ("second", 1)):
            x = nn.tanh(nn.Conv(6, (3,), (stride,), ((1, 1),), name=name)(x))
            x = found[name] = jnp.where(mask[..., None], x, 0)  # so that padding after a segment has no effect on it
            if name == self.end_point:
                break
        return jnp.stack([found[name] for name in self.layers], axis=2) if self.layers else x, mask


RECORDS = (
    Encoder(
        name="halving",
        make=Halving,
        end_points=("first", "second"),
        features="second",
        input_kind="frame of a spectrogram",
        input_rank=1,
        licence="MIT",
        trained_on=None,
        layers=("first", "second"),
        times=lambda times_s: times_s[::2],
        fewest_steps=2,
    ),
)
"""
WIDTH, STEP = 6, (4,)
LENGTHS = {"c0": (5, 8), "c1": (1,), "c2": (9,), "c3": (8,), "c4": (17,)}
CLIPS = tuple(Clip(clip_id=name, corpus="made", label="happy", speaker=name) for name in LENGTHS)


@pytest.fixture(autouse=True)
def halving(tmp_path, monkeypatch):
    """The encoder, added as an author would; two segments of 16 steps make a batch."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "halving_encoder.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setitem(ENCODERS, "halving", "halving_encoder")
    monkeypatch.setattr(frozen_encoder, "_BATCH_BYTES", 2 * 16 * 4 * STEP[0])


def config(**fields):
    encoded = {"streams__audio__view": "logmel", "streams__audio__encoder": "halving", "encoders__halving__weights": "random"}
    return small_config(**encoded | fields)


def frames(length: int, masked: tuple[int, ...] = ()) -> ViewSegment:
    mask = ~np.isin(np.arange(length), masked)
    values = np.random.default_rng(length).normal(size=(length, *STEP)).astype(np.float32)
    values[~mask] = np.nan
    return ViewSegment(values, mask, (3 + np.arange(length) * 0.01).astype(np.float32), num_seen=length)


@pytest.fixture
def logmel(tmp_path):
    def segments_of(number):
        lengths = LENGTHS[CLIPS[number].clip_id]
        return [frames(length, masked=(0, 3) if length == 9 else ()) for length in lengths]

    return write_set(tmp_path, CLIPS, segments_of, step_shape=STEP, view="logmel", key="a" * 64)


def encoded(logmel, folder, **fields):
    corpus = PreparedCorpus(CLIPS, {"audio": logmel}, None)
    return with_features(config(**fields), corpus, DerivedSets(folder, "made", CLIPS)).sets["audio"]


def alone(encoder, example: Example, end_point: str = "second") -> np.ndarray:
    """Return the features of one example, without padding and without other examples in the batch."""
    values = np.where(example.mask[:, None], example.values, 0)
    return np.asarray(encoder.spec.module(end_point=end_point).apply(encoder.variables, values[None], example.mask[None])[0][0])


def test_a_segment_gives_half_as_many_steps_with_their_times(logmel, tmp_path):
    made = encoded(logmel, tmp_path)
    verify(made)
    assert (made.manifest.view, made.manifest.step_shape, made.manifest.dtype) == ("logmel.halving", (WIDTH,), "float32")
    assert feature_step(config(), "audio", {"logmel": (STEP, "float32")}) == ((WIDTH,), "float32")
    encoder = make_frozen_encoder(config(), "halving", STEP, "float32")
    pairs = list(zip(made.examples(), logmel.examples(), strict=True))
    assert [len(one.mask) for one, _ in pairs] == [3, 4, 1, 5, 4, 9]
    for one, before in pairs:
        assert (one.clip_id, one.segment) == (before.clip_id, before.segment)
        np.testing.assert_array_equal(one.times_s, before.times_s[::2])
        np.testing.assert_array_equal(one.mask, before.mask[::2])
        np.testing.assert_allclose(one.values, alone(encoder, before), atol=1e-6)
        assert not one.values[~one.mask].any() and np.ptp(one.values) > 0.1


@pytest.mark.parametrize("is_short", [False, True])
def test_features_of_a_segment_do_not_depend_on_the_rest_of_the_batch(logmel, is_short):
    encoder = make_frozen_encoder(config(), "halving", STEP, "float32")
    examples = list(logmel.examples())
    together = list(encoder.run(iter(examples)))
    assert [(one.clip_id, one.segment) for one in together] == [(one.clip_id, one.segment) for one in examples]
    for one, example in zip(together, examples, strict=True):
        (single,) = encoder.run(iter([example]), is_short=is_short)
        if is_short:  # a smaller batch has another program
            np.testing.assert_allclose(single.values, one.values, atol=1e-6)
        else:
            np.testing.assert_array_equal(single.values, one.values)


def test_segments_are_read_a_few_batches_at_a_time(logmel, monkeypatch):
    monkeypatch.setattr(frozen_encoder, "_BATCH_BYTES", 16 * 4 * STEP[0])
    encoder, pulled = make_frozen_encoder(config(), "halving", STEP, "float32"), []

    def noted() -> Iterator[Example]:
        for example in logmel.examples():
            pulled.append(example.clip_id)
            yield example

    next(encoder.run(noted(), is_short=True))
    assert pulled == ["c0", "c0", "c1", "c2"]  # segments of 5, 8, 1 and 9 steps
    assert list(encoder.run(iter([]))) == []
    monkeypatch.setattr(frozen_encoder, "_BATCH_BYTES", 100 * 16 * 4 * STEP[0])
    monkeypatch.setattr(frozen_encoder, "_LARGEST_BATCH", 2)
    for feature_bytes, num_read in ((1, 2), (8 * 4 * WIDTH, 3)):  # one batch at least; else 3 + 4 + 1 features
        monkeypatch.setattr(frozen_encoder, "_FEATURE_BYTES", feature_bytes)
        pulled.clear()
        next(encoder.run(noted()))
        assert len(pulled) == num_read, (feature_bytes, pulled)


def test_several_layers_are_an_axis_of_the_features(logmel, tmp_path):
    both = encoded(logmel, tmp_path, encoders__halving__layers="all")
    assert both.manifest.step_shape == (2, WIDTH)
    assert both.manifest.key != encoded(logmel, tmp_path).manifest.key
    first = encoded(logmel, tmp_path, encoders__halving__layers="0")
    assert first.manifest.step_shape == (WIDTH,)
    for one, other, example in zip(both.examples(), first.examples(), logmel.examples(), strict=True):
        encoder = make_frozen_encoder(config(), "halving", STEP, "float32")
        np.testing.assert_allclose(one.values[:, 1], alone(encoder, example), atol=1e-6)
        np.testing.assert_allclose(one.values[:, 0], other.values, atol=1e-6)


@pytest.fixture
def long_clip(monkeypatch):
    """Segments of 18, 18 and 7 steps; the encoder takes 18 at most, and a feature sees 5 of them."""
    code = (
        "import dataclasses, halving_encoder\n"
        "class Short(halving_encoder.Halving):\n"
        "    def __call__(self, values, mask):\n"
        "        if values.shape[1] > 18: raise ValueError('too long')\n"
        "        return super().__call__(values, mask)\n"
        "RECORDS = (dataclasses.replace(halving_encoder.RECORDS[0], name='short', make=Short, chunk_steps=18),)"
    )
    (Path(sys.path[0]) / "short_encoder.py").write_text(code)
    monkeypatch.setitem(ENCODERS, "short", "short_encoder")
    whole = frames(43)
    parts = zip(*(np.split(getattr(whole, name), (18, 36)) for name in ("values", "mask", "times_s")), strict=True)
    return whole, [ViewSegment(*part, num_seen=len(part[0])) for part in parts]


def short_config(**fields):
    return config(streams__audio__encoder="short", encoders__short__weights="random", **fields)


def test_a_long_clip_is_encoded_as_if_it_were_not_cut(long_clip, tmp_path):
    whole, segments = long_clip
    made = write_set(tmp_path, CLIPS[:1], lambda _: segments, step_shape=STEP, view="logmel", key="a" * 64)
    corpus, store = PreparedCorpus(CLIPS[:1], {"audio": made}, None), DerivedSets(tmp_path, "made", CLIPS[:1])
    prepared = with_features(short_config(encoders__short__overlap_s=0.08), corpus, store).sets["audio"]
    found = list(prepared.examples())
    assert [len(one.mask) for one in found] == [9, 9, 4]
    np.testing.assert_array_equal(np.concatenate([one.times_s for one in found]), whole.times_s[::2])
    encoder = make_frozen_encoder(config(), "halving", STEP, "float32")
    uncut = alone(encoder, Example("c0", 0, whole.values, whole.mask, whole.times_s))
    np.testing.assert_allclose(np.concatenate([one.values for one in found]), uncut, atol=1e-6)
    each = with_features(short_config(encoders__short__overlap_s=0.0), corpus, store).sets["audio"]
    assert np.abs(np.concatenate([one.values for one in each.examples()]) - uncut).max() > 1e-3
    assert each.manifest.key != prepared.manifest.key


def test_the_overlap_is_no_part_of_the_key_of_short_clips(long_clip, logmel, tmp_path):
    short = write_set(tmp_path / "short", CLIPS[:1], lambda _: long_clip[1][:1], step_shape=STEP, view="logmel", key="b" * 64)
    keys = {
        overlap_s: with_features(
            short_config(encoders__short__overlap_s=overlap_s),
            PreparedCorpus(CLIPS[:1], {"audio": short}, None),
            DerivedSets(tmp_path, "made", CLIPS[:1]),
        )
        .sets["audio"]
        .manifest.key
        for overlap_s in (0.0, 0.08)
    }
    assert keys[0.0] == keys[0.08]
    assert encoded(logmel, tmp_path, encoders__halving__overlap_s=0.0).manifest.key == encoded(logmel, tmp_path).manifest.key


@dataclasses.dataclass(frozen=True)
class OneRecording:
    """A recording with the segments of a prepared set."""

    segments: list[Example]
    segment_s: float = 1.0
    window_s: float | None = None
    step_s: float | None = None

    @property
    def views(self):
        return {"logmel": (STEP, "float32")}

    def open(self, path):
        return {"logmel": self.segments}, []


def test_new_media_get_the_features_of_the_corpus(logmel, tmp_path):
    live = LiveFeatures(config(), OneRecording(list(logmel.examples())))
    assert live.steps == {"audio": ((WIDTH,), "float32")}
    streams, problems = live.open(tmp_path / "any.wav")
    assert problems == []
    for one, other in zip(streams["audio"], encoded(logmel, tmp_path).examples(), strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-6)
        np.testing.assert_array_equal(one.times_s, other.times_s)


@pytest.mark.parametrize(("layers", "weighting"), [("", "concatenated"), ("all", "weighted")])
def test_inside_a_network_it_is_trained_and_ignores_padding(layers, weighting):
    branch = BranchSpec(
        encoder="halving",
        encoder_spec=EncoderSpec("halving", layers=layers),
        layers=weighting,
        context_units=(5,),
        time_conv_channels=3,
        time_conv_stride_steps=2,
    )
    net = EmotionNet(8, {"audio": branch})
    values = np.random.default_rng(0).normal(size=(2, 9, *STEP)).astype(np.float32)
    mask = np.ones((2, 9), bool)
    mask[1, 6:] = False
    batch = {"audio": values, "audio_mask": mask}
    variables = filled_variables(net, batch, train=False)

    def loss(params):
        return jnp.sum(net.apply(variables | {"params": params}, batch, train=False) ** 2)

    gradients = jax.jit(jax.grad(loss))(variables["params"])["audio"]["context"]["encoder"]
    assert set(gradients) == {"halving"} | ({"layer_weighting"} if layers else set())
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))
    longer = {"audio": np.pad(values, ((0, 0), (0, 4), (0, 0)), constant_values=np.nan), "audio_mask": np.pad(mask, ((0, 0), (0, 4)))}
    logits, padded = (jax.jit(lambda one: net.apply(variables, one, train=False))(one) for one in (batch, longer))
    np.testing.assert_allclose(padded, logits, atol=1e-5)
    attention = attention_weights(net, variables, batch)["audio"]
    assert attention.shape == mask.shape
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
    assert not np.asarray(attention)[~mask].any()


def test_the_weight_of_a_feature_is_divided_among_the_steps_nearest_to_it():
    mask = np.array([[True, True, True, True, False]])
    shared = share_over_steps(jnp.array([[0.2, 0.5, 0.3]]), mask, EncoderSpec("halving"))  # at steps 0, 2 and 4
    np.testing.assert_allclose(shared, [[0.1, 0.1, 0.25, 0.25, 0]], atol=1e-6)
    shared = share_over_steps(jnp.array([[0.6, 0.4]]), mask | True, EncoderSpec("halving"), 2)
    np.testing.assert_allclose(shared, [[0.15, 0.15, 0.15, 0.15, 0.4]], atol=1e-6)


def test_encoders_that_do_not_fit_are_refused(logmel, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"layers to be 'all' or indices from -2 to 1, separated by commas, got '0,2'"):
        EncoderSpec("halving", layers="0,2")
    with pytest.raises(ValueError, match=r"set end_point='first' or layers='all', not both"):
        EncoderSpec("halving", end_point="first", layers="all")
    with pytest.raises(ValueError, match=r"vgg16 has no layers to choose from"):
        EncoderSpec("vgg16", layers="all")
    with pytest.raises(ValueError, match=r"takes 1 axes a step \(frame of a spectrogram\), and the view has steps of \(2, 4\)"):
        EncoderSpec("halving").leading((2, 4))
    encoder = make_frozen_encoder(config(), "halving", STEP, "float32")
    timeless = dataclasses.replace(next(logmel.examples()), times_s=np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="expects steps with times, but c0 has none"):
        list(encoder.run([timeless]))
    (tmp_path / "code" / "wrong_encoder.py").write_text(
        "import dataclasses, halving_encoder\n"
        "RECORDS = (dataclasses.replace(halving_encoder.RECORDS[0], name='wrong', times=lambda times_s: times_s),)"
    )
    monkeypatch.setitem(ENCODERS, "wrong", "wrong_encoder")
    encoder = make_frozen_encoder(config(encoders__wrong__weights="random"), "wrong", STEP, "float32")
    with pytest.raises(ValueError, match=r"gives 5 times for 5 steps, but its module gives only 3 features for these steps padded to 5"):
        list(encoder.run(logmel.examples()))
