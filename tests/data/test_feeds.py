"""The resident set and the stream hold the same rows, lengths and times, and training on either gives the same numbers."""

import jax
import numpy as np
import pytest
from made_sets import segment, write_set
from small_grid import NOTHING, NUM_CLASSES, changed, make_net, make_trial_inputs, run, stream_recipes

from avemo_jax import parallel
from avemo_jax.clips import Clip
from avemo_jax.data.feed import FEEDS, open_feed
from avemo_jax.data.per_speaker import standardize_per_speaker
from avemo_jax.data.prepared import Damage
from avemo_jax.data.rows import join_segments
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.training import programs, steps
from avemo_jax.training.execution import Execution, TrialProgram
from avemo_jax.training.stream_program import StreamProgram

NAMES = ("text", "audio", "action_units")  # not in the order of the alphabet
WIDTHS = {"text": 2, "audio": 3, "action_units": 4}
LABELS = [i % 4 for i in range(50)]


@pytest.fixture(scope="module")
def clips():
    return [Clip(clip_id=f"c{i:02d}", corpus="made", label="happy", speaker=str(i % 5)) for i in range(50)]


@pytest.fixture(scope="module")
def sets(tmp_path_factory, clips):
    directory = tmp_path_factory.mktemp("feeds")

    def segments_of(name):
        def of_clip(i):
            if name == "text" and i == 9:
                return Damage("empty", "no words")
            return [segment(3 + (i + WIDTHS[name]) % 4, WIDTHS[name], 100 * WIDTHS[name] + i, offset=LABELS[i])]

        return of_clip

    return {name: write_set(directory, clips, segments_of(name), step_shape=(WIDTHS[name],), view=name) for name in NAMES}


@pytest.fixture(scope="module")
def feeds(clips, sets):
    return {kind: open_feed(kind, clips, LABELS, sets) for kind in FEEDS}


def assert_same(resident, stream):
    rows = np.arange(50)
    assert resident.clip_ids == stream.clip_ids and resident.streams == stream.streams
    for name in ("label", "clip", "usable"):
        np.testing.assert_array_equal(getattr(resident, name), getattr(stream, name))
    for name in resident.streams:
        assert resident.step_of(name) == stream.step_of(name) and resident.num_steps(name) == stream.num_steps(name)
        np.testing.assert_array_equal(resident.lengths_of(name), stream.lengths_of(name))
        np.testing.assert_array_equal(resident.times_of(name, rows), stream.times_of(name, rows))
    first, second = resident.load(rows), stream.load(rows)
    assert set(first) == set(second) == {key for name in resident.streams for key in (name, f"{name}_mask")}
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


