"""The board: what stands in its tables, what is left off and said, and how its page refers to the reports."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from made_facts import made_facts

from avemo_jax.atomic import write_json
from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.evaluation.summary import summarise
from avemo_jax.modes.board import board
from avemo_jax.reporting.board import find_runs, read_board

CLASSES = tuple("abcdefgh")


def write_run(folder: Path, *, num_right: int, seeds: tuple[int, ...] = (0,), **facts) -> Path:
    """Write a run of 4 speakers with 8 clips each in 2 folds, of which the first `num_right` are predicted rightly."""
    label = np.tile(np.arange(8), 4)
    predicted = np.where(np.arange(32) < num_right, label, (label + 1) % 8)
    repeated = len(seeds)
    predictions = Predictions(
        clip=np.tile([f"clip{index:02}" for index in range(32)], repeated),
        speaker=np.tile(np.repeat(["1", "2", "3", "4"], 8), repeated),
        gender=np.full(32 * repeated, ""),
        fold=np.tile(np.repeat(["fold1", "fold2"], 16), repeated),
        seed=np.repeat(seeds, 32),
        label=np.tile(label, repeated),
        probabilities=np.tile(np.eye(8)[predicted] * 0.9 + 0.0125, (repeated, 1)),
        classes=CLASSES,
    )
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"system": {"streams": ["audio"]}})
    write_json(folder / "results.json", summarise(predictions, made_facts(**facts), num_resamples=50).to_json())
    return folder


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "good", num_right=28, seeds=(0, 1))
    write_run(tmp_path / "less", num_right=24, system="small")
    write_run(tmp_path / "again", num_right=20, system="small", select="test")
    write_run(
        tmp_path / "leaky", num_right=32, system="small", protocol="random10", speaker_independent=False, leaks=("speaker_in_two_parts",)
    )
    write_run(tmp_path / "<b>odd", num_right=16, corpus="tess", protocol="cross_speaker2", num_clips_read=980, num_clips_of_owner=2800)
    (tmp_path / "begun").mkdir()
    write_json(tmp_path / "begun" / "config.json", {})
    (tmp_path / "notes").mkdir()
    return tmp_path


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_each_run_has_a_row_with_its_protocol_and_caveats(runs, capsys):
    board([f"{runs}/*"], output=str(runs / "board"))
    rows = rows_of(runs / "board", "runs")
    assert [(row["system"], row["protocol"], row["test speakers"], row["UAR"][:5]) for row in rows] == [
        ("gru_attention", "luna5", "new", "87.5 "),
        ("small", "luna5", "new", "75.0 "),
        ("small", "luna5", "new", "62.5 "),
        ("small", "random10", "shared", "100.0"),
        ("gru_attention", "cross_speaker2", "new", "50.0 "),
    ]
    assert [row["leaks and caveats"] for row in rows] == [
        "-",
        "-",
        "selected on the test part",
        "speaker_in_two_parts",
        "on 980 of 2,800 clips",
    ]
    assert rows[0]["seeds together, UAR"].startswith("87.5") and rows[1]["seeds together, UAR"] == "-"
    assert rows[0]["published"].startswith("WAR 81.8, Luna-Jimenez 2022, wav2vec2 (checkpoint chosen on test)")
    matrix = rows_of(runs / "board", "uar-ravdess")
    assert matrix == [
        {"system": "gru_attention", "luna5": "87.5", "random10": "not run", "missing": "-"},
        {"system": "small", "luna5": "62.5 to 75.0 (2 runs)", "random10": "100.0", "missing": "-"},
    ]
    printed = capsys.readouterr().out
    assert f"not on the board: {runs / 'begun'} has no results.json: the run has not finished" in printed


def test_the_page_links_reports_escapes_names_and_allows_its_own_script_alone(runs):
    text = board([str(runs)], output=str(runs / "pages" / "board")).read_text()
    page = Page(text)
    addresses = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert "../../good/report.html" in addresses and "../../%3Cb%3Eodd/report.html" in addresses and "<b>odd" not in text
    policy = next(attributes["content"] for _, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def test_several_protocols_of_a_run_have_a_row_each(tmp_path):
    folder = write_run(tmp_path / "run", num_right=28)
    rows, _ = read_board([folder])
    results = rows[0].results
    of_one = {
        "speaker_independent": False,
        "fold_hash": "x",
        "num_folds": 10,
        "num_clips": 32,
        "leaks": ["speaker_in_two_parts"],
        "metrics": results.to_json()["metrics"],
        "baseline": None,
    }
    write_json(folder / "results.json", results.to_json() | {"protocols": [of_one | {"protocol": one} for one in ("luna5", "random10")]})
    rows, without = read_board([folder])
    assert [(row.protocol, row.num_folds, row.speakers, list(row.leaks)) for row in rows] == [
        ("luna5", 10, "shared", ["speaker_in_two_parts"]),
        ("random10", 10, "shared", ["speaker_in_two_parts"]),
    ]
    assert not without


def test_what_names_no_run_is_refused(runs):
    assert [one.name for one in find_runs([str(runs / "good"), f"{runs}/g*", f"{runs}/begun"])] == ["good", "begun"]
    with pytest.raises(FileNotFoundError, match=r"names no run directory .* did you mean 'good'"):
        find_runs([str(runs / "goood")])
    with pytest.raises(FileNotFoundError, match="notes names no run directory"):
        find_runs([str(runs / "notes")])
    with pytest.raises(ValueError, match=r"--runs='runs/\*'"):
        board([])
    with pytest.raises(ValueError, match=r"none of 1 run directory has results: .*not finished"):
        board([str(runs / "begun")])


@dataclasses.dataclass(frozen=True)
class Wanted:
    corpus: str
    system: str
    protocols: tuple[str, ...] = ("luna5", "loso")
    lacks: str = ""


def test_what_no_run_has_says_what_is_missing(runs):
    asked = []

    def wanted(configs):
        asked.extend(configs)
        return [
            *(Wanted("ravdess", "small"), Wanted("ravdess", "stacking", lacks="films")),
            *(Wanted("rml", "small", lacks="the corpus rml"), Wanted("rml", "stacking", lacks="the corpus rml"), Wanted("savee", "small")),
        ]

    board([f"{runs}/*"], output=str(runs / "board"), wanted=wanted)
    assert len(asked) == 5  # a config of each run that stands on the board
    stacking = next(row for row in rows_of(runs / "board", "uar-ravdess") if row["system"] == "stacking")
    assert stacking == {"system": "stacking", "loso": "-", "luna5": "-", "random10": "-", "missing": "films"}
    small = next(row for row in rows_of(runs / "board", "uar-ravdess") if row["system"] == "small")
    assert (small["loso"], small["random10"]) == ("not run", "100.0")
    assert rows_of(runs / "board", "missing") == [
        {"corpus": "rml", "systems": "2", "missing": "the corpus rml: 2 systems"},
        {"corpus": "savee", "systems": "1", "missing": "nothing: 1 system"},
    ]
