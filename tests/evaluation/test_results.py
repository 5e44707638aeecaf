from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from made_facts import made_facts

from avemo_jax.atomic import atomic_binary_file, atomic_file, write_json
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.predictions import Predictions, aggregate_segments, ensemble_of_seeds, read_predictions_csv, write_predictions_csv
from avemo_jax.evaluation.results import RunResults
from avemo_jax.evaluation.summary import summarise

FACTS = made_facts()


def predictions(**changes) -> Predictions:
    """Two folds of two clips: right, right; wrong, right. Given out of order."""
    columns = dict(
        clip=["d", "a", "b", "c"],
        speaker=["2", "1", "1", "2"],
        gender=["male", "female", "female", "male"],
        fold=["fold2", "fold1", "fold1", "fold2"],
        seed=[0, 0, 0, 0],
        label=[1, 0, 1, 0],
        probabilities=[[0.1, 0.9], [0.75, 0.25], [0.2, 0.8], [0.123456789, 0.876543211]],
        classes=("calm", "happy"),
    )
    return Predictions(**(columns | changes))


def test_rows_are_sorted_and_rounded():
    sorted_rows = predictions()
    assert sorted_rows.clip.tolist() == ["a", "b", "c", "d"]
    assert sorted_rows.label.tolist() == [0, 1, 0, 1]
    assert sorted_rows.predicted.tolist() == [0, 1, 1, 1]
    assert sorted_rows.probabilities[2].tolist() == [0.123457, 0.876543]
    np.testing.assert_array_equal(sorted_rows.confusion(), [[1, 1], [0, 2]])


def test_csv_is_as_the_contract_has_it(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions_csv(path, predictions())
    assert path.read_bytes().decode() == (
        "clip,speaker,fold,seed,label,predicted,p_calm,p_happy\n"
        "a,1,fold1,0,calm,calm,0.750000,0.250000\n"
        "b,1,fold1,0,happy,happy,0.200000,0.800000\n"
        "c,2,fold2,0,calm,happy,0.123457,0.876543\n"
        "d,2,fold2,0,happy,happy,0.100000,0.900000\n"
    )


def test_csv_comes_back_and_goes_out_the_same(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write_predictions_csv(first, predictions(clip=['with "quotes"', "a,b", "é", "c"]))
    again = read_predictions_csv(first, genders={"1": "female", "2": "male"})
    write_predictions_csv(second, again)
    assert first.read_bytes() == second.read_bytes()
    assert summarise(again, FACTS) == summarise(predictions(clip=['with "quotes"', "a,b", "é", "c"]), FACTS)


def of_seeds(*probabilities, seeds=(3, 1), fold=("f", "f")) -> Predictions:
    """Clips a and b of classes 0 and 1, predicted by each seed with these probabilities."""
    count = len(probabilities)
    return Predictions(
        clip=["a", "b"] * count,
        speaker=["1", "2"] * count,
        gender=["female", "male"] * count,
        fold=[*fold] * count,
        seed=np.repeat(seeds[:count], 2),
        label=[0, 1] * count,
        probabilities=np.concatenate(probabilities),
        classes=("calm", "happy"),
    )


def test_the_seeds_together_predict_the_mean_of_their_probabilities():
    # A mean of logarithms would give 0.66 in place of 0.6, and in clip b the probability of 0 would decide alone.
    together = ensemble_of_seeds(of_seeds([[0.9, 0.1], [1.0, 0.0]], [[0.3, 0.7], [0.3, 0.7]]))
    assert together.clip.tolist() == ["a", "b"] and together.seed.tolist() == [1, 1] and together.label.tolist() == [0, 1]
    np.testing.assert_allclose(together.probabilities, [[0.6, 0.4], [0.65, 0.35]])
    assert ensemble_of_seeds(of_seeds([[0.9, 0.1], [1.0, 0.0]])) is None  # one seed
    both = of_seeds([[0.9, 0.1], [1.0, 0.0]], [[0.3, 0.7], [0.3, 0.7]])
    moved = np.where((both.seed == 3) & (both.clip == "b"), "g", both.fold)
    assert ensemble_of_seeds(dataclasses.replace(both, fold=moved)) is None  # other folds
    assert ensemble_of_seeds(both.rows((both.seed == 1) | (both.clip == "a"))) is None  # other clips


def test_the_seeds_together_are_measured_as_one_system():
    # Of clips a and b each seed gets one right, and so does their mean: a 0.6 right, b 0.65 wrong.
    results = summarise(of_seeds([[0.9, 0.1], [1.0, 0.0]], [[0.3, 0.7], [0.3, 0.7]], fold=("f", "g")), FACTS)
    found = results.seed_ensemble
    assert found.seeds == (1, 3)
    assert (found.metrics["war"].pooled, found.metrics["war"].mean_of_folds) == (0.5, 0.5)
    assert found.metrics["war"].std_of_folds == pytest.approx(np.std([1, 0], ddof=1))  # over folds alone
    assert found.metrics["war"].ci95 == summarise(of_seeds([[0.6, 0.4], [0.65, 0.35]]), FACTS).metrics["war"].ci95
    assert RunResults.from_json(json.loads(json.dumps(results.to_json()))).seed_ensemble == found
    assert summarise(predictions(), FACTS).seed_ensemble is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,speaker,seed,fold,label,predicted,p_a\n", "expected the header"),
        ("clip,speaker,fold,seed,label,predicted\n", "expected the header"),
        ("clip,speaker,fold,seed,label,predicted,p_a\nx,1,f,0,b,a,1.0\n", r"line 2: .* a label among a"),
    ],
)
def test_csv_of_another_kind_is_refused(tmp_path, text, message):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_predictions_csv(path)


