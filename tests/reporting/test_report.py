from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from made_facts import made_facts

from avemo_jax.atomic import write_json
from avemo_jax.evaluation.predictions import Predictions, write_predictions_csv
from avemo_jax.evaluation.results import RunResults
from avemo_jax.evaluation.summary import summarise
from avemo_jax.reporting.attention_examples import write_attention
from avemo_jax.reporting.confident_errors import confident_errors
from avemo_jax.reporting.main_finding import main_finding
from avemo_jax.reporting.published import published_results
from avemo_jax.reporting.report import format_table, read_results, write_report
from avemo_jax.reporting.run_tables import run_tables

CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
FACTS = made_facts(
    corpus="synthetic",
    protocol="speaker_k",
    fold_hash="1f" * 32,
    num_undecodable=1,
    num_without_face=3,
    num_params=987654,
    seconds=754.2,
)


def some_predictions(skill: float, seeds: tuple[int, ...]) -> Predictions:
    """12 actors x 16 clips in 4 folds; `skill` moves probability to the label."""
    generator = np.random.default_rng(0)
    label = np.arange(192) % 8
    posteriors = [generator.dirichlet(np.full(8, 0.6), 192) for _ in seeds]
    for posterior in posteriors:
        posterior[np.arange(192), label] += skill * generator.uniform(size=192)
    repeat = len(seeds)
    return Predictions(
        clip=np.tile([f"clip{index:03}" for index in range(192)], repeat),
        speaker=np.tile(np.repeat([f"{actor:02}" for actor in range(1, 13)], 16), repeat),
        gender=np.tile(np.repeat(["male", "female"] * 6, 16), repeat),
        fold=np.tile(np.repeat([f"fold{fold}" for fold in range(1, 5)], 48), repeat),
        seed=np.repeat(seeds, 192),
        label=np.tile(label, repeat),
        probabilities=np.concatenate([posterior / posterior.sum(axis=1, keepdims=True) for posterior in posteriors]),
        classes=CLASSES,
    )


def write_run(directory: Path, *, select: str = "validation", leaks: tuple[str, ...] = (), **facts) -> Path:
    """A run directory as training leaves it: two stages, two seeds, attention of two clips, temperatures."""
    directory.mkdir(exist_ok=True)
    facts = dataclasses.replace(FACTS, **{"select": select, "leaks": leaks, "speaker_independent": not leaks} | facts)
    predictions = some_predictions(1.2, (0, 1))
    validation = dataclasses.replace(predictions, clip=np.char.add("validation_", predictions.clip))
    baseline = summarise(some_predictions(0.5, (0,)), dataclasses.replace(facts, system="functionals_linear"))
    write_predictions_csv(directory / "predictions.csv", predictions)
    write_json(directory / "results.json", summarise(predictions, facts, baseline=baseline, validation=validation).to_json())
    write_json(directory / "config.json", {"system": {"streams": ["audio"]}, "workdir": "</pre><script>alert(1)</script>"})
    write_json(directory / "audit.json", [{"finding": leak, "detail": "12 speakers are in training and test parts"} for leak in leaks])
    write_json(
        directory / "run.json",
        {
            "command": ["run.py", "--config=configs/demo.py", "--config.corpus.root=/data/my corpus"],
            "python": "3.11.2",
            "versions": {"jax": "0.10.2", "flax": "0.12.8"},
            "git_commit": "0123456789abcdef",
            "devices": ["cpu:cpu"],
            "seconds": {"train audio": 610.5, "evaluate": 3.2},
            "fold_note": "4 folds over speakers",
            "prepared_sets": {"audio": "ab" * 32},
            "started": "2026-11-21T14:00:00+00:00",
        },
    )
    generator = np.random.default_rng(1)
    with (directory / "metrics.jsonl").open("w") as stream:
        for stage in ("audio", "fused"):
            for trial in range(8):
                for epoch in range(30 if trial else 20):
                    level = 1 - np.exp(-epoch / 8) + 0.05 * generator.normal()
                    row = {
                        "stage": stage,
                        "epoch": epoch,
                        "fold": trial % 4,
                        "seed": trial // 4,
                        "trial": trial,
                        "train_loss": 2.1 - 1.9 * level,
                        "train_uar": 0.2 + 0.75 * level,
                        "val_loss": None if epoch == 7 else 2.1 - 1.2 * level,
                        "val_war": 0.1 + 0.7 * level,
                        "val_uar": 0.12 + 0.65 * level,
                        "learning_rate": 1e-3,
                        "seconds": 0.5,
                    }
                    stream.write(json.dumps(row) + "\n")
    times_s = np.arange(40) * 0.1 + 0.05
    audio = np.exp(-((times_s - 1.7) ** 2) / 0.2)
    video_times_s = np.where(np.arange(10) < 8, np.arange(10) * 0.45 + 0.2, np.nan)
    pictures = (np.linspace(0, 1, 10)[:, None, None, None] * np.ones((10, 48, 48, 3)) * [200, 140, 90]).astype(np.uint8)
    write_attention(
        directory / "attention.npz",
        clip=np.array(["clip000", "clip001"]),
        fold=np.array(["fold1", "fold1"]),
        seed=np.array([0, 0]),
        audio_weights=np.stack([audio / audio.sum()] * 2),
        audio_times_s=np.stack([times_s] * 2),
        video_weights=np.tile(np.where(np.arange(10) < 8, 1 / 8, 0), (2, 1)),
        video_times_s=np.stack([video_times_s] * 2),
        video_keyframes=np.stack([pictures] * 2),
    )
    return directory


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    directory = write_run(tmp_path_factory.mktemp("run"))
    return Page(write_report(directory).read_text())


