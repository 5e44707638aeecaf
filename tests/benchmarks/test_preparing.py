"""The comparison with plain code at its smallest size: both sides do the same work, and differences are detected."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import preparing
from benchmarks.preparing import PARTS, Corpus, Row, check_same_bytes, compare, difference, format_row
from data_prep.corpora import ravdess, synthetic
from data_prep.sets.prepare import prepare_view


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    root = tmp_path_factory.mktemp("films")
    for code, emotion in list(ravdess.EMOTIONS.items())[:2]:
        path = root / "Actor_01" / synthetic.film_name(1, code, 0)
        path.parent.mkdir(exist_ok=True)
        synthetic.write_clip(path, actor=1, emotion=emotion, take=0, seed=0)
    return Corpus("made", root, ravdess.clips(root, channel="speech", corpus="made"))


@pytest.mark.parametrize("name", PARTS)
def test_both_sides_do_the_same_work(corpus, tmp_path, name, monkeypatch):
    monkeypatch.setattr(
        "data_prep.sets.prepare.run_tasks", lambda function, tasks, **_: ((key, function(task)) for key, task in tasks.items())
    )
    part = PARTS[name]
    prepared = preparing.ours(part, corpus, tmp_path / "ours", 1, None)
    preparing.plain(part, corpus, tmp_path / "plain")
    assert prepared.manifest.num_examples == 2 and prepared.damage == {}
    assert difference(part, prepared, tmp_path / "plain") < 1e-6


def test_differences_are_detected(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "data_prep.sets.prepare.run_tasks", lambda function, tasks, **_: ((key, function(task)) for key, task in tasks.items())
    )
    part = PARTS["decode"]
    prepared = preparing.ours(part, corpus, tmp_path / "ours", 1, None)
    preparing.plain(part, corpus, tmp_path / "plain")
    path = next((tmp_path / "plain").glob("*.npy"))
    values = np.load(path)
    np.save(path, 255 - values)
    assert difference(part, prepared, tmp_path / "plain") > 0.1
    np.save(path, values[1:])
    with pytest.raises(ValueError, match="ours has the shape"):
        difference(part, prepared, tmp_path / "plain")
    options = {"corpus": "made", "root": corpus.root, "clips": corpus.clips, "view_name": "frames", "num_workers": 1}
    other = prepare_view(**options, view_params={"size_px": 32}, prepared_dir=tmp_path / "other")
    check_same_bytes(prepared.directory, prepared.directory)
    with pytest.raises(ValueError, match=r"different bytes: .*manifest\.json"):
        check_same_bytes(prepared.directory, other.directory)


def test_the_table_in_two_processes(corpus):
    lines = list(compare(corpus, ["decode"], 1, 2))
    assert lines[0] == "made: 2 clips" and lines[1].split()[:4] == ["part", "clips", "ours", "/s"]
    assert lines[2].split()[:2] == ["decode", "2"] and lines[2].split()[-1] == "0.0e+00"
    assert lines[3].startswith("all parts: plain / ours ") and lines[4].startswith("before that, libraries and the first clips: decode ")


def test_a_row_by_hand():
    row = Row([2.0, 4.0, 1.0], [4.0, 4.0, 4.0], 3 << 20, 2 << 20, 4.0, 8.0, 0.001)
    assert format_row("mel", 8, row).split() == ["mel", "8", "4.0", "2.0", "2.00", "(1.00-4.00)", "500.0", "1000.0", "3", "2", "1.0e-03"]
