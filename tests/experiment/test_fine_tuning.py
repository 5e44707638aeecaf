"""An encoder trained with its network: frozen weights stay bit for bit, the others change, with both kinds of feed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_sets import spanning_pictures, write_set
from small_experiment import EMOTIONS, flat, small_config

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.data.stream import StreamedSet
from avemo_jax.experiment.encoder_weights import encoder_variables
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.features import with_features
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.stages import restore_stages
from avemo_jax.modes.train import train as train_grid
from data_prep.corpora import synthetic_face
from data_prep.sets.derived import DerivedSets
from data_prep.views.segments import ViewSegment

pytestmark = pytest.mark.slow
STEP = (12, 12, 1)
TUNED = {
    "system__streams": ("video",),
    "train__stages": ("video",),
    "protocol__name": "holdout_50_25_25",
    "train__weight_decay": 0.1,
    "train__num_epochs": 1,
    "streams__video__augmentation__max_rotate_deg": 10.0,
    "streams__video__augmentation__flip": True,
    "streams__video__encoder": "mini_xception",
    "streams__video__encoder_trained_from": "block2",
    "encoders__mini_xception__weights": "random",
    "encoders__mini_xception__end_point": "block2",
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> PreparedCorpus:
    """Grey pictures, two or three a clip, brighter by class."""
    clips = tuple(
        Clip(clip_id=f"s{speaker}-{emotion}", corpus="made", label=emotion, speaker=f"s{speaker}")
        for speaker in range(6)
        for emotion in EMOTIONS
    )

    def segments(i):
        length, level = 2 + i % 2, 40 * EMOTIONS.index(clips[i].label)
        values = spanning_pictures(np.random.default_rng(i).integers(level, level + 60, (length, *STEP)))
        return [ViewSegment(values, np.ones(length, bool), np.arange(length, dtype=np.float32), length)]

    folder = tmp_path_factory.mktemp("pictures")
    faces = write_set(folder, clips, segments, step_shape=STEP, modality="video", view="faces", dtype="uint8")
    return PreparedCorpus(clips, {"video": faces}, None)


@pytest.fixture(scope="module")
def tuned(pictures, tmp_path_factory):
    """Feed -> config, plan and outcome of a run that trains the encoder from its second block on."""
    folder, made = tmp_path_factory.mktemp("tuned"), {}

    def train(feed: str):
        if feed not in made:
            config = small_config(folder / feed, **TUNED, devices__feed=feed)
            train_grid(config, pictures)
            plan = make_plan(config, pictures)
            made[feed] = config, plan, *restore_stages(plan, folder / feed)
        return made[feed]

    return train


def test_frozen_weights_stay_and_others_change(tuned):
    config, plan, outcome = tuned("stream")
    assert isinstance(plan.data, StreamedSet)
    before = encoder_variables(config, "mini_xception", STEP, "uint8")
    (state,) = outcome.states
    after = {
        kind: flat(tree["video"]["context"]["encoder"]["mini_xception"])
        for kind, tree in (("params", state.learner.params), ("batch_stats", state.learner.batch_stats))
    }
    moved = {name.split("/")[0] for name, leaf in flat(before["params"]).items() if not np.array_equal(leaf, after["params"][name])}
    assert moved == {"block2"} and {name.split("/")[0] for name in after["params"]} == {"stem", "block1", "block2"}
    kernels = [name for name in after["params"] if name.startswith("block2/") and not name.endswith(("mean", "var"))]
    assert all(not np.array_equal(flat(before["params"])[name], after["params"][name]) for name in kernels)
    # the published moving statistics stay, as those of a few similar frames would be poor estimates
    assert all(np.array_equal(leaf, after["batch_stats"][name]) for name, leaf in flat(before["batch_stats"]).items())
    assert int(state.learner.step) == 1 and "video" not in state.scaler


def test_feeds_from_disk_and_from_memory_give_equal_results(tuned):
    (_, plan, streamed), (_, _, resident) = tuned("stream"), tuned("resident")
    for one, other in zip(flat(streamed.states[0].learner.params).values(), flat(resident.states[0].learner.params).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    rows = [plan.test_rows(plan.trials[0])]
    np.testing.assert_allclose(streamed.probabilities([0], rows)[0], resident.probabilities([0], rows)[0], atol=1e-3)


def test_an_ensemble_with_a_trained_encoder_takes_the_pictures_of_the_view(tuned, pictures):
    config, plan, outcome = tuned("stream")
    ensemble = load_ensemble(config, {"video": (STEP, "uint8")}, 10.0, None)
    clip_id = pictures.clips[1].clip_id
    (segment,) = ensemble.predict({"video": [one for one in pictures.sets["video"].examples() if one.clip_id == clip_id]})
    (expected,) = outcome.probabilities([0], [plan.data.examples_of([clip_id])])
    np.testing.assert_allclose(segment.probabilities, expected[0], atol=1e-5)


ACTORS, SHOWN, TAKES = 9, ("happy", "angry"), 8


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> PreparedCorpus:
    """The demo's drawn faces: actors x two emotions x takes."""
    pictures = {}
    for actor in range(ACTORS):
        looks = synthetic_face.Looks.draw(np.random.default_rng([7, actor]), male=bool(actor % 2))
        for emotion in SHOWN:
            for take in range(TAKES):
                rng = np.random.default_rng([actor, SHOWN.index(emotion), take])
                *_, last = synthetic_face.frames(rng, looks, emotion, np.zeros(2), 2.0)
                pictures[f"s{actor}-{emotion}-{take}"] = cv2.resize(cv2.cvtColor(last[40:125, 40:125], cv2.COLOR_RGB2GRAY), (48, 48))
    clips = tuple(Clip(clip_id=name, corpus="made", label=name.split("-")[1], speaker=name.split("-")[0]) for name in pictures)

    def segments(i):
        return [ViewSegment(pictures[clips[i].clip_id][None, :, :, None], np.ones(1, bool), np.zeros(1, np.float32), 1)]

    folder = tmp_path_factory.mktemp("drawn")
    still = write_set(folder, clips, segments, step_shape=(48, 48, 1), modality="video", view="still", dtype="uint8")
    return PreparedCorpus(clips, {"video": still}, None)


@pytest.mark.long
def test_training_the_encoder_improves_on_leaving_it_frozen(drawn, tmp_path):
    """On faces that neither was trained on, both read from disk; the encoder starts from the same random weights in both."""
    recipe = {
        "system__streams": ("video",),
        "streams__video__view": "still",
        "train__stages": ("video",),
        "corpus__label_set": "ravdess8",
        "protocol__name": "holdout_50_25_25",
        "streams__video__encoder": "mini_xception",
        "streams__video__dense_units": (),
        "streams__video__batch_norm": False,
        "encoders__mini_xception__weights": "random",
        "train__num_epochs": 8,
        "train__learning_rate": 4e-3,
        "devices__feed": "stream",
    }
    scores = {}
    for start in ("", "all"):
        config = small_config(tmp_path / f"run{start}", **recipe, streams__video__encoder_trained_from=start)
        corpus = with_features(config, drawn, DerivedSets(tmp_path / "derived", "made", drawn.clips))
        scores[start] = train_grid(config, corpus).metrics["uar"].mean_of_folds
    assert scores["all"] > scores[""] + 0.2, scores