def test_page_needs_nothing_else(page):
    page.check_needs_nothing_else()


def test_page_shows_every_part(page):
    for heading in (
        "Results",
        "Published results and this run",
        "Confusion",
        "By class",
        "Calibration",
        "Most confident errors",
        "Learning curves",
        "UAR by speaker",
        "Attention over time",
        "Leak audit and lost clips",
        "Reproduction",
    ):
        assert heading in page.text
    assert "functionals_linear" in page.text and "chance" in page.text
    assert "undecodable1 of 192 clips" in page.text and "without a face3 of 192 clips" in page.text
    assert "python run.py --config=configs/demo.py '--config.corpus.root=/data/my corpus'" in page.text
    assert "987,654 parameters" in page.text and "12 min 34 s" in page.text
    assert "The leak audit found nothing" in page.text
    assert "UAR over 2 seeds" in page.text


def test_numbers_on_the_page_are_those_of_the_results(page, tmp_path):
    results = json.loads((write_run(tmp_path) / "results.json").read_text())
    uar = results["metrics"]["uar"]
    assert f"{100 * uar['mean_of_folds']:.1f} ± {100 * uar['std_of_folds']:.1f}" in page.text
    assert f"{100 * uar['pooled']:.1f} [{100 * uar['ci95'][0]:.1f}, {100 * uar['ci95'][1]:.1f}]" in page.text
    assert f"{results['per_speaker']['07']['uar'] * 100:.1f}" in page.text


def test_charts_and_frames_are_inline(page):
    assert (
        sum(tag == "svg" for tag, _ in page.tags) == 2 + 8 + 4 + 2 * 2
    )  # published results, reliability; precision and recall of eight classes; two stages x two charts; two clips x two streams
    assert sum(tag == "img" for tag, _ in page.tags) == 2 * 8  # padded video steps are left out
    bars = {"first": 0, "second": 0}
    for _, attributes in page.tags:
        for style in bars:
            # Bars have straight sides; the dots of other charts have none.
            if f"fill: var(--{style})" in attributes.get("style", "") and "C" not in attributes.get("d", ""):
                bars[style] += attributes.get("d", "").count("M")
    assert bars == {"first": 2 * 40, "second": 2 * 8}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert ids and len(set(ids)) == len(ids)


def test_each_stream_of_pictures_has_a_row_of_its_own(tmp_path):
    times_s, weights = np.arange(20, dtype=np.float32)[None], np.full((1, 20), 0.05)
    arrays: dict[str, np.ndarray] = {"clip": np.array(["clip000"]), "fold": np.array(["fold1"]), "seed": np.array([0])}
    for stream in ("face", "mouth"):
        own = {"weights": weights, "times_s": times_s, "keyframes": np.zeros((1, 20, 8, 8, 3), np.uint8)}
        arrays |= {f"{stream}_{name}": values for name, values in own.items()}
    directory = write_run(tmp_path)
    write_attention(directory / "attention.npz", **arrays)
    pictures = [attributes["alt"] for tag, attributes in Page(write_report(directory).read_text()).tags if tag == "img"]
    assert [text.split(" at ")[0] for text in pictures] == ["face"] * 16 + ["mouth"] * 16  # 16 of 20, with both ends
    assert (pictures[0], pictures[15], pictures[16]) == ("face at 0.00 s", "face at 19.00 s", "mouth at 0.00 s")


def test_text_from_files_is_escaped(page):
    assert "alert(1)" in page.text  # seen as text; test_page_needs_nothing_else knows that it is no script


