"""Explanations by occlusion: what is hidden where, on a network whose clips hold the emotion in one place alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from html_page import Page
from made_sets import write_set
from small_experiment import EMOTIONS, small_clips, small_config

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.predictions import read_predictions_csv
from avemo_jax.experiment.occlusion import Division, hide, where_hidden
from avemo_jax.modes.explain import explain
from avemo_jax.modes.train import train
from data_prep.views.segments import ViewSegment

NUM_STEPS = 16


class MadeNetwork:
    """What `hide` asks of a network."""

    def __init__(self, *streams: str, scaled: bool):
        self.stage = type("Stage", (), {"streams": streams})
        self.scaler = dict.fromkeys(streams) if scaled else {}


def test_spans_are_parts_of_each_clips_own_length():
    mask = np.arange(8) < np.array([[8], [4]])
    cells = np.zeros((2, 2, 1), bool)
    cells[:, 1] = True  # the second half
    where = np.broadcast_to(where_hidden(Division("audio", "time", (2, 1)), (2, 8, 3), mask, cells), (2, 8, 3))
    assert where[0, :, 0].tolist() == [False] * 4 + [True] * 4 and where[1, :4, 2].tolist() == [False, False, True, True]


def test_bands_and_squares_cover_everything_once():
    mask = np.ones((1, 5), bool)
    for division, shape in (
        (Division("audio", "time and features", (3, 4)), (1, 5, 10)),
        (Division("video", "picture", (6, 6)), (1, 5, 13, 17, 3)),
        (Division("video", "time", (3, 1)), (1, 5, 13, 17, 3)),
    ):
        size = division.shape[0] * division.shape[1]
        each = [
            np.broadcast_to(where_hidden(division, shape, mask, one.reshape(1, *division.shape)), shape) for one in np.eye(size, dtype=bool)
        ]
        assert (np.sum(each, axis=0) == 1).all() and all(one.any() for one in each)


def test_what_is_hidden_is_the_mean():
    values = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
    batch = {"audio": values, "audio_mask": np.array([[True, True, True, False]])}
    division, cells = Division("audio", "time", (3, 1)), np.array([[True, False, False]])
    scaled = hide(batch, MadeNetwork("audio", scaled=True), division, cells)["audio"]
    own = hide(batch, MadeNetwork("audio", scaled=False), division, cells)["audio"]
    assert scaled[0, 0].tolist() == [0, 0, 0] and own[0, 0].tolist() == [3, 4, 5]  # the mean of the three real steps
    np.testing.assert_array_equal(scaled[0, 1:3], values[0, 1:3])
    assert hide(batch, MadeNetwork("video", scaled=True), division, cells) is batch
    pictures = {"video": np.full((1, 2, 6, 6, 1), 90, np.uint8), "video_mask": np.ones((1, 2), bool)}
    pictures["video"][0, 0, 0, 0] = 162
    hidden = hide(pictures, MadeNetwork("video", scaled=False), Division("video", "picture", (6, 6)), np.eye(36, dtype=bool)[:1])["video"]
    assert hidden.dtype == np.uint8 and hidden[0, :, 0, 0, 0].tolist() == [91, 91] and (hidden[0, :, 1:] == 90).all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> PreparedCorpus:
    """Clips of 16 steps with the emotion in the third and fourth step alone, in one of four features."""
    clips = small_clips()

    def segments(i: int) -> list[ViewSegment]:
        values = 0.3 * np.random.default_rng(i).normal(size=(NUM_STEPS, 4)).astype(np.float32)
        values[2:4, EMOTIONS.index(clips[i].label)] += 12
        return [ViewSegment(values, np.ones(NUM_STEPS, bool), np.arange(NUM_STEPS, dtype=np.float32), NUM_STEPS)]

    folder = tmp_path_factory.mktemp("prepared")
    return PreparedCorpus(clips, {"audio": write_set(folder, clips, segments, step_shape=(4,))}, None)


def test_the_place_of_the_emotion_is_found_in_unseen_clips(corpus, tmp_path, capsys):
    experiment = small_config(tmp_path / "run", train__num_epochs=25)
    train(experiment, corpus)
    capsys.readouterr()
    page = Page(explain(experiment, corpus, clips_per_class=5).read_text())
    page.check_needs_nothing_else()
    assert "20 test clips" in page.text and sum(attributes.get("role") == "img" for _, attributes in page.tags) == 4 + 1
    found = json.loads((tmp_path / "run" / "explain.json").read_text())
    (one,) = found["divisions"]
    importance, label = np.array(one["importance"]), np.array(one["label"])
    assert (one["stream"], one["division"], importance.shape) == ("audio", "time and features", (20, 8, 4))
    for number in range(4):
        mean = importance[label == number].mean(axis=0)
        assert np.unravel_index(mean.argmax(), mean.shape)[0] == 1 and mean.max() > 0.2  # steps 3 and 4 are the second of eight spans
        assert np.abs(np.delete(mean, 1, axis=0)).max() < 0.1
    assert one["deletion"][0] == one["random"][0] == pytest.approx(np.mean(one["probability"]), abs=1e-5)
    assert one["deletion"][1] < one["random"][1] - 0.2
    # With nothing hidden the probabilities are those of the run, and the clips are of as many speakers as there are.
    predicted = read_predictions_csv(tmp_path / "run" / "predictions.csv")
    of_label = {clip: row[number] for clip, row, number in zip(predicted.clip, predicted.probabilities, predicted.label, strict=True)}
    np.testing.assert_allclose(one["probability"], [of_label[clip] for clip in one["clips"]], atol=1e-4)
    assert len({clip.split("-")[0] for clip in one["clips"]}) == 5
    assert "Hiding the most important fifth of the cells lowers" in capsys.readouterr().out


def test_what_cannot_be_explained_is_refused(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run"):
        explain(small_config(tmp_path / "none"), corpus, clips_per_class=5)
    with pytest.raises(ValueError, match="--clips_per_class must be 1 or more, got 0"):
        explain(small_config(tmp_path / "none"), corpus, clips_per_class=0)
    experiment = small_config(tmp_path / "run", train__stages=("linear",))
    train(experiment, corpus)
    with pytest.raises(ValueError, match="hides parts of the input of a network, and small has none"):
        explain(experiment, corpus, clips_per_class=2)