CHANGES = {
    "all": lambda feed: feed,
    "only": lambda feed: feed.only(("action_units", "text")),
    "without": lambda feed: feed.only(("text", "audio")).without("audio"),
    "padded": lambda feed: feed.padded_to({"audio": 9, "text": 1}),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_both_feeds_hold_the_same(change, feeds):
    assert_same(*(CHANGES[change](feeds[kind]) for kind in ("resident", "stream")))


@pytest.mark.parametrize("kind", list(FEEDS))
def test_changes_of_a_feed(kind, feeds):
    feed = feeds[kind]
    assert feed.streams == NAMES and feed.is_resident == (kind == "resident")
    assert feed.only(("action_units", "text")).streams == ("action_units", "text")
    assert feed.usable.all() and np.flatnonzero(~feed.only(("text",)).usable).tolist() == [9]
    assert feed.lengths_of("audio")[:5].tolist() == [6, 3, 4, 5, 6] and feed.lengths_of("text")[9] == 0
    absent = feed.without("audio")
    assert absent.streams == NAMES and not absent.lengths_of("audio").any() and not absent.load(np.arange(3))["audio_mask"].any()
    assert not feed.only(("audio",)).without("audio").usable.any()
    longer = feed.padded_to({"audio": 9, "text": 1})
    assert [longer.num_steps(name) for name in NAMES] == [6, 9, 6]
    np.testing.assert_array_equal(longer.load(np.arange(50))["audio"][:, :6], feed.load(np.arange(50))["audio"])
    np.testing.assert_array_equal(feed.examples_of(["c07", "c03"]), [3, 7])


def test_normalisation_by_speaker(feeds, clips):
    speakers = np.asarray([clip.speaker for clip in clips])
    resident = feeds["resident"]
    changed_feed = resident.per_speaker(("audio",), speakers)
    expected = standardize_per_speaker(resident.arrays["audio"], speakers, mask=resident.arrays["audio_mask"])
    np.testing.assert_array_equal(changed_feed.arrays["audio"], expected)
    np.testing.assert_array_equal(changed_feed.arrays["text"], resident.arrays["text"])
    with pytest.raises(ValueError, match="needs all examples in memory"):
        feeds["stream"].per_speaker(("audio",), speakers)


def test_names_that_a_batch_has_another_use_for(clips, sets):
    for name in ("label", "clip", "mask", "usable", "audio_mask", "face points"):
        with pytest.raises(ValueError, match=f"a stream cannot be named '{name}'"):
            open_feed("resident", clips, LABELS, {name: sets["audio"]})
    with pytest.raises(ValueError, match="must be one of"):
        open_feed("disk", clips, LABELS, sets)


def test_batches_of_a_stream_are_rows_of_the_resident_set(feeds):
    order = np.asarray([7, 3, 49, 0, 0, 0], np.int32)
    real = np.asarray([True, True, True, True, False, False])
    first, second = feeds["stream"].batches(order, real, 3)
    for name, values in feeds["resident"].load(order[:3]).items():
        np.testing.assert_array_equal(first[name], values)
    np.testing.assert_array_equal(second["mask"], [True, False, False])


def test_a_clip_without_a_real_step_is_masked_in_batches_of_a_stream(feeds):
    """Clip 9 has no text: its zeros must not be trained on."""
    (batch,) = feeds["stream"].only(("text",)).batches(np.asarray([8, 9, 10], np.int32), np.ones(3, bool), 3)
    assert not batch["text"][1].any()
    np.testing.assert_array_equal(batch["mask"], [True, False, True])


def fused_net():
    spec = BranchSpec(context_units=(3,), dense_units=(3,))
    return EmotionNet(NUM_CLASSES, {name: spec for name in NAMES}, FusionSpec())


@pytest.mark.parametrize("names", [pytest.param(("audio",), marks=pytest.mark.long), NAMES])
def test_training_on_a_stream_equals_training_on_a_resident_set(names, feeds):
    """Two epochs; three streams are standardised in three ways, and one gets cepstra."""
    _, inputs = make_trial_inputs()
    net, recipes = make_net(), stream_recipes("audio")
    if names == NAMES:
        kinds = {"text": {"standardize": "steps"}, "audio": {"num_cepstra": 2}, "action_units": {"standardize": "none"}}
        recipes = tuple(stream_recipes(*NAMES, **kinds[name])[index] for index, name in enumerate(NAMES))
        net = fused_net()
    recipe = changed(num_epochs=2, streams=recipes)
    mesh = parallel.make_mesh(devices=jax.devices()[:1])
    found, shapes = [], []
    for kind, expected in (("resident", TrialProgram), ("stream", StreamProgram)):
        program = programs.make_program(net, recipe, feeds[kind].only(names), Execution("loop", "scan"), mesh, num_steps=5)
        assert isinstance(program, expected)
        found.append(run(program, inputs[:2], 2))
        shapes.append(program.trial_shape(inputs[0], NOTHING))
    for one, other in zip(jax.tree.leaves(found[0]), jax.tree.leaves(found[1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    states, metrics = found[0]
    assert set(states[0].scaler) == {one.name for one in recipe.streams if one.standardize != "none"}
    assert metrics[1][0].train_loss < metrics[0][0].train_loss
    for shape in shapes:
        assert jax.tree.map(np.shape, states[0]) == jax.tree.map(lambda leaf: leaf.shape, shape)


def test_memory_is_estimated_for_either_feed(feeds):
    _, inputs = make_trial_inputs()
    recipe = changed(streams=stream_recipes(*NAMES))
    needs = {kind: programs.estimate_memory(fused_net(), recipe, feed, inputs[0], data_shards=1) for kind, feed in feeds.items()}
    assert needs["resident"].trial_bytes == needs["stream"].trial_bytes
    assert needs["resident"].shared_bytes - needs["stream"].shared_bytes == 50 * sum(6 * (4 * WIDTHS[name] + 1) for name in NAMES)
    own = {"num_trials": 7, "data_shards": 1}
    assert programs.spread(feeds["stream"], Execution("vmap", "scan"), **own) == {"at_once": 1, "trial_shards": 1}
    assert programs.spread(feeds["resident"], Execution("vmap", "scan"), **own)["at_once"] == 7


def test_scalers_are_those_that_training_fits(feeds):
    recipe = changed(streams=stream_recipes(*NAMES))
    arrays = {name: values[:20] for name, values in feeds["resident"].arrays.items()}
    one, other = (programs.fit_scalers(recipe, feeds[kind], arrays, 12) for kind in ("resident", "stream"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)
    # What pads the examples of a fold to the length of a longer one's is the first example, which may be tested.
    padded = steps.fit_scalers(recipe, jax.tree.map(jax.numpy.asarray, arrays), np.asarray([3, 5, 4, 0, 0], np.int32), np.int32(3))
    for name, scaler in padded.items():
        own = np.concatenate([arrays[name][i][arrays[f"{name}_mask"][i]] for i in (3, 4, 5)])
        np.testing.assert_allclose(scaler["mean"], own.mean(axis=0), rtol=1e-4, atol=1e-5)
    real = arrays["text"][:12][arrays["text_mask"][:12]]
    np.testing.assert_allclose(one["text"]["mean"], real.mean(axis=0), rtol=1e-5)


def test_length_buckets_need_examples_in_memory(feeds):
    recipe = changed(length_limits=(("audio", (4, 6)),))
    mesh = parallel.make_mesh(devices=jax.devices()[:1])
    with pytest.raises(ValueError, match="length_buckets needs all examples in memory"):
        programs.make_program(make_net(), recipe, feeds["stream"].only(("audio",)), Execution("loop", "scan"), mesh, num_steps=5)


def test_streams_are_joined_by_common_segments_and_no_clip_is_lost():
    clips = [Clip(clip_id=name, corpus="made", label="sad", speaker="1") for name in "abcd"]
    names = {"audio": [("a", 0), ("a", 1), ("b", 0), ("b", 1)], "video": [("a", 0), ("c", 0), ("c", 1)]}
    keys, rows = join_segments(clips, names, {})
    # a: the second segment of the audio has no video; b has no video at all, c no audio, d nothing.
    assert keys == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    assert rows == {"audio": [0, 6, 1, 2], "video": [0, 3, 4]}
    three, _ = join_segments(clips, names | {"text": [("a", 0), ("b", 1), ("c", 0)]}, {})
    assert three == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]  # the text shortens c; of b it has the second segment alone