def test_published_results_are_shown_beside(tmp_path):
    directory = write_run(tmp_path, corpus="ravdess")
    page = Page(write_report(directory).read_text())
    rows = {row["source"]: row for row in csv.DictReader((directory / "tables" / "published.csv").open())}
    assert rows["document E"] == {
        "source": "document E",
        "UAR": "-",
        "WAR": "76.5",
        "protocol": "random10",
        "caveats": "speaker-dependent; folds 68.75 to 81.25",
    }
    results = json.loads((directory / "results.json").read_text())
    war = results["metrics"]["war"]
    assert rows["gru_attention, this run"]["WAR"] == f"{100 * war['pooled']:.1f} [{100 * war['ci95'][0]:.1f}, {100 * war['ci95'][1]:.1f}]"
    assert rows["listeners"]["WAR"] == "67.0" and rows["Luna-Jimenez 2022, wav2vec2"]["protocol"] == "luna5"
    assert "HiCMAE-B" not in rows  # of other streams
    assert rows["chance"]["UAR"] == "12.5"
    assert "the published result is of another protocol, random10, and not comparable" in page.text


def test_tables_are_copied_for_papers_and_spreadsheets(tmp_path):
    directory = write_run(tmp_path)
    text = Page(write_report(directory).read_text()).text
    names = {"published", "results", "folds", "classes", "confusion", "speakers", "calibration", "errors", "precision_recall"}
    assert {path.name for path in (directory / "tables").iterdir()} == {f"{name}.{ending}" for name in names for ending in ("csv", "tex")}
    assert "LaTeX and CSV of the tables" in text and r"\label{tab:results}" in text
    results = json.loads((directory / "results.json").read_text())
    rows = list(csv.DictReader((directory / "tables" / "classes.csv").open()))
    assert [row["class"] for row in rows] == list(CLASSES)
    assert [row["F1"] for row in rows] == [f"{100 * one['f1']:.1f}" for one in results["per_class"].values()]
    first = next(csv.DictReader((directory / "tables" / "folds.csv").open()))
    assert first["UAR"] == f"{100 * results['per_fold'][0]['uar']:.1f}"


def test_the_page_opens_with_what_was_found_and_leads_to_every_section(page, tmp_path):
    results = read_results(write_run(tmp_path))
    uar, baseline = results.metrics["uar"].pooled, results.baseline.metrics["uar"].pooled
    assert f"gru_attention reaches UAR {100 * uar:.1f} % (95 % interval" in page.text and "on speakers who are new to it" in page.text
    assert f"reaches {100 * baseline:.1f} %, {100 * (uar - baseline):.1f} points less than this system." in page.text
    targets = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    headings = [f"#{attributes['id']}" for tag, attributes in page.tags if tag == "h2"]
    assert targets == headings and len(targets) == 10


def test_the_main_finding_names_a_comparable_published_result_alone(tmp_path):
    results = read_results(write_run(tmp_path, corpus="ravdess", protocol="luna5"))
    published = published_results("ravdess", results.system, num_classes=8, streams=["audio"])
    text = main_finding(results, published)
    own = 100 * results.metrics["war"].pooled
    assert f"is WAR 81.8 % by Luna-Jimenez 2022, wav2vec2 (checkpoint chosen on test); this run has {own:.1f} %." in text
    assert "published" not in main_finding(dataclasses.replace(results, protocol="loso"), published)
    assert "whom it knows from training" in main_finding(dataclasses.replace(results, speaker_independent=False), published)


def test_the_most_confident_errors_come_first():
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3], [0.1, 0.9], [0.4, 0.6]]
    two_seeds = Predictions(
        clip=[*"abc", *"abc"],
        speaker=["1"] * 6,
        gender=[""] * 6,
        fold=["f"] * 6,
        seed=[0, 0, 0, 1, 1, 1],
        label=[1, 0, 1] * 2,
        probabilities=probabilities,
        classes=("calm", "sad"),
    )
    table = confident_errors(two_seeds)
    assert table.cells == [["b", "1", "calm", "sad", "85.0", "15.0"], ["a", "1", "sad", "calm", "80.0", "20.0"]]
    assert table.note == "2 of 3 clips are predicted wrongly; probabilities in %, the mean over the seeds"


