"""Trials: all combinations, in a fixed order."""

from small_grid import HYPER

from avemo_jax.training.trials import make_trials


def test_trials_are_all_combinations_and_folds_vary_fastest():
    trials = make_trials(num_folds=2, seeds=(5, 6), hyper=HYPER, sweep={"learning_rate": (0.1, 0.2), "momentum": ()})
    assert len(trials) == 8 and [trial.number for trial in trials] == list(range(8))
    assert [(t.setting, t.seed, t.fold) for t in trials[:4]] == [(0, 5, 0), (0, 5, 1), (0, 6, 0), (0, 6, 1)]
    assert trials[0].hyper["learning_rate"] == 0.1 and trials[4].hyper["learning_rate"] == 0.2
    assert trials[4].hyper["momentum"] == HYPER["momentum"]
