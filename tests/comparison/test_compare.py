"""Comparison from files to files."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compared_systems import CLASSES, NUM_CLIPS, some_predictions, write_csv, write_run
from html_page import Page

from avemo_jax.comparison.compare import compare, read_entries
from avemo_jax.comparison.entries import ComparisonError
from avemo_jax.evaluation.predictions import read_predictions_csv

ROOT = Path(__file__).resolve().parents[2]
TOGETHER = "gru (ensemble of the 2 seeds)"


@pytest.fixture(autouse=True, scope="module")
def few_penalties():
    """Let stacking choose among two penalties and not seven, which takes most of the time of a comparison."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avemo_jax.evaluation.late_fusion._STRENGTHS", (0.01, 0.1))
        yield


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """Two runs, and logits of another system in another order of classes."""
    folder = tmp_path_factory.mktemp("compare")
    write_run(folder / "one", some_predictions(1.5, seeds=(0, 1)), "gru")
    leaky = {"leaks": ["speaker_in_two_parts"], "speaker_independent": False, "protocol": "random10"}
    write_run(folder / "two", some_predictions(1.0, draw=1), "svm", **leaky)
    theirs = some_predictions(1.2, draw=2)
    logits = np.log(np.maximum(theirs.probabilities, 1e-9))[:, [3, 1, 0, 2]] + 5
    rows = [(f"audio/{clip}.wav", *row) for clip, row in zip(theirs.clip, logits, strict=True)]
    write_csv(folder / "theirs.csv", ("file", "a", "b", "c", "d"), rows)
    return folder


def declared(shelf: Path) -> str:
    return f"wav2vec<2>={shelf / 'theirs.csv'};clip=file;kind=logits;columns=a,b,c,d;classes=anger,hap,neutral,sadness;protocol=luna5"


@pytest.fixture(scope="module")
def compared(shelf, tmp_path_factory) -> tuple[dict, Path]:
    output = tmp_path_factory.mktemp("compared")
    runs = [str(shelf / "one"), f"mine={shelf / 'two'}"]
    return compare(runs, [declared(shelf)], output=output, clip_of=lambda corpus, stem: stem), output


def test_all_that_was_found_is_written(compared):
    found, folder = compared
    assert json.loads((folder / "compare.json").read_text()) == found
    assert [entry["name"] for entry in found["entries"]] == ["gru", TOGETHER, "mine", "wav2vec<2>"]
    assert found["num_clips"] == NUM_CLIPS and found["num_speakers"] == 6 and found["corpus"] == "ravdess"
    tables = {path.name for path in (folder / "tables").iterdir()}
    names = ("systems", "pairs", "folds", "agreement", "by_class", "fusions", "weights")
    assert tables == {f"{name}.{ending}" for name in names for ending in ("csv", "tex")}
    systems = list(csv.DictReader((folder / "tables" / "systems.csv").open()))
    assert [row["system"] for row in systems] == ["gru", TOGETHER, "mine", "wav2vec<2>", "chance"]
    assert (
        systems[2]["protocol"] == "random10"
        and "speaker-dependent" in systems[2]["caveats"]
        and "leak: speaker_in_two_parts" in systems[2]["caveats"]
    )
    assert systems[3]["protocol"] == "luna5" and systems[3]["caveats"] == "none"


def test_numbers_are_those_of_the_runs(compared, shelf):
    found, _ = compared
    one, two = (json.loads((shelf / name / "results.json").read_text()) for name in ("one", "two"))
    for entry, metrics in zip(found["entries"], (one["metrics"], one["seed_ensemble"]["metrics"], two["metrics"]), strict=False):
        for metric in ("uar", "war", "macro_f1", "ece"):
            for value in ("pooled", "mean_of_folds", "std_of_folds"):
                assert entry["metrics"][metric][value] == pytest.approx(metrics[metric][value])
    assert found["entries"][3]["metrics"]["war"]["pooled"] == pytest.approx(
        np.mean(some_predictions(1.2, draw=2).predicted == some_predictions().label)
    )


