"""Where the time of a run goes: phases count their own seconds, and nothing counts twice."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import pytest

from avemo_jax.runs import time_spent
from avemo_jax.runs.time_spent import TimeSpent


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_phase_inside_another_counts_by_itself(clock):
    spent = TimeSpent(clock)
    clock.now_s += 50  # before any phase
    with spent.phase("train audio"):
        clock.now_s += 1
        with spent.phase("save"):
            clock.now_s += 2
        clock.now_s += 4
    with spent.phase("save"):
        clock.now_s += 8
    assert spent.take() == {"train audio": 5.0, "save": 10.0}
    assert spent.take() == {}


def test_an_open_phase_is_taken_up_to_now(clock):
    spent = TimeSpent(clock)
    with spent.phase("evaluate"):
        clock.now_s += 3
        assert spent.take() == {"evaluate": 3.0}
        clock.now_s += 1
    assert spent.take() == {"evaluate": 1.0}


def test_an_event_that_contains_others_counts_once(clock):
    """JAX reports tracing of an inner function before that of the outer one, which contains it; lowering follows both."""
    spent = TimeSpent(clock)
    with spent.phase("train audio"):
        clock.now_s += 10  # of which 4 are the outer trace, with two inner ones of 1 and 0.5 in it
        clock.now_s -= 1
        spent.add_event("compile", 1.0)
        clock.now_s += 0.5
        spent.add_event("compile", 0.5)
        clock.now_s += 0.5
        spent.add_event("compile", 4.0)
        clock.now_s += 2
        spent.add_event("compile", 2.0)
        clock.now_s += 5
    assert spent.take() == {"train audio": 11.0, "compile": 6.0}


def test_another_thread_counts_nothing(clock):
    spent = TimeSpent(clock)

    def work() -> None:
        with spent.phase("save"):
            clock.now_s += 2
            spent.add_event("compile", 1.0)

    with spent.phase("train audio"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert spent.take() == {"train audio": 2.0}


def test_blocks_are_counted_only_where_asked_for():
    with time_spent.phase("plan"):
        pass
    with time_spent.counted(import_s=1.5) as spent:
        with time_spent.counted() as inner, time_spent.phase("plan"):
            assert inner is spent
        found = spent.take()
    assert found["import"] == 1.5 and set(found) == {"import", "plan"}
    assert time_spent.current() is not spent


def test_waiting_for_items_counts_until_each_is_there():
    with time_spent.counted() as spent:
        assert list(time_spent.waited_for(iter([1, 2]))) == [1, 2]
        assert set(spent.take()) == {"wait"}


def test_compilation_is_counted_apart_from_the_phase_that_it_happens_in():
    time_spent.count_compilations()
    with time_spent.counted() as spent:
        with time_spent.phase("train audio"):
            jax.block_until_ready(jax.jit(lambda x: jnp.sin(x) * 2.5 + 17)(jnp.ones(3)))
        found = spent.take()
    assert found["compile"] > 0 and set(found) == {"train audio", "compile"}


def test_the_share_of_training():
    assert time_spent.training_share({}) is None
    assert time_spent.training_share({"plan": 1.0, "compile": 3.0, "train audio": 2.0, "train fused": 4.0}) == 0.6


def test_the_age_of_this_process_is_plausible():
    first, second = time_spent.process_age_s(), time_spent.process_age_s()
    assert 0 < first <= second < 24 * 3600