def test_calibration_is_shown_before_and_after(tmp_path):
    results = json.loads((write_run(tmp_path) / "results.json").read_text())
    text = Page(write_report(tmp_path).read_text()).text
    assert f"{results['calibration']['brier']['pooled']:.3f}" in text and f"{results['calibration']['scaled']['nll']['pooled']:.3f}" in text
    found = [one["temperature"] for one in results["calibration"]["scaled"]["temperatures"]]
    assert f"{min(found):.2f} to {max(found):.2f}" in text
    results["calibration"]["scaled"] = None
    write_json(tmp_path / "results.json", results)
    assert "No temperature scaling" in Page(write_report(tmp_path).read_text()).text


def test_results_of_an_earlier_version_are_named(tmp_path):
    results = json.loads((write_run(tmp_path) / "results.json").read_text())
    write_json(tmp_path / "results.json", {name: value for name, value in results.items() if name != "calibration"})
    with pytest.raises(ValueError, match="earlier version; --mode=evaluate writes it again"):
        write_report(tmp_path)


def test_leaks_and_selection_on_test_are_flagged(tmp_path):
    directory = write_run(tmp_path, select="test", leaks=("speaker_in_two_parts",))
    text = Page(write_report(directory).read_text()).text
    assert "Caveats" in text
    assert "speaker-dependent" in text and "speaker-independent" not in text
    assert "selected on the test part" in text
    assert "12 speakers are in training and test parts" in text
    table = format_table(read_results(directory))
    assert "! speaker-dependent" in table and "! selected on the test part" in table and "! leak: speaker_in_two_parts" in table


def test_a_network_that_is_not_better_than_the_baseline_is_reported_as_such():
    def run(skill: float, name: str, baseline: RunResults | None = None) -> RunResults:
        return summarise(some_predictions(skill, (0,)), dataclasses.replace(FACTS, system=name), baseline=baseline)

    uar = run(0.0, "net").metrics["uar"].mean_of_folds
    assert f"! not better than svm: UAR {100 * uar:.1f} against" in format_table(run(0.0, "net", run(1.2, "svm")))
    assert "not better" not in format_table(run(1.2, "svm", run(0.0, "net")))


def test_failed_trials_are_counted(tmp_path):
    directory = write_run(tmp_path)
    rows = (directory / "metrics.jsonl").read_text().replace('"trial": 3, "train_loss"', '"trial": 3, "failed": true, "train_loss"')
    (directory / "metrics.jsonl").write_text(rows)
    assert Page(write_report(directory).read_text()).text.count("1 stopped early: the loss was not finite.") == 2  # in both stages


def test_a_killed_run_leaves_its_curves(tmp_path):
    directory = write_run(tmp_path)
    with (directory / "metrics.jsonl").open("a") as stream:
        stream.write('{"stage": "fused", "epo')
    assert "Learning curves" in Page(write_report(directory).read_text()).text


def test_encoders_are_listed_with_licence_and_corpora(tmp_path):
    write_run(tmp_path)
    used = {"name": "mini_xception", "weights": "published", "licence": "MIT", "trained_on": ["fer2013"]}
    used |= {"size_bytes": 872_856, "sha256": "ab" * 32}
    (tmp_path / "run.json").write_text(json.dumps(json.loads((tmp_path / "run.json").read_text()) | {"encoders": [used]}))
    text = Page(write_report(tmp_path).read_text()).text
    assert "Licence and corpora as the owner states them" in text
    rows = (tmp_path / "tables" / "encoders.csv").read_text().splitlines()
    assert rows == ["encoder,licence,trained on,size,SHA-256", "mini_xception,MIT,fer2013,0.9 MB,abababababab"]


def test_results_alone_make_a_page(tmp_path):
    write_run(tmp_path)
    for name in ("predictions.csv", "config.json", "run.json", "audit.json", "metrics.jsonl", "attention.npz"):
        (tmp_path / name).unlink()
    text = Page(write_report(tmp_path).read_text()).text
    assert "Confusion" in text and "Learning curves" not in text and "Attention" not in text