def test_means_of_folds_stand_beside_the_pooled_numbers(compared):
    found, folder = compared
    systems = list(csv.DictReader((folder / "tables" / "systems.csv").open()))
    war = found["entries"][2]["metrics"]["war"]
    assert systems[2]["WAR of folds"] == f"{100 * war['mean_of_folds']:.2f} ± {100 * war['std_of_folds']:.2f}"
    assert war["mean_of_folds"] == pytest.approx(war["pooled"])  # folds of equal size
    assert systems[3]["WAR of folds"] == "-" and "mean_of_folds" not in found["entries"][3]["metrics"]["war"]  # without folds


def test_fusions_can_be_compared_in_turn(compared, shelf):
    found, folder = compared
    assert [fusion["rule"] for fusion in found["fusions"]] == ["mean", "product", "weighted_product", "logistic"]
    path = folder / "predictions-logistic-gru-mine-wav2vec_2_.csv"
    fused = read_predictions_csv(path)
    assert len(fused.clip) == NUM_CLIPS  # seeds differ, so the lowest of each
    again = compare([str(shelf / "one")], [f"fused={path}"], output=folder / "again", fuse_only=("gru+fused",))
    assert again["entries"][2]["metrics"]["war"]["pooled"] == pytest.approx(found["fusions"][3]["metrics"]["war"]["pooled"])
    assert again["fusions"][0]["members"] == ["gru", "fused"]


def test_holm_is_over_fusions_and_members(compared):
    found, _ = compared
    family = [against["uar"] for fusion in found["fusions"] for against in fusion["against"]]
    assert len(family) == 12
    least = min(family, key=lambda one: one["p"])
    assert least["p_holm"] == pytest.approx(min(1, 12 * least["p"]))


def test_the_page_needs_nothing_else_and_shows_all(compared):
    found, folder = compared
    page = Page((folder / "compare.html").read_text())
    page.check_needs_nothing_else()
    for text in (
        "Systems",
        "Paired tests",
        "Agreement",
        "Differences by speaker",
        "Late fusion",
        "Meta folds",
        "LaTeX and CSV of the tables",
    ):
        assert text in page.text
    assert "wav2vec<2>" in page.text and "mine: leak: speaker_in_two_parts" in page.text
    assert f"{100 * found['entries'][0]['metrics']['uar']['pooled']:.1f}" in page.text
    assert r"\begin{tabular}" in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 1


def test_the_seeds_together_are_a_system_of_their_own(compared):
    found, folder = compared
    (entry,) = [one for one in found["entries"] if one["is_seed_ensemble"]]
    assert entry["name"] == TOGETHER and entry["seeds"] == [0, 1] and entry["metrics"]["uar"]["ci95"] is not None
    tested = [{pair["first"], pair["second"]} for pair in found["pairs"] if TOGETHER in (pair["first"], pair["second"])]
    assert tested == [{"gru", TOGETHER}, {TOGETHER, "mine"}, {TOGETHER, "wav2vec<2>"}]
    assert all(fusion["members"] == ["gru", "mine", "wav2vec<2>"] for fusion in found["fusions"])  # not beside its own seeds
    assert "seeds 0, 1 together" in Page((folder / "compare.html").read_text()).text
    assert "ensemble of the seeds: each clip" in (folder / "tables" / "systems.tex").read_text()


def test_clips_that_differ_are_listed(compared):
    _, folder = compared
    rows = list(csv.DictReader((folder / "differing_clips.csv").open()))
    assert rows and all(len({row["gru"], row["mine"], row["wav2vec<2>"]}) > 1 and row["label"] in CLASSES for row in rows)


def test_files_alone_can_be_compared(shelf, tmp_path):
    found = compare([], [f"a={shelf / 'one' / 'predictions.csv'}", f"b={shelf / 'two' / 'predictions.csv'}"], output=tmp_path)
    assert found["corpus"] == "" and found["pairs"][0]["folds"]["num_folds"] == 3


