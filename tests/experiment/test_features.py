"""Frozen encoders run once: in order, each step independent of others, stored under a key of all inputs, resumed after a stop."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from made_sets import spanning_pictures, write_set
from small_experiment import small_config

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage, Example, PreparedCorpus, verify
from avemo_jax.experiment import features, frozen_encoder
from avemo_jax.experiment.encoder_weights import encoder_variables
from avemo_jax.experiment.features import are_made, feature_step, joined, part_widths, sources_of, with_features
from avemo_jax.experiment.frozen_encoder import FrozenEncoder
from data_prep.sets.derived import DerivedSets
from data_prep.views.segments import ViewSegment

NAME, STEP, WIDTH = "mini_xception", (12, 12, 1), 128
LOST, FACELESS = "c2", "c3"


ENCODED = {
    "system__streams": ("video",),
    "train__stages": ("video",),
    "streams__video__encoder": NAME,
    f"encoders__{NAME}__weights": "random",
}


def config(**fields):
    return small_config(**ENCODED | fields)


def pictures(number: int, length: int, *, masked: tuple[int, ...] = ()) -> ViewSegment:
    mask = ~np.isin(np.arange(length), masked)
    values = spanning_pictures(np.random.default_rng(number).integers(0, 256, (length, *STEP)))
    values[~mask] = 255  # must not be read
    return ViewSegment(values, mask, (np.arange(length) * 0.2).astype(np.float32), num_seen=length)


CLIPS = tuple(Clip(clip_id=f"c{i}", corpus="made", label="happy", speaker=str(i)) for i in range(6))
SEGMENTS = {
    "c0": [pictures(0, 3), pictures(10, 2, masked=(1,))],
    "c1": [pictures(1, 5, masked=(0, 4))],
    LOST: Damage("truncated", "cut short"),
    FACELESS: [pictures(3, 2, masked=(0, 1))],
    "c4": [pictures(4, 1)],
    "c5": [pictures(5, 7)],
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Four steps a batch: batches extend over the ends of the segments above, and the last one is not full."""
    monkeypatch.setattr(frozen_encoder, "_LARGEST_BATCH", 4)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    doubts = {FACELESS: Damage("no_face", "no face in any of the 2 frames looked at")}
    folder = tmp_path_factory.mktemp("faces")
    return write_set(
        folder,
        CLIPS,
        lambda i: SEGMENTS[CLIPS[i].clip_id],
        step_shape=STEP,
        modality="video",
        view="faces",
        dtype="uint8",
        key="f" * 64,
        doubts=doubts,
    )


@pytest.fixture(scope="module")
def encoder() -> FrozenEncoder:
    return features.frozen_encoder(config(), NAME, STEP, "uint8")


@pytest.fixture(scope="module")
def one_by_one(encoder):
    """Features of single pictures by the module without folded batch norms."""
    apply = jax.jit(lambda picture: encoder.spec.module().apply(encoder.variables, picture[None])[0])
    return lambda values: np.stack([np.asarray(apply(picture)) for picture in values])


def corpus_of(prepared) -> PreparedCorpus:
    return PreparedCorpus(CLIPS, {"video": prepared}, None)


@pytest.fixture(scope="module")
def straight(faces, tmp_path_factory):
    """The features of all clips, made without an interruption."""
    folder = tmp_path_factory.mktemp("straight")
    return with_features(config(), corpus_of(faces), DerivedSets(folder, "made", CLIPS)).sets["video"]


def examples(faces) -> list[Example]:
    return list(faces.examples())


@pytest.mark.parametrize("is_short", [False, True])
def test_steps_are_encoded_as_if_alone(faces, encoder, one_by_one, is_short):
    found = list(encoder.run(iter(examples(faces)), is_short=is_short))
    assert encoder.batch_size == 4
    assert [(one.clip_id, one.segment) for one in found] == [("c0", 0), ("c0", 1), ("c1", 0), ("c3", 0), ("c4", 0), ("c5", 0)]
    for one, before in zip(found, examples(faces), strict=True):
        assert one.values.shape == (len(before.mask), WIDTH) and one.values.dtype == np.float32
        np.testing.assert_array_equal(one.mask, before.mask)
        np.testing.assert_array_equal(one.times_s, before.times_s)
        assert not one.values[~before.mask].any()
        if before.mask.any():
            np.testing.assert_allclose(one.values[before.mask], one_by_one(before.values[before.mask]), rtol=1e-4, atol=1e-4)
            assert np.ptp(one.values[before.mask], axis=-1).min() > 1e-3