def test_an_unfinished_run_has_no_report(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no results.json: the run has not finished"):
        write_report(tmp_path)


def test_terminal_table_by_hand():
    # 8 clips, 2 speakers, 2 folds: fold a all right, fold b half right; class 0 has 6 of 8.
    label = [0, 0, 0, 1, 0, 0, 0, 1]
    predicted = [0, 0, 0, 1, 0, 1, 1, 1]
    predictions = Predictions(
        clip=list("abcdefgh"),
        speaker=["1"] * 4 + ["2"] * 4,
        gender=["unknown"] * 8,
        fold=["a"] * 4 + ["b"] * 4,
        seed=[0] * 8,
        label=label,
        probabilities=np.eye(2)[predicted],
        classes=("calm", "sad"),
    )
    lines = format_table(summarise(predictions, FACTS)).splitlines()
    assert "gru_attention on synthetic, protocol speaker_k (speaker-independent), 8 clips, 2 classes (acted), 2 folds x 1 seed" in lines[0]
    assert lines[1] == "Results"
    assert re.split(r"  +", lines[2].strip()) == ["system", "over", "UAR", "WAR", "macro F1", "weighted F1", "ECE"]
    # UAR: 1 and (1/3 + 1) / 2 = 2/3; WAR: 1 and 1/2.
    assert re.match(r"  gru_attention +mean of folds +83\.3 ± 23\.6 +75\.0 ± 35\.4 ", lines[3])
    assert re.match(r"  gru_attention +pooled +83\.3 \[0\.0, 100\.0\] +75\.0 \[0\.0, 100\.0\] ", lines[4])
    assert re.match(r"  chance +pooled +50\.0 +75\.0 +42\.9 +64\.3 +-", lines[5])
    assert len({len(line) for line in lines[2:6]}) == 1


def test_the_seeds_together_are_a_row_in_terminal_page_and_tables(tmp_path):
    directory = write_run(tmp_path)
    lines = [line for line in format_table(read_results(directory)).splitlines() if line.startswith("  ensemble of the 2 seeds")]
    page = Page(write_report(directory).read_text())
    assert [re.split(r"  +", line.strip())[1] for line in lines] == ["mean of folds", "pooled"] and "[" in lines[1]
    assert "ensemble of the 2 seeds, speaker_k" in page.text and "each clip's probabilities are the mean over the seeds" in page.text
    rows = list(csv.DictReader((directory / "tables" / "results.csv").open()))
    assert [row["system"] for row in rows].index("ensemble of the 2 seeds") == 2  # below the two rows of the system itself


def test_attention_of_the_wrong_shape_is_refused(tmp_path):
    base = dict(clip=["a"], fold=["fold1"], seed=[0])
    with pytest.raises(ValueError, match="of one shape"):
        write_attention(tmp_path / "a.npz", **base, audio_weights=np.ones((1, 3)), audio_times_s=np.ones((1, 4)))
    with pytest.raises(ValueError, match="of one shape"):
        write_attention(tmp_path / "a.npz", **base, audio_weights=np.ones((1, 3)))
    with pytest.raises(ValueError, match="unknown arrays"):
        write_attention(tmp_path / "a.npz", **base, weights=np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"needs the arrays \['seed'\]"):
        write_attention(tmp_path / "a.npz", clip=["a"], fold=["fold1"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("read", "whole", "part"), [(480, 1440, "on 480 of 1,440 clips of the corpus"), (1440, 1440, ""), (480, None, "")])
def test_a_part_of_the_corpus_is_said_wherever_its_numbers_are_compared(tmp_path, read, whole, part):
    write_run(tmp_path, num_clips_read=read, num_clips_of_owner=whole)
    results = read_results(tmp_path)
    (published, *_) = run_tables(results, published_results("ravdess", "gru_attention", num_classes=8, streams=None))
    caveats = [text for text in (format_table(results), str(published.rows)) if "of the corpus: not comparable" in text]
    assert len(caveats) == (2 if part else 0) and all(part in text for text in caveats)


def test_a_corpus_without_speakers_is_reported_as_such(tmp_path):
    unnamed = some_predictions(1.2, (0,))
    unnamed = dataclasses.replace(unnamed, speaker=np.full_like(unnamed.speaker, ""))
    directory = write_run(tmp_path)
    write_json(directory / "results.json", summarise(unnamed, dataclasses.replace(FACTS, speaker_independent=False)).to_json())
    (directory / "predictions.csv").unlink()
    text = Page(write_report(directory).read_text()).text
    table = format_table(read_results(directory))
    for found in (text, table):
        assert "speakers unknown: the corpus does not name speakers" in found
        assert "speaker-dependent" not in found and "speaker-independent" not in found


def test_failed_trials_are_marked_in_the_terminal_the_page_and_the_tables(tmp_path):
    directory = write_run(tmp_path / "run", num_trials=8, num_failed=3)
    write_report(directory)
    sentence = "3 of 8 trials failed and predict with untrained weights"
    printed = format_table(read_results(directory))
    assert f"! {sentence}" in printed and "gru_attention (3 of 8 trials FAILED)  mean of folds" in printed
    assert sentence in (directory / "report.html").read_text() and sentence in (directory / "tables" / "published.csv").read_text()
    assert "3 of 8 trials FAILED" in (directory / "tables" / "results.csv").read_text()
    assert not read_results(directory).all_failed
    assert read_results(write_run(tmp_path / "other", num_trials=8, num_failed=8)).all_failed