def test_predictions_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="one length"):
        predictions(label=[0, 1])
    with pytest.raises(ValueError, match=r"expected probabilities of shape \(4, 3\)"):
        predictions(classes=("a", "b", "c"))
    with pytest.raises(ValueError, match="not finite, the first is d"):
        predictions(probabilities=[[np.nan, 1], [1, 0], [1, 0], [1, 0]])


def test_segments_are_averaged_and_lost_clips_keep_their_row():
    means = aggregate_segments(np.array([2, 0, 2]), np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]), 3, fallback=np.array([0.1, 0.9]))
    np.testing.assert_allclose(means, [[0.25, 0.75], [0.1, 0.9], [0.75, 0.25]])
    np.testing.assert_allclose(aggregate_segments(np.array([0]), np.array([[1.0, 0.0]]), 2)[1], [0.5, 0.5])


def test_summary_by_hand():
    summary = summarise(predictions(), FACTS)
    war = summary.metrics["war"]
    assert (war.mean_of_folds, war.pooled) == (0.75, 0.75)
    assert war.std_of_folds == pytest.approx(np.sqrt(0.125))  # folds 1.0 and 0.5, sample deviation
    assert war.ci95 == pytest.approx((0.0, 1.0), abs=1e-3)  # two speakers, all correct and half: nothing is known of others
    assert [(entry.fold, entry.metrics["war"], entry.num_clips) for entry in summary.per_fold] == [("fold1", 1.0, 2), ("fold2", 0.5, 2)]
    assert summary.per_class_recall == {"calm": 0.5, "happy": 1.0}
    assert to_json(summary.per_speaker["2"]) == {"num_clips": 2, "war": 0.5, "uar": 0.5}
    assert summary.per_gender["female"].metrics["war"] == 1.0
    assert to_json(summary.confusion) == {"classes": ["calm", "happy"], "counts": [[1, 1], [0, 2]]}
    assert summary.num_clips == 4


