"""Shards: what lies in which, and the same files whoever writes them."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from folders import contents

from data_prep.sets import shards
from data_prep.sets.shards import Shard, runs_of_shards, write_shard, write_shards
from data_prep.sets.staging import stage
from data_prep.views.segments import ViewSegment
from data_prep.workers.pool import Crash, run_tasks


def segment(seed: int, num_steps: int = 4) -> ViewSegment:
    values = np.random.default_rng(seed).normal(size=(num_steps, 8)).astype(np.float32)
    return ViewSegment(values, np.ones(num_steps, bool), np.arange(num_steps, dtype=np.float32), num_steps)


def staged_clips(folder: Path, **counts: int):
    return [stage(folder / f"{name}.zip", name, map(segment, range(count))) for name, count in counts.items()]


def shards_in(folder: Path, staged) -> list[Shard]:
    folder.mkdir()
    return [Shard(folder / str(index), runs) for index, runs in enumerate(runs_of_shards(staged))]


@pytest.mark.parametrize(
    ("largest", "least", "expected"),
    [
        (1000, 1000, ["a0 a1 a2 b0"]),
        (256, 1000, ["a0 a1", "a2 b0"]),  # 128 bytes each
        (1000, 1, ["a0", "a1", "a2", "b0"]),  # a quarter of all: four of them can be written side by side
    ],
)
def test_shards_follow_the_bytes_not_the_clips(tmp_path, monkeypatch, largest, least, expected):
    monkeypatch.setattr(shards, "_LARGEST_BYTES", largest)
    monkeypatch.setattr(shards, "_LEAST_BYTES", least)
    runs = runs_of_shards(staged_clips(tmp_path, a=3, b=1))
    assert [" ".join(f"{clip.clip_id}{index}" for clip, run in shard for index in run) for shard in runs] == expected
    assert [Shard(tmp_path, shard).num_examples for shard in runs] == [len(held.split()) for held in expected]


def test_workers_write_what_is_written_here(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_LEAST_BYTES", 1)
    staged = staged_clips(tmp_path, a=3, b=1)
    for shard in shards_in(tmp_path / "here", staged):
        write_shard(shard)
    write_shards(shards_in(tmp_path / "workers", staged), functools.partial(run_tasks, num_workers=2), "writing")
    assert contents(tmp_path / "workers") == contents(tmp_path / "here") and len(contents(tmp_path / "here")) == 4


@pytest.mark.parametrize("lost", [0, 3])
def test_what_a_worker_cannot_write_is_written_here(tmp_path, monkeypatch, lost):
    monkeypatch.setattr(shards, "_LEAST_BYTES", 1)
    staged = staged_clips(tmp_path, a=3, b=1)
    for shard in shards_in(tmp_path / "here", staged):
        write_shard(shard)

    def work(function, tasks, **_):
        for name, task in tasks.items():
            yield name, Crash("out of memory") if name == str(lost) else function(task)

    write_shards(shards_in(tmp_path / "workers", staged), work, "writing")
    assert contents(tmp_path / "workers") == contents(tmp_path / "here")


def test_an_example_that_is_too_long_for_a_worker_is_written_all_the_same(tmp_path, monkeypatch):
    long = ViewSegment(np.zeros((1, 64 << 20), np.uint8), np.ones(1, bool), np.zeros(1, np.float32), 1)
    staged = [stage(tmp_path / f"{name}.zip", name, [one]) for name, one in (("a", long), ("b", segment(0)))]
    (tmp_path / "set").mkdir()
    both = [Shard(tmp_path / "set" / clip.clip_id, [(clip, range(1))]) for clip in staged]
    here: list[str] = []

    def counted(shard: Shard) -> None:
        here.append(shard.path.name)
        write_shard(shard)

    monkeypatch.setattr(shards, "write_shard", counted)
    # 230 MB: what the interpreter and its libraries take, and less than two copies of the long example
    write_shards(both, functools.partial(run_tasks, num_workers=1, memory_limit_bytes=230 << 20), "writing")
    assert here == ["a"] and set(contents(tmp_path / "set")) == {"a", "b"}
