"""The resident set and the stream hold the same rows, and training on either gives the same numbers."""

import jax
import numpy as np
import pytest
from made_sets import segment, write_set
from small_grid import NOTHING, changed, make_net, make_trial_inputs, program, run

from avemo_jax import parallel
from avemo_jax.clips import Clip
from avemo_jax.data.resident import ResidentSet, join_segments, load_resident
from avemo_jax.data.stream import open_stream
from avemo_jax.training.stream_program import StreamProgram


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    clips = [Clip(clip_id=f"c{i:02d}", corpus="made", label="happy", speaker=str(i % 5)) for i in range(50)]
    labels = [i % 4 for i in range(50)]
    directory = tmp_path_factory.mktemp("feeds")
    audio = write_set(directory, clips, lambda i: [segment(4 + i % 4, 3, i, offset=labels[i])], step_shape=(3,))
    return clips, labels, {"audio": audio}


def test_a_stream_reads_the_rows_of_the_resident_set(corpus):
    clips, labels, sets = corpus
    resident, stream = load_resident(clips, labels, sets), open_stream(clips, labels, sets)
    for name in ("label", "clip", "usable"):
        np.testing.assert_array_equal(resident.arrays[name], stream.arrays[name])
    order = np.asarray([7, 3, 49, 0, 0, 0], np.int32)
    real = np.asarray([True, True, True, True, False, False])
    first, second = stream.batches(order, real, 3)
    np.testing.assert_array_equal(first["audio"], resident.arrays["audio"][order[:3]])
    np.testing.assert_array_equal(first["audio_mask"], resident.arrays["audio_mask"][order[:3]])
    np.testing.assert_array_equal(second["mask"], [True, False, False])
    np.testing.assert_array_equal(resident.examples_of(["c07", "c03"]), [3, 7])
    np.testing.assert_array_equal(stream.examples_of(["c07", "c03"]), [3, 7])


def test_training_on_a_stream_equals_training_on_a_resident_set(corpus):
    clips, labels, sets = corpus
    _, inputs = make_trial_inputs()
    recipe = changed(num_epochs=2)
    stream = open_stream(clips, labels, sets)
    mesh = parallel.make_mesh(devices=jax.devices()[:1])
    resident, metrics = run(program(recipe=recipe, data=dict(load_resident(clips, labels, sets).arrays)), inputs[:2], 2)
    streamed, again = run(StreamProgram(make_net(), recipe, stream, mesh, 5), inputs[:2], 2)
    for one, other in zip(jax.tree.leaves((resident, metrics)), jax.tree.leaves((streamed, again)), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    shape = StreamProgram(make_net(), recipe, stream, mesh, 5).trial_shape(inputs[0], NOTHING)
    assert jax.tree.map(np.shape, streamed[0]) == jax.tree.map(lambda leaf: leaf.shape, shape)


def test_arrays_travel_without_tfds(corpus, tmp_path):
    clips, labels, sets = corpus
    resident = load_resident(clips, labels, sets)
    resident.save(tmp_path / "arrays.npz")
    loaded = ResidentSet.load(tmp_path / "arrays.npz")
    assert loaded.clip_ids == resident.clip_ids and loaded.streams == ("audio",)
    for name, values in resident.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], values)
    np.testing.assert_array_equal(loaded.times_s["audio"], resident.times_s["audio"])


def test_streams_are_joined_by_common_segments_and_no_clip_is_lost():
    clips = [Clip(clip_id=name, corpus="made", label="sad", speaker="1") for name in "abcd"]
    names = {"audio": [("a", 0), ("a", 1), ("b", 0), ("b", 1)], "video": [("a", 0), ("c", 0), ("c", 1)]}
    keys, rows = join_segments(clips, names, {})
    # a: the second segment of the sound has no picture; b has no picture at all, c no sound, d nothing.
    assert keys == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    assert rows == {"audio": [0, 6, 1, 2], "video": [0, 3, 4]}