def test_clips_in_common_are_stated_everywhere(shelf, tmp_path, capsys):
    predictions = some_predictions(1.0, draw=3)
    write_run(tmp_path / "short", predictions.rows(predictions.clip != "clip05"), "short")
    runs = [str(shelf / "one"), str(tmp_path / "short")]
    with pytest.raises(ComparisonError, match="short: 95, lacks 1: clip05"):
        compare(runs, [], output=tmp_path / "out")
    found = compare(runs, [], on="common", output=tmp_path / "out")
    sentence = "on the 95 clips that all have; left out: 1 of gru"
    assert found["sentence"] == sentence and sentence in capsys.readouterr().out
    assert sentence in (tmp_path / "out" / "tables" / "systems.csv").with_suffix(".tex").read_text()
    assert "On the 95 clips that all have" in Page((tmp_path / "out" / "compare.html").read_text()).text


def test_labels_alone_are_compared_and_not_fused(shelf, tmp_path):
    one = some_predictions(1.0, draw=4)
    path = write_csv(
        tmp_path / "labels.csv", ("clip", "predicted"), [(c, CLASSES[p]) for c, p in zip(one.clip, one.predicted, strict=True)]
    )
    found = compare([str(shelf / "one")], [f"words={path};kind=label"], output=tmp_path / "out")
    assert found["fusions"] == [] and found["entries"][2]["metrics"]["ece"] is None and found["meta_folds"] is None
    assert not list((tmp_path / "out").glob("predictions-*")) and "Late fusion" not in (tmp_path / "out" / "compare.html").read_text()
    with pytest.raises(ValueError, match="words has predicted labels alone"):
        compare([str(shelf / "one")], [f"words={path};kind=label"], fuse_only=("gru+words",), output=tmp_path / "out")
    with pytest.raises(ValueError, match=f"--fuse names unknown; there are gru, {re.escape(TOGETHER)}, words"):
        compare([str(shelf / "one")], [f"words={path};kind=label"], fuse_only=("gru+unknown",), output=tmp_path / "out")


def test_runs_of_one_system_are_told_apart(shelf, tmp_path):
    write_run(tmp_path / "again", some_predictions(1.0, draw=5), "gru", protocol="luna5")
    write_run(tmp_path / "third", some_predictions(1.0, draw=5), "gru", protocol="luna5")
    entries, _ = read_entries([str(shelf / "one"), str(tmp_path / "again"), str(tmp_path / "third")], [], lambda corpus, stem: None)
    assert [entry.name for entry in entries] == ["gru", "gru luna5", "third"]


def test_runs_of_two_corpora_and_no_run_at_all(shelf, tmp_path):
    write_run(tmp_path / "tess", some_predictions(), "gru", corpus="tess")
    with pytest.raises(ComparisonError, match="is of the corpus tess, the runs before it of ravdess"):
        compare([str(shelf / "one"), str(tmp_path / "tess")], [])
    with pytest.raises(FileNotFoundError, match=r"no results.json and no predictions.csv"):
        compare([str(shelf / "nowhere")], [])


def test_a_run_whose_classes_look_permuted_is_warned_of(shelf, tmp_path):
    one = some_predictions(2.0)
    write_run(tmp_path / "odd", dataclasses.replace(one, probabilities=one.probabilities[:, [1, 2, 3, 0]]), "odd")
    found = compare([str(shelf / "one"), str(tmp_path / "odd")], [], output=tmp_path / "out")
    assert "neutral is likely happy" in found["entries"][2]["notes"][0]


def test_the_command_line_as_a_user_types_it(shelf, tmp_path):
    command = [sys.executable, "run.py", "--mode=compare", f"--runs={shelf / 'one'},mine={shelf / 'two'}", f"--output={tmp_path}"]
    command += [f"--predictions={declared(shelf).replace('file;kind', 'name;kind')}"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1 and "expected the columns name (clip); it has file, a, b, c, d" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = subprocess.run(command[:-1], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gru, mine on all 96 clips" in done.stdout and "Paired tests" in done.stdout and (tmp_path / "compare.html").is_file()
