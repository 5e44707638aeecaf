"""A profile of training steps is a trace that can be read, of the epochs that were asked for."""

from __future__ import annotations

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from avemo_jax.runs.profiling import Profiler


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """Names of the profiler's calls, in place of the calls."""
    found: list[str] = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *_, **__: found.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: found.append("stop"))
    return found


@pytest.mark.parametrize(
    ("num_steps", "num_epochs", "expected"),
    [
        (0, 4, "epoch epoch epoch epoch"),
        (1, 4, "epoch start epoch stop epoch epoch"),
        (10, 4, "epoch start epoch stop epoch epoch"),
        (11, 4, "epoch start epoch epoch stop epoch"),
        (99, 3, "epoch start epoch epoch stop"),
        (5, 1, "start epoch stop"),
    ],
)
def test_whole_epochs_after_the_first_cover_the_steps(calls, tmp_path, num_steps, num_epochs, expected):
    with Profiler(tmp_path, num_steps).open() as profiler:
        for number in range(num_epochs):
            profiler.before(number, num_epochs)
            calls.append("epoch")
            profiler.after(10, jnp.ones(1))
    assert " ".join(calls) == expected


def test_an_error_ends_the_profile(calls, tmp_path):
    with pytest.raises(ValueError, match="lost"), Profiler(tmp_path, 5).open() as profiler:
        profiler.before(0, 1)
        raise ValueError("lost")
    assert calls == ["start", "stop"]


def test_the_files_of_a_profile_can_be_read(tmp_path):
    double = jax.jit(lambda x: x * 2)
    with Profiler(tmp_path, 1).open() as profiler:
        profiler.before(0, 1)
        profiler.after(1, double(jnp.ones(8)))
    (trace,) = tmp_path.rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert any("ts" in event and "dur" in event for event in events)
    (plane,) = tmp_path.rglob("*.xplane.pb")
    assert plane.stat().st_size > 0
