"""Ensembles predict the mean of their members, independent of batches and padding, without a whole recording in memory."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest

from avemo_jax.inference.predict import Ensemble, EnsembleMember, TrainedClassifier, TrainedNet, clip_probabilities
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet, attention_weights
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.training.state import StreamRecipe
from avemo_jax.training.steps import probabilities

CLASSES = ("calm", "happy", "sad")
VIEWS = {"audio": ((4,), "float32"), "video": ((6, 6, 1), "uint8")}
SEGMENT_S = 2.0
STREAMS = tuple(StreamRecipe(name=name, key_index=index) for index, name in enumerate(VIEWS))


@dataclasses.dataclass
class Piece:
    values: np.ndarray
    mask: np.ndarray
    times_s: np.ndarray


def pieces(stream: str, num_segments: int, *, seed: int = 0, num_steps: int = 5) -> list[Piece]:
    """Return segments of two lengths, alternately shorter and longer."""
    rng = np.random.default_rng([seed, len(stream)])
    step_shape, dtype = VIEWS[stream]
    made = []
    for number in range(num_segments):
        length = num_steps - number % 2
        values = rng.uniform(0, 255 if dtype == "uint8" else 1, (length, *step_shape)).astype(dtype)
        times_s = number * SEGMENT_S + np.linspace(0, SEGMENT_S, length, endpoint=False)
        made.append(Piece(values, np.ones(length, bool), times_s.astype(np.float32)))
    return made


@pytest.fixture(scope="module")
def net() -> EmotionNet:
    audio = BranchSpec(context_units=(4,), dense_units=(3,))
    video = BranchSpec(encoder="cnn", encoder_units=(2,), context_units=(4,), dense_units=(3,))
    return EmotionNet(3, {"audio": audio, "video": video}, FusionSpec())


@pytest.fixture(scope="module")
def members(net) -> list[TrainedNet]:
    batch = {"mask": np.ones(1, bool)}
    for stream, (step_shape, dtype) in VIEWS.items():
        batch |= {stream: np.ones((1, 2, *step_shape), dtype), f"{stream}_mask": np.ones((1, 2), bool)}
    scaler = {"audio": {"mean": np.full(4, 0.5, np.float32), "deviation": np.full(4, 0.3, np.float32)}}
    init = jax.jit(functools.partial(net.init, train=False))
    return [TrainedNet(net, init(jax.random.key(seed), batch), scaler, STREAMS) for seed in range(2)]


@pytest.fixture(scope="module")
def ensemble(members) -> Ensemble:
    return Ensemble([EnsembleMember([member]) for member in members], classes=CLASSES, views=VIEWS, segment_s=SEGMENT_S)


@functools.partial(jax.jit, static_argnums=0)
def predicted(net, variables, scaler, data):
    return probabilities(net, STREAMS, variables, scaler, data, np.zeros(1, np.int32))[0]


def alone(net: EmotionNet, member: TrainedNet, audio: Piece, video: Piece) -> np.ndarray:
    """Return the probabilities of one net for one segment without padding, by the function that evaluates in training."""
    data = {"usable": np.ones(1, bool)}
    for name, piece in (("audio", audio), ("video", video)):
        data |= {name: piece.values[None], f"{name}_mask": piece.mask[None]}
    return np.asarray(predicted(net, member.variables, member.scaler, data))


def test_segments_that_overlap_have_the_span_of_their_steps(members):
    overlapping = Ensemble([EnsembleMember(members)], classes=CLASSES, views=VIEWS, segment_s=SEGMENT_S, step_s=0.6)

    def segments(stream: str, *middles_s: tuple[float, ...], mask: bool = True) -> list[Piece]:
        step_shape, dtype = VIEWS[stream]
        return [Piece(np.ones((len(s), *step_shape), dtype), np.full(len(s), mask), np.array(s, np.float32)) for s in middles_s]

    middles_s = ((0.5,), (0.8,), (1.1, 1.4))
    found = list(overlapping.predict({"audio": segments("audio", *middles_s), "video": segments("video", *middles_s, mask=False)}))
    assert [(one.start_s, one.end_s) for one in found] == [pytest.approx(pair) for pair in ((0.2, 0.8), (0.5, 1.1), (0.8, 1.7))]
    assert [one.without for one in found] == [("video",)] * 3


def test_each_segment_gets_the_mean_of_the_members_alone(net, members, ensemble):
    audio, video = pieces("audio", 20), pieces("video", 20)
    found = list(ensemble.predict({"audio": audio, "video": video}))
    expected = [np.mean([alone(net, member, *pair) for member in members], axis=0) for pair in zip(audio, video, strict=True)]
    np.testing.assert_allclose([one.probabilities for one in found], expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the segments are all alike, so this test could not fail"


def test_the_prediction_of_a_segment_does_not_depend_on_others(ensemble):
    audio, video = pieces("audio", 3, num_steps=40), pieces("video", 3)
    together = list(ensemble.predict({"audio": audio, "video": video}))
    apart = [next(iter(ensemble.predict({"audio": [a], "video": [v]}))) for a, v in zip(audio, video, strict=True)]
    np.testing.assert_allclose([one.probabilities for one in together], [one.probabilities for one in apart], atol=1e-6)


def test_spans_follow_each_other_and_end_at_the_last_step(ensemble):
    audio, video = pieces("audio", 18), pieces("video", 18)
    found = list(ensemble.predict({"audio": audio, "video": video}))
    assert [one.start_s for one in found] == [SEGMENT_S * number for number in range(18)]
    assert [one.end_s for one in found[:-1]] == [one.start_s for one in found[1:]]
    assert found[-1].end_s == max(audio[-1].times_s[-1], video[-1].times_s[-1])


def test_a_single_step_stands_for_its_whole_segment():
    functionals = Ensemble(
        [EnsembleMember([TrainedClassifier(lambda data: data["audio"][:, 0])])],
        classes=("a", "b"),
        views={"audio": ((2,), "float32")},
        segment_s=1.0,
        window_s=3.0,
    )
    middles_s = (1.5, 2.5, 3.2)
    segments = [Piece(np.full((1, 2), 0.5, np.float32), np.ones(1, bool), np.array([middle_s], np.float32)) for middle_s in middles_s]
    found = list(functionals.predict({"audio": segments}))
    assert [(one.start_s, one.end_s) for one in found] == [(0, 3), (1, 4), (2, pytest.approx(4.4))]


def test_a_stream_that_ends_early_or_is_masked_is_named(net, members, ensemble):
    audio, video = pieces("audio", 3), pieces("video", 2)
    video[1].mask[:] = False
    found = list(ensemble.predict({"audio": audio, "video": iter(video)}))
    assert [one.without for one in found] == [(), ("video",), ("video",)]
    empty = Piece(np.zeros_like(video[0].values), np.zeros_like(video[0].mask), video[0].times_s)
    expected = np.mean([alone(net, member, audio[2], empty) for member in members], axis=0)
    np.testing.assert_allclose(found[2].probabilities, expected, atol=1e-6)


def test_attention_is_the_mean_of_the_networks_over_the_real_steps(net, members, ensemble):
    audio, video = pieces("audio", 2, num_steps=20), pieces("video", 2)
    video[1].mask[:] = False
    found = list(ensemble.predict({"audio": audio, "video": video}))
    assert ensemble.attended == ("audio", "video") and [tuple(one.attention) for one in found] == [("audio", "video"), ("audio",)]
    batch = {"mask": np.ones(1, bool), "audio": (audio[0].values[None] - 0.5) / 0.3, "audio_mask": audio[0].mask[None]}
    batch |= {"video": video[0].values[None] / np.float32(255), "video_mask": video[0].mask[None]}
    weights = np.mean([attention_weights(net, member.variables, batch)["audio"][0] for member in members], axis=0)
    np.testing.assert_allclose(found[0].attention["audio"], 20 * weights, rtol=1e-4)  # a step in each tenth of a second
    assert np.ptp(weights) > 1e-3, "all steps weigh the same, so this test could not fail"


def test_networks_without_attention_have_none(net, members):
    plain = EmotionNet(3, {name: dataclasses.replace(spec, pooling="mean") for name, spec in net.streams}, FusionSpec())
    variables = jax.tree.map(lambda leaf: leaf, dict(members[0].variables))
    variables["params"] = {
        name: {part: own for part, own in of_stream.items() if part != "pooling"} for name, of_stream in variables["params"].items()
    }
    one = Ensemble(
        [EnsembleMember([dataclasses.replace(members[0], net=plain, variables=variables)])],
        classes=CLASSES,
        views=VIEWS,
        segment_s=SEGMENT_S,
    )
    (found,) = one.predict({"audio": pieces("audio", 1), "video": pieces("video", 1)})
    assert one.attended == () and found.attention == {}


def test_no_segments_no_predictions(ensemble):
    assert list(ensemble.predict({"audio": [], "video": []})) == []


def test_a_long_recording_is_never_in_memory_as_a_whole(ensemble):
    pulled = 0

    def endless():
        nonlocal pulled
        segment = pieces("audio", 1)[0]
        while True:
            pulled += 1
            yield segment

    predictions = ensemble.predict({"audio": endless(), "video": endless_video()})
    for _ in range(100):
        next(predictions)
    assert pulled < 100 + 3 * 16


def endless_video():
    segment = pieces("video", 1)[0]
    while True:
        yield segment


def test_large_segments_go_in_smaller_batches(net):
    """16 segments of whole frames would take 16 times the memory that a batch may."""
    views = {"video": ((1024, 1024, 3), "uint8")}
    ensemble = Ensemble([EnsembleMember([TrainedNet(net, {}, {}, STREAMS)])], classes=CLASSES, views=views, segment_s=1.0)
    segment = Piece(np.zeros((1, 1024, 1024, 3), np.uint8), np.ones(1, bool), np.zeros(1, np.float32))
    sizes = [size for _, size in ensemble.batches({"video": [segment] * 5})]
    assert sizes == [2, 2, 1]


def test_the_clip_is_the_mean_of_its_segments(ensemble):
    found = list(ensemble.predict({"audio": pieces("audio", 4), "video": pieces("video", 4)}))
    mean = clip_probabilities(found)
    np.testing.assert_allclose(mean, sum(one.probabilities for one in found) / 4)
    assert mean.sum() == pytest.approx(1, abs=1e-6)


def test_wrong_streams_and_shapes_are_refused(net, members, ensemble):
    with pytest.raises(ValueError, match=r"expects the streams \['audio', 'video'\], got \['audio'\]"):
        list(ensemble.predict({"audio": []}))
    narrow = Piece(np.zeros((2, 3), np.float32), np.ones(2, bool), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"audio stream was trained on steps of shape \(4,\), got \(3,\)"):
        list(ensemble.predict({"audio": [narrow], "video": pieces("video", 1)}))
    with pytest.raises(ValueError, match="at least one member"):
        Ensemble([], classes=CLASSES, views=VIEWS, segment_s=1.0)
