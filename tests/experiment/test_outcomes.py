"""Outcomes of stages: which trials have failed."""

from types import SimpleNamespace

from avemo_jax.experiment.measuring import count_failed
from avemo_jax.experiment.outcomes import LateOutcome, NetworkOutcome, TrainedGroup


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
