"""Studies and leases, in memory and in a real SQLite file, with a formula instead of training."""

from __future__ import annotations

import math

import optuna
import pytest

from avemo_jax.config import swept_bounds
from avemo_jax.search.leases import Leases
from avemo_jax.search.rounds import run_rounds
from avemo_jax.search.space import parse_space
from avemo_jax.search.storage import is_single_process, open_storage, sqlite_address
from avemo_jax.search.studies import Setting, Studies, chosen

AXES = parse_space(["learning_rate=1e-4..1e-1 log", "dropout_rate=0.0..0.5", "momentum=0.5|0.9"], swept_bounds())
NUM_FOLDS, NUM_SETTINGS, BATCH = 2, 14, 4


@pytest.fixture
def memory():
    return optuna.storages.InMemoryStorage()


@pytest.fixture
def storage(tmp_path):
    with open_storage(f"sqlite:///{tmp_path / 'search.db'}") as opened:
        yield opened


def studies(storage, *, name="s", sampler="tpe", seed=0):
    return Studies(storage, name, AXES, num_folds=NUM_FOLDS, num_settings=NUM_SETTINGS, sampler=sampler, seed=seed)


def leases(storage, *, name="s", lease_s=60.0, is_single_process=True):
    return Leases(storage, name, lease_s=lease_s, is_single_process=is_single_process)


def score_of(fold: int, values) -> float:
    """Return a validation score; the best learning rate of each fold is different."""
    return -abs(math.log10(values["learning_rate"]) + (2 if fold == 0 else 3)) - values["dropout_rate"]


def train(number, asked):
    return {(one.fold, one.slot): score_of(one.fold, one.values) for one in asked}


def run(storage, name="s", train=train, **fields):
    made = studies(storage, name=name, **fields)
    run_rounds(made, leases(storage, name=name), batch=BATCH, train=train)
    return [made.settings(fold) for fold in range(NUM_FOLDS)]


