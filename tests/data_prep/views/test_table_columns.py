"""Columns that give the answer away are found by name and by content; features, whether made or measured, raise no alarm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.feature_columns import contents_like
from data_prep.corpora import ravdess
from data_prep.views.table import Table
from data_prep.views.table_columns import named_like

NUM_SPEAKERS, NUM_CLASSES, NUM_TAKES = 12, 6, 4
Labels = dict[str, list[str]]


def cohort(num_speakers: int, num_classes: int, num_takes: int) -> Labels:
    """Labels of clips in the order of their names: by speaker, class and take."""
    clips = list(itertools.product(range(num_speakers), range(num_classes), range(num_takes)))
    return {"class": [f"c{one}" for _, one, _ in clips], "speaker": [f"s{one}" for one, _, _ in clips], "take": [f"{t}" for *_, t in clips]}


LABELS = cohort(NUM_SPEAKERS, NUM_CLASSES, NUM_TAKES)
NUM_CLIPS = len(LABELS["class"])
CLASS, SPEAKER, TAKE = (np.array([int(word.strip("cs")) for word in LABELS[kind]], float) for kind in ("class", "speaker", "take"))
OFFSETS = np.array([0.3, 7.1, -2.0, 5.5, 1.1, 0.9])[CLASS.astype(int)]
NOISE = np.random.default_rng(1).normal(size=NUM_CLIPS)
IS_TRAINED = SPEAKER < 8
LINES = np.random.default_rng(2).permutation(NUM_CLIPS)  # the table is in no order


def look(column: np.ndarray, labels: Labels = LABELS, lines: np.ndarray = LINES) -> str | None:
    return contents_like(np.asarray(column, float)[:, None], labels, lines.tolist()).get(0)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("Unnamed: 0", "Unnamed: 0.1", "", " ", "0", "...1", "index", "ID", "row_id", "level_0", "frameTime", "frame"), "a row counter"),
        (("start", "End", "start_time", "onset"), "a time"),
        (("rowindex", "Sr No.", "uid", "lfd. Nr."), "a row counter"),
        (("emotionlabel", "CLASSID", "Klasse", "emocion"), "the class"),
        (("ActorID", "spkid", "Sprecher", "Geschlecht"), "the speaker"),
        (("label", "Emotion", "emotion_id", "true_label", "class", "Target", "y", "labels_encoded", "label1"), "the class"),
        (("speaker", "Actor", "speaker_id", "subjectID", "Participant No.", "gender"), "the speaker"),
        (("fold", "split", "part", "session", "is_train"), "the fold or part"),
    ],
)
def test_names_of_what_is_no_feature(names, what):
    assert {name: named_like(name) for name in names} == dict.fromkeys(names, what)


def test_names_of_features_are_left_alone():
    features = (
        *("AU01_r", "AU45_c", "F0semitoneFrom27.5Hz_sma3nz_amean", "mfcc_1", "pcm_fftMag_fband250-650_sma_de_range", "x_0", "y_1_px"),
        *(
            "loudness_sma3_percentile20.0",
            "jitterLocal_sma3nz_amean",
            "pose_Rx",
            "gaze_angle_x",
            "confidence",
            "smile",
            "StddevVoicedSegmentLengthSec",
        ),
        *("spectralFlux_sma3_amean", "frame_energy", "speech_rate", "p_happy", "target_face_width", "slope0-500", "shimmer"),
    )
    assert [name for name in features if named_like(name)] == []


PLANTED = {
    "the index of a sorted table": (np.arange(NUM_CLIPS), "a row counter"),
    "the index of a table in no order": (LINES, "a row counter"),
    "the index as a share of all rows": (np.float32(LINES / NUM_CLIPS), "a row counter"),
    "a shuffled index with a gap": (np.delete(np.random.default_rng(3).permutation(NUM_CLIPS + 1), 5) + 1000, "a row counter"),
    "an index from which rows were taken out": (LINES**2, "a row counter"),
    "folds that are dealt out row by row": (LINES % 5, "the fold or part"),
    "folds that are cut off": (LINES * 5 // NUM_CLIPS, "the fold or part"),
    "time that goes on from clip to clip": (np.cumsum(np.abs(NOISE) + 0.1), "a row counter"),
    "the label": (CLASS, "the class"),
    "the label with offsets": (OFFSETS, "the class"),
    "the label with noise": (OFFSETS + 0.02 * NOISE, "the class"),
    "one of a one-hot label": (CLASS == 3, "the class"),
    "half of the classes": (CLASS >= 3, "the class"),
    "the label of the training part alone": (np.where(IS_TRAINED, CLASS, -1), "the class"),
    "the label of the training part, and noise": (np.where(IS_TRAINED, CLASS, NOISE), "the class"),
    "the label of the training part, and the first class": (np.where(IS_TRAINED, CLASS, 0), "the class"),
    "the speaker": (SPEAKER, "the speaker"),
    "folds of speakers": (SPEAKER % 5, "the speaker"),
    "the gender": (SPEAKER % 2, "the speaker"),
    "the speaker with noise": (SPEAKER + 0.05 * NOISE, "the speaker"),
    "another label of the corpus": (10 - TAKE, "the take"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_columns_are_found(planted):
    column, what = PLANTED[planted]
    assert (look(column) or "").startswith(f"{what} (")


def test_a_label_of_two_classes_is_found():
    labels = cohort(NUM_SPEAKERS, 2, NUM_TAKES)
    label = np.array([0.5 - 2 * int(word[1]) for word in labels["class"]])
    assert (look(label, labels, np.arange(len(label))[::-1]) or "").startswith("the class (")


def test_columns_are_named_by_their_place_and_constants_pass():
    columns = np.stack([NOISE, CLASS, np.ones(NUM_CLIPS), SPEAKER], axis=1)
    found = contents_like(columns, LABELS, LINES.tolist())
    assert {place: what.split(" (")[0] for place, what in found.items()} == {1: "the class", 3: "the speaker"}


def test_noise_raises_no_alarm():
    """35 columns on each of 100 made cohorts of any shape: continuous, rounded, counts, rare ones, and such as follow class and speaker."""
    alarms = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        labels = cohort(int(random.integers(2, 15)), int(random.integers(2, 9)), int(random.integers(1, 4)))
        _, one = np.unique(labels["class"], return_inverse=True)
        _, who = np.unique(labels["speaker"], return_inverse=True)
        shape = (5, len(one))
        noise = random.normal(size=shape)
        moderate = noise + 1.5 * random.normal(size=(5, one.max() + 1))[:, one] + 1.5 * random.normal(size=(5, who.max() + 1))[:, who]
        columns = [noise, noise.round(1), noise > 0, random.integers(0, 10, shape), random.poisson(3, shape), np.where(noise > 1, noise, 0)]
        values = np.concatenate([np.asarray(column, float) for column in [*columns, moderate]]).T
        assert values.shape == (len(one), 35)
        found = contents_like(np.float32(values).astype(float), labels, random.permutation(len(one)).tolist())
        alarms += [(seed, place, what) for place, what in found.items()]
    assert alarms == []


def test_features_that_predict_the_class_well_raise_no_alarm():
    random = np.random.default_rng(4)
    strong = CLASS[:, None] + random.normal(scale=0.7, size=(NUM_CLIPS, 20))  # nearest class right for half of the clips
    assert contents_like(strong, LABELS, LINES.tolist()) == {}
    labels = cohort(NUM_SPEAKERS, 2, NUM_TAKES)
    smiles = np.array([float(word[1]) for word in labels["class"]])
    smiles[::7] = random.random(len(smiles[::7]))  # saturated at both ends, but for a few
    assert look(smiles, labels, random.permutation(len(smiles))) is None


def test_a_clipped_feature_that_tells_one_class_of_three_raises_no_alarm():
    labels = cohort(NUM_SPEAKERS, 3, 20)
    smiles, lines = np.array([float(word == "c1") for word in labels["class"]]), np.random.default_rng(5).permutation(720)
    assert (look(smiles, labels, lines) or "").startswith("the class (")  # one of a one-hot label
    smiles[::60] = np.random.default_rng(4).random(len(smiles[::60]))
    assert look(smiles, labels, lines) is None


def test_counts_of_which_each_class_has_a_few_values_alone_raise_no_alarm():
    labels = cohort(35, 3, 10)
    label = np.array([int(word[1]) for word in labels["class"]])
    counts = np.random.default_rng(4).integers(np.array([15, 1, 0])[label], np.array([27, 7, 4])[label], endpoint=True)
    assert look(counts, labels, np.random.default_rng(5).permutation(len(counts))) is None


@pytest.mark.parametrize("rest", ["below", "above", "mean", "noise", "shares"])
@pytest.mark.parametrize("num_takes", [4, 20])
def test_two_classes_in_the_training_part_alone_are_found(rest, num_takes):
    labels, random = cohort(NUM_SPEAKERS, 2, num_takes), np.random.default_rng(6)
    label = np.array([float(word[1]) for word in labels["class"]])
    is_trained = np.array([int(word[1:]) < 8 for word in labels["speaker"]])
    filled = {"below": -1, "above": 99, "mean": label.mean(), "noise": random.normal(size=len(label)), "shares": random.random(len(label))}
    found = look(np.where(is_trained, label, filled[rest]), labels, random.permutation(len(label)))
    assert found == f"the class ({is_trained.sum()} of {len(label)} clips have the one value of their class)"


def test_labels_of_a_small_training_part_are_found_among_noise():
    """Six speakers of eight have four classes once: no value alone is more than chance, and all four together are."""
    labels, random = cohort(8, 4, 1), np.random.default_rng(6)
    label = np.array([float(word[1]) for word in labels["class"]])
    is_trained = np.array([int(word[1:]) < 6 for word in labels["speaker"]])
    found = look(np.where(is_trained, label, random.normal(size=len(label))), labels, random.permutation(len(label)))
    assert found == "the class (24 of 32 clips have a value that only one class has)"


@pytest.mark.parametrize("seed", range(20))
def test_ratings_that_follow_two_classes_raise_no_alarm(seed):
    """Whole numbers of three values and more, of which the ends belong to one class only."""
    random = np.random.default_rng(seed)
    labels = cohort(NUM_SPEAKERS, 2, int(random.integers(2, 20)))
    label = np.array([int(word[1]) for word in labels["class"]])
    ratings = [random.binomial(num, np.where(label, 0.9, 0.1)) for num in (2, 3, 5)]
    ratings.append((random.normal(size=len(label)) + 4 * label).round())
    assert contents_like(np.stack(ratings, axis=1).astype(float), labels, random.permutation(len(label)).tolist()) == {}


def test_of_few_clips_nothing_is_said():
    assert contents_like(np.arange(9.0)[:, None], {"class": list("aaabbbccc")}, list(range(9))) == {}


def test_action_units_of_ravdess_raise_no_alarm_and_a_label_among_them_does():
    view = Table(path=str(shared_data("ravdess_action_units.csv")))
    assert len(view.columns) == 35 and view.constant_columns == ()
    rows, _ = view.rows(ravdess.clip_id)
    ids = sorted(rows)
    fields = {"class": 1, "intensity": 2, "sentence": 3, "repetition": 4, "speaker": 5}
    labels = {kind: [clip_id.split("-")[place] for clip_id in ids] for kind, place in fields.items()}
    values = np.concatenate([rows[clip_id].values for clip_id in ids]).astype(float)
    lines = [list(rows).index(clip_id) for clip_id in ids]
    assert contents_like(values, labels, lines) == {}
    for one, other in itertools.combinations(ravdess.EMOTIONS, 2):  # where a smile tells the class of most clips
        kept = [place for place, word in enumerate(labels["class"]) if word in (one, other)]
        assert contents_like(values[kept], {kind: [words[k] for k in kept] for kind, words in labels.items()}, kept[::-1]) == {}
    values[:, 7] = [int(word) for word in labels["class"]]
    values[:, 9] = [int(word) for word in labels["intensity"]]
    found = contents_like(values, labels, lines)
    assert {place: what.split(" (")[0] for place, what in found.items()} == {7: "the class", 9: "the intensity"}
