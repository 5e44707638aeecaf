"""Predictions in Parquet files, and measures that read one trial at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avemo_jax.evaluation import statistics, stored_predictions
from avemo_jax.evaluation.predictions import Predictions, largest_difference, read_predictions_csv, speaker_sums, write_predictions_csv
from avemo_jax.evaluation.statistics import draw_speakers, resampled_sums
from avemo_jax.evaluation.stored_predictions import StoredPredictions, open_writer, read_predictions, write_predictions
from avemo_jax.evaluation.summary import summarise
from avemo_jax.reporting.confident_errors import confident_errors
from avemo_jax.reporting.precision_recall import precision_recall
from tests.support.made_facts import made_facts


def made(*, dimensions: tuple[str, ...] = (), seeds: tuple[int, ...] = (0, 10)) -> Predictions:
    """Return predictions of 40 clips of 8 speakers in 4 folds, with a name that needs quotes."""
    generator = np.random.default_rng(0)
    clip = np.tile([f'"{row}", é' for row in range(40)], len(seeds))
    speaker = np.tile(np.arange(40) % 8, len(seeds))
    rating = generator.normal(size=(len(clip), len(dimensions)))
    rating[::7] = np.nan
    return Predictions(
        clip=clip,
        speaker=speaker.astype(str),
        gender=np.where(speaker % 2, "female", "male"),
        fold=np.char.add("fold", (speaker % 4).astype(str)),
        seed=np.repeat(seeds, 40),
        label=np.tile(np.arange(40) % 3, len(seeds)),
        probabilities=generator.dirichlet(np.ones(3), len(clip)),
        classes=("calm", "sad", "angry"),
        dimensions=dimensions,
        rating=rating,
        value=generator.normal(size=rating.shape) * 30,
    )


@pytest.mark.parametrize("dimensions", [(), ("valence", "arousal")])
def test_a_file_gives_the_same_rows_and_results(tmp_path, dimensions):
    predictions = made(dimensions=dimensions)
    with open_writer(tmp_path / "p.parquet") as writer:
        for trial in reversed(predictions.trials):  # in any order
            writer.add(predictions.part(*trial))
    stored = StoredPredictions(tmp_path / "p.parquet")
    assert (stored.classes, stored.dimensions, stored.trials) == (predictions.classes, dimensions, predictions.trials)
    assert largest_difference(stored, predictions) == 0 and stored.part(10, "fold1").gender.tolist() == ["female"] * 10
    assert summarise(stored, made_facts()) == summarise(predictions, made_facts())
    assert confident_errors(stored) == confident_errors(predictions)
    assert [one.average_precision for one in precision_recall(stored)] == [one.average_precision for one in precision_recall(predictions)]
    np.testing.assert_array_equal(speaker_sums(stored), speaker_sums(predictions))
    write_predictions_csv(tmp_path / "a.csv", stored)
    write_predictions_csv(tmp_path / "b.csv", predictions)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_parquet_lies_beside_many_rows_alone_and_is_what_is_read(tmp_path, monkeypatch):
    path, many = tmp_path / "predictions.csv", made()
    monkeypatch.setattr(stored_predictions, "MANY_ROWS", 80)
    write_predictions(path, many)
    path.unlink()
    assert largest_difference(read_predictions(path), many) == 0
    few = many.rows(many.seed == 0)
    write_predictions(path, few)
    assert largest_difference(read_predictions(path), few) == 0 and not path.with_suffix(".parquet").exists()


def test_another_file_is_refused_by_name(tmp_path):
    path = tmp_path / "predictions.parquet"
    path.write_bytes(b"clip,speaker")
    with pytest.raises(ValueError, match=r"predictions\.parquet: expected predictions in Parquet"):
        StoredPredictions(path)


def test_a_file_is_read_in_blocks_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("avemo_jax.evaluation.predictions._ROWS_OF_A_BLOCK", 7)
    write_predictions_csv(tmp_path / "p.csv", made(dimensions=("valence",)))
    assert largest_difference(read_predictions_csv(tmp_path / "p.csv"), made(dimensions=("valence",))) == 0
    with (tmp_path / "p.csv").open("a") as stream:
        stream.write("a,b\n")
    with pytest.raises(ValueError, match="line 82: expected 11 fields"):
        read_predictions_csv(tmp_path / "p.csv")


def test_rows_in_any_order_are_sorted_by_seed_fold_and_clip():
    predictions = made()
    order = np.random.default_rng(1).permutation(80)
    names = ("clip", "speaker", "gender", "fold", "seed", "label", "probabilities", "rating", "value")
    shuffled = dataclasses.replace(predictions, **{name: getattr(predictions, name)[order] for name in names})
    assert largest_difference(shuffled, predictions) == 0
    rows = list(zip(shuffled.seed.tolist(), shuffled.fold.tolist(), shuffled.clip.tolist(), strict=True))
    assert rows == sorted(rows)


def test_draws_of_few_resamples_at_a_time_are_those_of_all(monkeypatch):
    sums = np.arange(21.0).reshape(7, 3)
    expected = np.tensordot(draw_speakers(7, 50, 3), sums, axes=1)
    monkeypatch.setattr(statistics, "_MOST_DRAWS", 7 * 9)
    np.testing.assert_array_equal(resampled_sums(50, 3, sums)[0], expected)