def plain(found):
    return [[(one.slot, dict(one.values), one.value) for one in fold] for fold in found]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_is_complete_and_reproducible(memory, sampler):
    first, again, other = (plain(run(memory, name, sampler=sampler, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first == again != other
    for fold, found in enumerate(first):
        assert [slot for slot, _, _ in found] == list(range(NUM_SETTINGS))
        assert all(value == score_of(fold, values) for _, values, value in found)
        assert len({values["learning_rate"] for _, values, _ in found}) == NUM_SETTINGS


def test_later_settings_are_nearer_to_the_best(memory):
    """After ten random settings TPE proposes settings with a better score on the fold."""
    for fold, found in enumerate(run(memory)):
        values = [score_of(fold, one.values) for one in found]
        assert sum(values[12:]) / 2 > sum(values[:10]) / 10
        assert chosen(found).value == max(values)


def test_scores_of_one_fold_do_not_change_the_settings_of_another(memory):
    """Test speakers of a fold are validation speakers of others, so scores of the others must not reach it."""
    straight = run(memory, "a")
    moved = run(memory, "b", train=lambda number, asked: {(s.fold, s.slot): (-1) ** s.fold * score_of(s.fold, s.values) for s in asked})
    assert plain(moved)[0] == plain(straight)[0]
    assert [one.values for one in moved[1]] != [one.values for one in straight[1]]


def test_a_failed_training_is_finished_and_not_chosen(memory):
    found = run(memory, train=lambda number, asked: {(s.fold, s.slot): -math.inf if s.slot else 0.1 for s in asked})
    assert [chosen(fold).slot for fold in found] == [0, 0]
    assert chosen([Setting(0, 0, 0, {}, -math.inf), Setting(0, 1, 1, {}, 0.5), Setting(0, 2, 2, {}, 0.5)]).slot == 1
    made = studies(memory, name="t")
    with pytest.raises(ValueError, match="expected a number or -inf, got NaN"):
        made.tell(made.ask(0, [0])[0], math.nan)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["asking", "training", "telling"])
def test_a_killed_search_resumes_to_the_same_settings(memory, moment, monkeypatch, request):
    """No finished setting is trained twice, and the proposed settings are those of a search without a kill."""
    straight = plain(run(memory))
    storage = request.getfixturevalue("storage") if moment == "telling" else memory
    trained = []

    def dying(number, asked):
        if moment == "training" and number == 2:
            raise Killed
        trained.extend((one.fold, one.slot) for one in asked)
        return train(number, asked)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        if moment != "training":
            method, calls, original = {"asking": ("_frozen", [], Studies._frozen), "telling": ("tell", [], Studies.tell)}[moment]

            def fail_at_last(self, *arguments):
                calls.append(1)
                if len(calls) == {"asking": 30, "telling": 19}[moment]:
                    raise Killed
                return original(self, *arguments)

            patch.setattr(Studies, method, fail_at_last)
        run(storage, "b", train=dying)
    before = {(fold, one.slot) for fold in range(NUM_FOLDS) for one in studies(storage, name="b").settings(fold) if one.value is not None}
    assert 0 < len(before) < NUM_FOLDS * NUM_SETTINGS
    trained.clear()
    resumed = run(storage, "b", train=lambda number, asked: trained.extend((s.fold, s.slot) for s in asked) or train(number, asked))
    assert plain(resumed) == straight
    assert sorted(trained) == sorted({(fold, slot) for fold in range(NUM_FOLDS) for slot in range(NUM_SETTINGS)} - before)


def test_if_two_processes_fill_a_slot_the_first_counts(storage, monkeypatch):
    first, second = studies(storage), studies(storage)
    late = second.settings(0)  # before the first one asks
    mine = first.ask(0, [0, 1])
    with monkeypatch.context() as patch:
        views = [late]
        patch.setattr(second, "settings", lambda fold: views.pop() if views else first.settings(fold))
        theirs = second.ask(0, [0, 1])
    assert theirs == mine
    assert [second.tell(one, 0.5) for one in theirs] == [True, True]
    assert [first.tell(one, 0.9) for one in mine] == [False, False]
    assert [one.value for one in first.settings(0)] == [0.5, 0.5]
    states = [trial.state.name for trial in first._studies[0].get_trials()]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]


def test_a_lease_holds_until_the_heartbeat_stops(storage, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("avemo_jax.search.leases.time.monotonic", lambda: clock[0])
    first, second = (leases(storage, lease_s=10.0, is_single_process=False) for _ in range(2))
    assert first.acquire(0) and not second.acquire(0) and second.acquire(1)
    assert first.available([0, 1, 2]) == [0, 2] and second.available([0, 1, 2]) == [1, 2]
    clock[0] = 9.0
    assert second.available([0]) == []
    first._study.set_user_attr(f"heartbeat {first.worker}", 7)  # renews the lease
    assert second.available([0]) == []
    clock[0] = 18.0
    assert second.available([0]) == []
    clock[0] = 19.5
    second._study.set_user_attr(f"heartbeat {second.worker}", 1)
    assert second.available([0]) == [0] and second.acquire(0)
    assert first.available([0]) == [] and not first.acquire(0)  # it was only slow and continues


def test_of_two_leases_at_the_same_moment_the_first_entry_counts(storage, monkeypatch):
    first, second = (leases(storage, is_single_process=False) for _ in range(2))
    read_owners, stale = second.owners, second.owners()
    assert first.acquire(0)
    views = [stale]
    monkeypatch.setattr(second, "owners", lambda: views.pop() if views else read_owners())
    assert not second.acquire(0)
    assert first.available([0]) == [0] and second.available([0]) == []


def test_leases_are_released_at_the_end_and_a_single_process_never_waits(storage):
    first, second = (leases(storage, is_single_process=False) for _ in range(2))
    with first.heartbeat():
        assert first.acquire(0)
        assert second.available([0]) == []
    assert second.available([0]) == [0]
    assert second.acquire(0)
    assert leases(storage, is_single_process=True).available([0]) == [0]


def test_a_search_belongs_to_one_experiment(storage):
    def compare(stored, given):
        return [f"{name}: stored {stored[name]}, given {given[name]}" for name in stored if stored[name] != given[name]]

    leases(storage).bind({"fold_hash": "a"}, compare)
    leases(storage).bind({"fold_hash": "a"}, compare)
    with pytest.raises(ValueError, match=r"another experiment:\n  fold_hash: stored a, given b\n.*search\.name"):
        leases(storage).bind({"fold_hash": "b"}, compare)
    leases(storage, name="other").bind({"fold_hash": "b"}, compare)


def test_errors_of_a_storage_state_the_cause_and_hide_the_password(tmp_path):
    for address, message in (
        ("here", "search.storage='here' is no address of a database; expected e.g. postgresql"),
        ("postgresql+psycopg://me:s3cret@127.0.0.1:1/none", r"storage=postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/none failed: .*connect"),
        ("nosuch+driver://me:s3cret@host/db", "driver of that database is not installed"),
    ):
        with pytest.raises((ValueError, RuntimeError), match=message) as error, open_storage(address):
            pass
        assert "s3cret" not in str(error.value)
    (tmp_path / "50% of a?b#c").mkdir()
    address = sqlite_address(tmp_path / "50% of a?b#c" / "one.db")
    with open_storage(address), pytest.raises(RuntimeError, match=r"another process .* is using"), open_storage(address):
        pass
    assert (tmp_path / "50% of a?b#c" / "one.db").is_file()
    assert is_single_process(address) and is_single_process("sqlite+pysqlite:///x") and not is_single_process("postgresql+psycopg://h/d")
