"""The ablation of a classical system: one part left out at a time, and the test part never read."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from small_experiment import BOTH, small_config, small_corpus

from avemo_jax.evaluation.metrics import uar_from_confusion
from avemo_jax.experiment.ablating import WHOLE, ablate, variants_of
from avemo_jax.experiment.classical_stage import statistics_with_copies
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.modes.ablate import ablate_run
from avemo_jax.modes.train import train as train_grid
from data_prep.views.functionals import FEATURE_NAMES, Functionals

FIELDS = {"system__streams": BOTH, "train__stages": ("kernel",), "streams__audio__pooling": "mean_std"}
PARTS = {"audio": {"first number": np.array([True, False, False])}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("prepared"))


def test_each_part_is_left_out_once_and_the_table_says_what_it_is_worth(prepared, tmp_path, capsys):
    own = small_config(tmp_path / "run", **FIELDS)
    train_grid(own, prepared)
    entries = ablate_run(own, prepared, PARTS)
    assert {one["name"]: one["num_features"] for one in entries} == {
        WHOLE: 9,
        "without audio": 3,
        "without audio: deviations": 6,
        "without audio: means": 6,
        "without audio: first number": 7,
        "without video": 6,
        "a linear machine in place of the kernel": 9,
        "the penalty 0.01 in place of the chosen one": 9,
    }
    by_name = {one["name"]: one for one in entries}
    assert by_name[WHOLE]["difference"] is None
    assert by_name["without video"]["difference"]["difference"] < -0.05  # it tells two pairs of emotions apart
    assert json.loads((tmp_path / "run" / "ablation.json").read_text())["variants"] == entries
    assert (tmp_path / "run" / "tables" / "ablation.csv").is_file() and "No test part was read" in capsys.readouterr().out


def test_clips_of_the_test_parts_change_nothing(prepared, tmp_path):
    plan = make_plan(small_config(tmp_path / "run", **FIELDS), prepared)
    stage = plan.stages[-1]
    found = statistics_with_copies(plan, stage)
    variants = variants_of(plan, stage, found, {})[:1]
    is_tested = np.isin([clip.clip_id for clip in plan.clips], plan.folds.folds[0].test)[found.clip]
    changed = dataclasses.replace(
        found, features=np.where(is_tested[:, None], 99.0, found.features), label=np.where(is_tested, 0, found.label)
    )
    (_, expected), (_, counts) = (next(ablate(plan, stage, one, variants, range(1))) for one in (found, changed))
    np.testing.assert_array_equal(counts, expected)
    # Every example of the training part is predicted once; one clip has two.
    assert counts.sum() == len(plan.folds.folds[0].train) + 1 and 0.25 < uar_from_confusion(counts.sum(axis=0)) < 1


def test_parts_of_the_functionals_are_named_features():
    parts = Functionals.parts()
    assert all(own.shape == (len(FEATURE_NAMES),) and own.any() for own in parts.values())
    assert {name for name, own in zip(FEATURE_NAMES, parts["cepstra"], strict=True) if own} == {
        name for name in FEATURE_NAMES if "_mfcc_" in name
    }
    descriptors = [own for name, own in parts.items() if name in list(parts)[1:6]]
    statistics = [own for name, own in parts.items() if name in list(parts)[6:12]]
    for several in (descriptors, statistics):  # each feature but those of rhythm is in one of them
        np.testing.assert_array_equal(np.sum(several, axis=0), ~parts["rhythm and level of the whole"])


def test_networks_are_referred_to_a_sweep(prepared, tmp_path):
    own = small_config(tmp_path / "run", train__stages=("svm",))
    train_grid(own, prepared)
    with pytest.raises(ValueError, match=r"the last stage of this run is 'svm'; .* --config.sweep.one_at_a_time=True"):
        ablate_run(own, prepared, {})