def test_a_network_is_built_once_for_all_files(faces, monkeypatch):
    encoder = features.frozen_encoder(config(), NAME, STEP, "uint8")
    made = []
    frozen_module = type(encoder.spec).frozen_module
    monkeypatch.setattr(type(encoder.spec), "frozen_module", lambda *args: made.append(1) or frozen_module(*args))
    first, second = ([one.values for one in encoder.run(iter(examples(faces)), is_short=True)] for _ in range(2))
    assert made == [1]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_example_comes_as_soon_as_its_batch_is_full(faces, encoder):
    pulled = []

    def noted():
        for one in examples(faces):
            pulled.append(one.clip_id)
            yield one

    run = encoder.run(noted())
    next(run)
    assert pulled == ["c0", "c0"]


def test_no_examples_give_no_features(encoder):
    assert list(encoder.run(iter([]))) == []


def test_features_are_a_prepared_set_with_the_damage_of_the_view(faces, straight, one_by_one):
    verify(straight)
    manifest = straight.manifest
    assert (manifest.view, manifest.modality, manifest.step_shape, manifest.dtype) == (f"faces.{NAME}", "video", (WIDTH,), "float32")
    assert (manifest.num_clips, manifest.num_examples) == (6, 6) and straight.damage == faces.damage
    assert set(straight.damage) == {LOST, FACELESS}
    (source,) = manifest.view_params["sources"]
    assert source == {"view": "faces", "key": "f" * 64, "encoder": NAME, "end_point": "features", "resize_px": 0, "weights": "random"}
    stored = list(straight.examples())
    np.testing.assert_allclose(stored[-1].values, one_by_one(examples(faces)[-1].values), rtol=1e-4, atol=1e-4)


class EmptyStore:
    """A store without sets; it records the requested keys."""

    def __init__(self):
        self.keys: list[str] = []

    def find(self, name, key):
        self.keys.append(key)


def forbidden(*args, **kwargs):
    raise AssertionError("an encoder was asked for its weights again")


def test_a_second_start_finds_the_features_and_runs_no_encoder(faces, straight, monkeypatch, caplog):
    monkeypatch.setattr(features, "encoder_variables", forbidden)
    caplog.set_level("INFO")
    store = DerivedSets(straight.directory.parent, "made", CLIPS)
    assert are_made(config(), corpus_of(faces), store)
    again = with_features(config(), corpus_of(faces), store).sets["video"]
    assert again.directory == straight.directory and again.manifest == straight.manifest
    assert [record.getMessage() for record in caplog.records] == [f"faces.{NAME} of made: already prepared, using {straight.directory}"]


@pytest.mark.parametrize(
    "changes",
    [{f"encoders__{NAME}__end_point": "block3"}, {f"encoders__{NAME}__weights": "own.h5"}, {"streams__video__encoder": "face_expressions"}],
)
def test_other_weights_another_end_point_and_another_encoder_are_other_features(faces, straight, monkeypatch, changes, tmp_path):
    monkeypatch.setattr(features, "weights_digest", lambda experiment, name, shape, dtype: experiment.encoders[name].weights)
    own, other = EmptyStore(), EmptyStore()
    assert not are_made(config(), corpus_of(faces), own) and not are_made(config(**changes), corpus_of(faces), other)
    assert own.keys == [straight.manifest.key] and len(other.keys) == 1 and other.keys != own.keys
    assert not are_made(config(**changes), corpus_of(faces), DerivedSets(straight.directory.parent, "made", CLIPS))
    other_view = dataclasses.replace(faces, manifest=dataclasses.replace(faces.manifest, key="e" * 64))
    assert not are_made(config(), corpus_of(other_view), DerivedSets(straight.directory.parent, "made", CLIPS))


