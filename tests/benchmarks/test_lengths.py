"""The benchmark of length buckets: utterances of the stated lengths, and one row for each number of classes."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pytest

from benchmarks import lengths, made_experiment


def test_utterances_have_the_stated_lengths():
    seconds = lengths.utterance_steps(20000) / lengths.STEPS_PER_S
    assert abs(seconds.mean() - 4.5) < 0.1 and seconds.min() >= 0.6 and seconds.max() <= lengths.LONGEST_S + 1


@pytest.mark.long
def test_it_prints_a_row_a_number_of_classes(monkeypatch, capsys):
    monkeypatch.setattr(lengths, "utterance_steps", lambda num_clips: np.arange(num_clips) % 6 + 2)
    monkeypatch.setattr(made_experiment, "plan", functools.partial(made_experiment.plan, streams__audio__context_units=(8,)))
    monkeypatch.setattr(sys, "argv", ["lengths", "--clips=48", "--rounds=1", "--buckets", "1", "2"])
    lengths.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "2"] and all(float(row[1]) > 0 and float(row[2]) > 0 for row in rows)