def test_seeds_count_together_and_apart():
    one = predictions()
    both = Predictions(
        **{
            field.name: np.concatenate([getattr(one, field.name)] * 2)
            for field in dataclasses.fields(Predictions)
            if field.name not in ("seed", "probabilities", "classes")
        },
        seed=np.repeat([0, 1], 4),
        probabilities=np.concatenate([one.probabilities, one.probabilities[:, ::-1]]),
        classes=one.classes,
    )
    summary = summarise(both, FACTS)
    assert summary.num_clips == 4
    assert len(summary.per_fold) == 4
    assert summary.metrics["war"].mean_of_folds == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert [entry.metrics["war"].pooled for entry in summary.per_seed] == [0.75, 0.25]


def test_summary_is_strict_json_even_for_one_speaker(tmp_path):
    summary = summarise(predictions(speaker=["1"] * 4, fold=["fold1"] * 4), FACTS)
    assert summary.metrics["uar"].ci95 is None
    assert summary.metrics["uar"].std_of_folds is None
    write_json(tmp_path / "results.json", summary.to_json())
    assert RunResults.from_json(json.loads((tmp_path / "results.json").read_text())) == summary


def test_baseline_stands_beside():
    baseline = summarise(predictions(), dataclasses.replace(FACTS, system="functionals_linear"))
    summary = summarise(predictions(), FACTS, baseline=baseline)
    assert summary.baseline.system == "functionals_linear"
    assert summary.baseline.metrics == summary.metrics


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old")
    for open_file, half in ((atomic_file, "half"), (atomic_binary_file, b"half")):
        with pytest.raises(RuntimeError), open_file(path) as stream:
            stream.write(half)
            raise RuntimeError
        assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]
        assert path.read_text() == "old"
    with pytest.raises(ValueError):
        write_json(path, {"loss": float("nan")})
    assert path.read_text() == "old"


def test_spreads_and_gaps_by_hand():
    summary = summarise(predictions(), FACTS)
    assert to_json(summary.speaker_spread["war"]) == {"mean": 0.75, "std": pytest.approx(np.sqrt(0.125)), "lowest": 0.5, "highest": 1.0}
    gap = to_json(summary.gender_gap)
    assert gap["between"] == ["female", "male"]
    assert gap["war"] == {"difference": 0.5, "ci95": None, "p": None}  # one speaker each
    assert to_json(summary.per_class["happy"]) == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": 0.8, "num_clips": 2}


def test_speakers_of_unknown_gender_have_no_gap():
    assert summarise(predictions(gender=["unknown"] * 4), FACTS).gender_gap is None


def test_calibration_by_hand():
    calibration = summarise(predictions(), FACTS).calibration
    # Labels got 0.75, 0.8, 0.123457 and 0.9.
    of_label = np.array([0.75, 0.8, 0.123457, 0.9])
    assert calibration.nll.pooled == pytest.approx(-np.log(of_label).mean())
    assert calibration.brier.pooled == pytest.approx((2 * np.square(1 - of_label)).mean())
    assert sum(one.num_clips for one in calibration.reliability) == 4
    assert calibration.scaled is None


def test_temperatures_come_from_validation_alone():
    validation = predictions(clip=["v1", "v2", "v3", "v4"])
    summary = summarise(predictions(), FACTS, validation=validation)
    scaled = summary.calibration.scaled
    assert [(one.fold, one.seed) for one in scaled.temperatures] == [("fold1", 0), ("fold2", 0)]
    # Fold 1 is always correct, so its temperature sharpens; fold 2 is confident and once wrong, so it is smoothed.
    assert scaled.temperatures[0].temperature < 1 < scaled.temperatures[1].temperature
    assert scaled.nll.pooled < summary.calibration.nll.pooled  # here both parts are alike
    assert summary.metrics == summarise(predictions(), FACTS).metrics  # metrics are of the uncalibrated predictions
    with pytest.raises(ValueError, match="in the validation and the test predictions"):
        summarise(predictions(), FACTS, validation=predictions())


def test_training_clips_are_counted_where_they_are_known():
    summary = summarise(predictions(), FACTS, num_train={"fold1": 30, "fold2": 28})
    assert [entry.num_train for entry in summary.per_fold] == [30, 28]
    assert "num_train" not in summarise(predictions(), FACTS).to_json()["per_fold"][0]