def test_an_interrupted_preparation_resumes_where_it_stopped(faces, straight, monkeypatch, tmp_path):
    store, run = DerivedSets(tmp_path, "made", CLIPS), FrozenEncoder.run
    seen = []

    def stopping(self, segments, **kwargs):
        for one in run(self, segments, **kwargs):
            if one.clip_id == "c4":
                raise KeyboardInterrupt
            yield one

    def noting(self, segments, **kwargs):
        def noted():
            for one in segments:
                seen.append(one.clip_id)
                yield one

        return run(self, noted(), **kwargs)

    monkeypatch.setattr(FrozenEncoder, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        with_features(config(), corpus_of(faces), store)
    assert not are_made(config(), corpus_of(faces), store)
    monkeypatch.setattr(FrozenEncoder, "run", noting)
    finished = with_features(config(), corpus_of(faces), store).sets["video"]
    assert seen == ["c3", "c4", "c5"], "clips that were done are encoded again, or others left out"
    assert finished.manifest == straight.manifest  # its content hash included
    assert finished.damage == straight.damage
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [finished.directory.name]


def test_a_clip_that_is_encoded_to_nothing_is_an_error(faces, monkeypatch, tmp_path):
    monkeypatch.setattr(FrozenEncoder, "run", lambda self, segments, **kwargs: (one for one in [] for _ in segments))
    with pytest.raises(ValueError, match=r"clip c0 has examples in .* and none was encoded"):
        with_features(config(), corpus_of(faces), DerivedSets(tmp_path, "made", CLIPS))


def step(number: int, *, clip: str = "a", segment: int = 0, width: int = 1, times_s=(0.0,), mask=None) -> Example:
    values = number + np.arange(len(times_s) * width, dtype=np.float32).reshape(len(times_s), width)
    mask = np.ones(len(times_s), bool) if mask is None else np.asarray(mask)
    return Example(clip, segment, values, mask, np.asarray(times_s, np.float32))


def test_a_second_view_is_joined_to_the_first_by_the_nearest_times():
    first = [
        step(0, times_s=(0.0, 1.0, 2.0), mask=[True, True, False]),
        step(10, segment=1),
        step(20, clip="c"),
        step(30, clip="d"),
    ]
    second = [
        step(100, width=2, times_s=(0.1, 0.6, 0.9), mask=[True, True, False]),  # the nearest to 1.0 is no real step
        step(200, clip="b", width=2),  # a clip that the first view lacks
        step(300, clip="d", width=2, mask=[False]),
    ]
    found = list(joined(first, second, widths=(1, 2)))
    assert [(one.clip_id, one.segment) for one in found] == [("a", 0), ("a", 1), ("c", 0), ("d", 0)]
    np.testing.assert_array_equal(found[0].values, [[0, 100, 101], [1, 102, 103], [0, 0, 0]])
    for one, own in zip(found[1:], (10, 20, 30), strict=True):
        np.testing.assert_array_equal(one.values, [[own, 0, 0]])
    assert found[0].values.dtype == np.float32
    np.testing.assert_array_equal(found[0].mask, [True, True, False])


def test_pictures_are_flattened_when_joined_to_features():
    (one,) = joined([Example("a", 0, np.ones((1, 2, 2), np.uint8), np.ones(1, bool), np.zeros(1, np.float32))], [step(5)], widths=(4, 1))
    np.testing.assert_array_equal(one.values, [[1, 1, 1, 1, 5]])


def test_two_views_become_one_set_of_joined_features(faces, straight, tmp_path):
    """HOG-like features without an encoder, joined with the encoder's features of the faces."""
    plain = write_set(
        tmp_path,
        CLIPS,
        lambda i: (
            Damage("missing", "not there")
            if i == 5
            else [ViewSegment(np.full((2, 3), i, np.float32), np.ones(2, bool), np.array([0.0, 0.2], np.float32), 2)]
        ),
        step_shape=(3,),
        modality="video",
        view="hog",
        key="a" * 64,
    )
    two = config(
        streams__video__view="hog", streams__video__view_beside="faces", streams__video__encoder="none", streams__video__encoder_beside=NAME
    )
    steps = {"hog": ((3,), "float32"), "faces": (STEP, "uint8")}
    assert part_widths(two, "video", steps) == (3, WIDTH) and feature_step(two, "video", steps) == ((3 + WIDTH,), "float32")
    prepared = PreparedCorpus(CLIPS, {"video": plain}, None, beside={"video": faces})
    both = with_features(two, prepared, DerivedSets(tmp_path / "derived", "made", CLIPS))
    made = both.sets["video"]
    assert made.manifest.view == f"hog+faces.{NAME}" and made.manifest.step_shape == (3 + WIDTH,) and both.beside == {}
    found = {one.clip_id: one for one in made.examples()}
    assert set(found) == {"c0", "c1", "c2", "c3", "c4"}  # c5 is lost, since the first view lacks it
    alone = {one.clip_id: one for one in straight.examples() if one.segment == 0}
    np.testing.assert_array_equal(found["c0"].values[:, :3], 0)
    np.testing.assert_allclose(found["c0"].values[:, 3:], alone["c0"].values[:2], atol=1e-5)
    np.testing.assert_array_equal(found["c2"].values, [[2, 2, 2] + [0] * WIDTH] * 2)  # its film could not be read
    assert {clip: damage.kind for clip, damage in made.damage.items()} == {"c5": "missing", FACELESS: "no_face"}


def test_sources_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"encoder_beside='vggish' needs a second view; set --config.streams.video.view_beside"):
        sources_of(config(streams__video__encoder_beside="vggish"), "video")
    with pytest.raises(ValueError, match=r"expected an encoder among .*, got 'resnet'"):
        sources_of(config(streams__video__view_beside="hog", streams__video__encoder_beside="resnet"), "video")
    with pytest.raises(ValueError, match=r"end point among .*, got 'block9'"):
        features.frozen_encoder(config(**{f"encoders__{NAME}__end_point": "block9"}), NAME, STEP, "uint8")
    with pytest.raises(ValueError, match=r"takes 3 axes a step \(picture of a face\), and the view has steps of \(13,\)"):
        features.frozen_encoder(config(), NAME, (13,), "float32")
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        encoder_variables(config(**{f"encoders__{NAME}__weights": "nothing.h5"}), NAME, STEP, "uint8")
