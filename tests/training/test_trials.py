"""Trials: all combinations, in a fixed order."""

from small_grid import HYPER

from avemo_jax.training.trials import make_trials


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
