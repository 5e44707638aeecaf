"""Outcomes of stages: which trials have failed, and which are chosen."""

from types import SimpleNamespace

import numpy as np

from avemo_jax.experiment.measuring import count_failed
from avemo_jax.experiment.outcomes import LateOutcome, NetworkOutcome, TrainedGroup, fit_late
from avemo_jax.experiment.predictions import chosen_trials


def outcome(*best_epochs: int) -> NetworkOutcome:
    """Return a stage of trials with best weights of these epochs, -1 where no epoch was finished."""
    states = [SimpleNamespace(best=SimpleNamespace(epoch=epoch, metric=epoch / 10)) for epoch in best_epochs]
    return NetworkOutcome(None, [TrainedGroup(None, range(len(states)), states)])


def test_a_trial_has_failed_where_any_stage_has_no_trained_weights():
    first, second = outcome(3, -1, 2, 5), outcome(0, 4, 2, -1)
    assert [second.has_failed(position) for position in range(4)] == [False, False, False, True]
    late = LateOutcome(None, (first, second), (), (0.5,) * 4)
    assert [late.has_failed(position) for position in range(4)] == [False, True, False, True]
    trials = [SimpleNamespace(fold=fold, seed=0) for fold in range(4)]
    plan = SimpleNamespace(trials=trials)
    assert count_failed(plan, [first, second], range(4)) == (4, 2)
    assert count_failed(plan, [first, second], (0, 1)) == (2, 1)


def test_of_settings_with_equal_scores_the_first_is_chosen():
    """So that further settings of a sweep change no choice that is made already."""
    trials = [SimpleNamespace(fold=fold, seed=seed) for fold in range(2) for seed in range(2) for _ in range(3)]
    scores = [0.5, 0.5, 0.4, 0.1, 0.7, 0.7, -np.inf, -np.inf, -np.inf, 0.2, 0.3, 0.1]
    assert chosen_trials(trials, scores.__getitem__) == [0, 4, 6, 10]


def test_late_weights_are_fitted_on_the_unseen_clips_of_the_same_trial():
    """Two trials with two inner folds each: the networks at positions 2 and 3 belong to the first trial, 4 and 5 to the second."""
    clips, asked = [f"c{i}" for i in range(8)], []

    def probabilities(positions, rows):
        asked.append((list(positions), [one.tolist() for one in rows]))
        return [np.full((len(one), 2), 0.5) for one in rows]

    def examples_of(clip_ids):
        return np.asarray([clips.index(clip_id) for clip_id in clip_ids])

    plan = SimpleNamespace(
        experiment=SimpleNamespace(
            late=SimpleNamespace(rule="weighted_product"),
            protocol=SimpleNamespace(metric="uar"),
            system=SimpleNamespace(segment_rule="mean"),
        ),
        inner=[(("c0", "c1"), ("c2", "c3")), (("c4", "c5"), ("c6", "c7"))],
        trials=[SimpleNamespace(fold=0), SimpleNamespace(fold=1)],
        data=SimpleNamespace(examples_of=examples_of, clip=np.arange(8)),
        classes=[0, 1] * 4,
        clips=[SimpleNamespace(speaker=f"s{i // 2}") for i in range(8)],
        part_clips=lambda stage, trial: ((), clips[:2] if trial.fold else clips[4:6]),
    )
    fit_late(plan, None, [SimpleNamespace(probabilities=probabilities)] * 2)
    assert asked[::2] == [([2, 3], [[0, 1], [2, 3]]), ([0], [[4, 5]]), ([4, 5], [[4, 5], [6, 7]]), ([1], [[0, 1]])]
