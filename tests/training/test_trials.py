"""Trials: all combinations, in a fixed order."""

import jax
import numpy as np
from small_grid import HYPER

from avemo_jax import parallel
from avemo_jax.training.trials import make_inputs, make_trials


def test_trials_are_all_combinations_and_folds_vary_fastest():
    trials = make_trials(num_folds=2, seeds=(5, 6), hyper=HYPER, sweep={"learning_rate": (0.1, 0.2), "momentum": ()})
    assert len(trials) == 8 and [trial.number for trial in trials] == list(range(8))
    assert [(t.setting, t.seed, t.fold) for t in trials[:4]] == [(0, 5, 0), (0, 5, 1), (0, 6, 0), (0, 6, 1)]
    assert trials[0].hyper["learning_rate"] == 0.1 and trials[4].hyper["learning_rate"] == 0.2
    assert trials[4].hyper["momentum"] == HYPER["momentum"]


def test_one_at_a_time_changes_one_thing_in_each_setting():
    sweep = {"learning_rate": (0.1, 0.2), "momentum": (0.9, 0.0)}
    fields = {"streams.audio.pooling": ("attention", "mean", "last")}
    trials = make_trials(num_folds=1, seeds=(0,), hyper=HYPER, sweep=sweep, fields=fields, one_at_a_time=True)
    found = [(dict(t.fields)["streams.audio.pooling"], t.hyper["learning_rate"], t.hyper["momentum"]) for t in trials]
    assert found == [("attention", 0.1, 0.9), ("mean", 0.1, 0.9), ("last", 0.1, 0.9), ("attention", 0.2, 0.9), ("attention", 0.1, 0.0)]
    assert [t.setting for t in trials] == list(range(5))


def test_trials_of_one_fold_share_the_array_of_their_rows():
    """On the host and on a device, since 100,000 trials of 100,000 clips would hold 36 GB of rows."""
    parts = [(np.arange(5), np.arange(5, 8)), (np.arange(2, 8), np.arange(2))]
    trials = make_trials(num_folds=2, seeds=(0, 1, 2), hyper=HYPER, sweep={})
    inputs = make_inputs(trials, [parts[trial.fold] for trial in trials])
    assert [one.train_index.tolist() for one in inputs[:2]] == [[0, 1, 2, 3, 4, 0], [2, 3, 4, 5, 6, 7]]
    assert [one.select_index.tolist() for one in inputs[:2]] == [[5, 6, 7], [0, 1, 0]]
    assert len({id(one.train_index) for one in inputs}) == len({id(one.select_index) for one in inputs}) == 2
    mesh, sharing = parallel.make_mesh(devices=jax.devices()[:1]), parallel.Sharing()
    placed = [parallel.place_everywhere(one, mesh, sharing) for one in inputs]
    assert len({id(one.train_index) for one in placed}) == 2
    for one, other in zip(inputs, placed, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
