"""The demo from the command line: every stream, every mode, stops by signals, and mistakes."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from demo_run import NUM_ACTORS, NUM_CLIPS, NUM_EPOCHS, NUM_FOLDS, ROOT, DemoRun, files_of
from results_schema import check_results
from shared_data import shared_data

pytestmark = pytest.mark.slow

CONTRACT = {
    "config.json",
    "run.json",
    "audit.json",
    "metrics.jsonl",
    "checkpoints",
    "predictions.csv",
    "results.json",
    "report.html",
    "tables",
    "tensorboard",
}
MAY_BE_THERE = {".lock", "attention.npz"}
RESULTS = {
    *("corpus", "system", "protocol", "label_set", "label_target", "fold_hash", "select", "num_clips", "num_undecodable"),
    *("num_without_face", "num_params", "metrics", "per_fold", "per_class_recall", "per_speaker", "confusion", "leaks", "seconds"),
}
STAGES = {"audio": ["audio"], "video": ["video"], "audio_video": ["audio", "video", "fused"]}


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def results_of(run: DemoRun) -> dict:
    return check_results(json.loads(run.file("results.json")))


def without_clock(results):
    """Return the results, including those of the baseline, without seconds."""
    return {name: without_clock(one) for name, one in results.items() if name != "seconds"} if isinstance(results, dict) else results


@pytest.mark.parametrize("streams", ["audio", pytest.param("video", marks=pytest.mark.long), "audio_video"])
def test_a_run_writes_all_files_of_the_contract(trained, streams):
    run, printed = trained(streams)
    names = {path.name for path in run.workdir.iterdir()}
    assert names - MAY_BE_THERE == CONTRACT
    rows = rows_of(run.file("predictions.csv"))
    assert len(rows) == len({row["clip"] for row in rows}) == NUM_CLIPS and {row["seed"] for row in rows} == {"0"}
    classes = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
    for row in rows:
        probabilities = [float(row[f"p_{name}"]) for name in classes]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5) and row["predicted"] == classes[int(np.argmax(probabilities))]
    results = results_of(run)
    assert results.keys() >= RESULTS
    assert set(results["metrics"]) == {"war", "uar", "macro_f1", "weighted_f1", "ece"}
    assert all({"mean_of_folds", "std_of_folds", "pooled", "ci95"} <= one.keys() for one in results["metrics"].values())
    accuracy = np.mean([row["label"] == row["predicted"] for row in rows])
    assert results["metrics"]["war"]["pooled"] == pytest.approx(accuracy) and results["num_clips"] == NUM_CLIPS
    assert (results["num_undecodable"], results["num_without_face"], results["leaks"]) == (0, 0, [])
    temperatures = results["calibration"]["scaled"]["temperatures"]
    assert [one["fold"] for one in temperatures] == [f"fold{index + 1}" for index in range(NUM_FOLDS)]
    assert all(0 < entry["num_train"] < NUM_CLIPS - entry["num_clips"] for entry in results["per_fold"])
    assert len(results["per_speaker"]) == NUM_ACTORS and np.sum(results["confusion"]["counts"]) == NUM_CLIPS
    metrics = [json.loads(line) for line in run.file("metrics.jsonl").splitlines()]
    expected = [(stage, epoch, fold) for stage in STAGES[streams] for epoch in range(NUM_EPOCHS) for fold in range(NUM_FOLDS)]
    assert [(row["stage"], row["epoch"], row["fold"]) for row in metrics] == expected
    assert sorted(path.name for path in (run.workdir / "checkpoints").iterdir()) == sorted(STAGES[streams])
    page = run.file("report.html").decode()
    assert page.startswith("<!") and not re.search(r'(src|href)="https?:', page)
    assert f"{run.workdir / 'report.html'}" in printed


@pytest.mark.parametrize("streams", [pytest.param("audio", marks=pytest.mark.long), "audio_video"])
def test_evaluate_restores_and_trains_nothing(trained, streams):
    run, _ = trained(streams)
    before, checkpoints, results = run.file("predictions.csv"), files_of(run.workdir / "checkpoints"), results_of(run)
    metrics = run.file("metrics.jsonl")
    (run.workdir / "predictions.csv").unlink()
    run("--mode=evaluate")
    assert run.file("predictions.csv") == before and run.file("metrics.jsonl") == metrics
    assert files_of(run.workdir / "checkpoints") == checkpoints
    assert without_clock(results_of(run)) == without_clock(results)
    assert "predictions.csv is unchanged" in run("--mode=evaluate")


def test_a_finished_run_started_again_changes_nothing(trained):
    run, _ = trained("audio")
    files = ("config.json", "audit.json", "metrics.jsonl", "predictions.csv")
    before, checkpoints = [run.file(name) for name in files], files_of(run.workdir / "checkpoints")
    results = results_of(run)
    run()
    assert [run.file(name) for name in files] == before and files_of(run.workdir / "checkpoints") == checkpoints
    assert without_clock(results_of(run)) == without_clock(results)


def test_another_config_in_the_same_directory_is_refused(trained):
    run, _ = trained("audio")
    before = files_of(run.workdir)
    other = DemoRun(run.shelf, run.workdir, "audio", {"train.num_epochs": 4, "train.learning_rate": 0.5})
    printed = other.refuse()
    assert "train.num_epochs: stored 3, given 4" in printed and "train.learning_rate: stored 0.003, given 0.5" in printed
    assert "--config.workdir" in printed
    assert files_of(run.workdir) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config.train.num_epoch=3"], "num_epoch"),
        (["--config.train.num_epochs=many"], "num_epochs"),
        ([f"--config={ROOT}/configs/nothing.py"], "nothing.py"),
        ([f"--config={ROOT}/configs/demo.py:smell"], "audio_video"),
        (["--config.corpus.name=ravdess", "--config.corpus.root=no/such/folder"], "no/such/folder"),
        ([f"--config.corpus.root={ROOT / 'run.py'}"], "run.py"),
        (["--config.corpus.name=klingon"], "klingon"),
        (["--config.protocol.name=luna6"], "luna6"),
        (["--mode=predict"], "--input="),
        (["--mode=dream"], "dream"),
    ],
)
def test_a_mistake_gets_one_clear_error(shelf, tmp_path, arguments, expected):
    printed = DemoRun(shelf, tmp_path / "run").refuse(*arguments)
    assert expected in printed


@pytest.mark.parametrize(
    ("mode", "message"),
    [("evaluate", "train it first"), ("report", "run the same config with --mode=train"), ("predict", "train it first")],
)
def test_modes_that_need_a_run_fail_without_one(shelf, trained, tmp_path, mode, message):
    trained("audio")
    (tmp_path / "clip.mp4").touch()
    given = [f"--input={tmp_path / 'clip.mp4'}"] if mode == "predict" else []
    printed = DemoRun(shelf, tmp_path / "run").refuse(f"--mode={mode}", *given)
    assert message in printed


def test_predict_on_a_clip_of_the_corpus(trained, tmp_path):
    run, _ = trained("audio_video")
    film = run.shelf / "corpus" / "Actor_01" / "01-01-05-01-01-01-01.mp4"
    printed = run("--mode=predict", f"--input={film}", f"--output={tmp_path}")
    found = json.loads((tmp_path / "predictions.json").read_text())
    (one,) = found["files"]
    assert found["num_models"] == NUM_FOLDS and one["problems"] == [] and one["predicted"] in found["classes"]
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5) and all(not part["without"] for part in one["segments"])
    assert str(film) in printed and one["predicted"] in printed
    assert [row["file"] for row in csv.DictReader((tmp_path / "predictions.csv").open())] == [str(film)] * (1 + len(one["segments"]))


def test_predict_on_real_clips(trained, tmp_path):
    """tests/data_prep tests their faces and key frames."""
    files = []
    for folder, (number, pattern) in {"crema_d": (3, "*.flv"), "grid": (5, "*.mpg")}.items():
        found = sorted(shared_data(folder).glob(pattern))
        assert len(found) == number
        files += found
    run, _ = trained("audio_video")
    run("--mode=predict", f"--input={','.join(map(str, files))}", f"--output={tmp_path}")
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["file"] for one in content["files"]] == [str(path) for path in files]
    for one in content["files"]:
        assert one["predicted"] in content["classes"], one
        assert one["problems"] == [], one  # fully decoded, not silent, with faces
        assert all(segment["without"] == [] for segment in one["segments"]), one
        assert 1.5 < one["segments"][-1]["end_s"] < 5
    assert len({json.dumps(one["probabilities"]) for one in content["files"]}) == len(files)


# An epoch takes about 20 ms. With fewer epochs, training may finish before a slow host sends the signal.
LONG = {"train.num_epochs": 150, "train.checkpoint_every_epochs": 150, "protocol.baseline": False, "train.tensorboard": False}


@pytest.fixture(scope="module")
def straight_outcome(trained, shelf, tmp_path_factory):
    """Return the results of an uninterrupted long run."""
    trained("audio")  # prepares and compiles
    run = DemoRun(shelf, tmp_path_factory.mktemp("long") / "straight", "audio", LONG)
    run()
    return run.outcome()


@pytest.mark.long  # test_train_loop.py resumes bit for bit, test_processes.py and test_preemption.py have the signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_saves_and_resumes(straight_outcome, shelf, tmp_path, number):
    run = DemoRun(shelf, tmp_path / "run", "audio", LONG)
    process = run.start()
    printed = ""
    for line in process.stdout:
        printed += line
        if re.search(r"\| [1-9]\d*/150 ", line):
            process.send_signal(number)
            break
    printed += process.communicate()[0]
    assert process.returncode == 128 + number and "Traceback" not in printed, printed
    assert number.name in printed and "the same command continues" in printed
    (step,) = (path for path in (run.workdir / "checkpoints" / "audio").iterdir())
    assert 0 < int(step.name) < 150
    assert f"after epoch {step.name} of 150" in run()
    assert run.outcome() == straight_outcome


@pytest.mark.long
def test_the_stream_feed_gives_the_numbers_of_the_resident_one(trained, shelf, tmp_path):
    resident, _ = trained("audio")
    run = DemoRun(shelf, tmp_path / "run", "audio", {"devices.feed": "stream", "protocol.baseline": False})
    run()
    found, expected = rows_of(run.file("predictions.csv")), rows_of(resident.file("predictions.csv"))
    assert [(row["clip"], row["fold"], row["label"]) for row in found] == [(row["clip"], row["fold"], row["label"]) for row in expected]
    names = [name for name in expected[0] if name.startswith("p_")]
    values = [[[float(row[name]) for name in names] for row in rows] for rows in (found, expected)]
    np.testing.assert_allclose(*values, atol=1e-4)
    before = run.file("predictions.csv")
    assert "predictions.csv is unchanged" in run("--mode=evaluate") and run.file("predictions.csv") == before


def test_a_flipped_bit_is_reported_and_does_not_change_the_results(trained, tmp_path):
    finished, _ = trained("audio")
    shutil.copytree(finished.workdir, tmp_path / "run")
    run = DemoRun(finished.shelf, tmp_path / "run")
    newest = run.workdir / "checkpoints" / "audio" / str(NUM_EPOCHS)
    damaged = flip_a_bit(newest)
    printed = run.refuse("--mode=evaluate")
    assert f"{newest} is damaged" in printed and damaged in printed and "has not finished" in printed
    printed = run()
    assert f"{newest} is damaged" in printed and damaged in printed and f"after epoch {NUM_EPOCHS - 1} of {NUM_EPOCHS}" in printed
    assert run.outcome() == finished.outcome()


def flip_a_bit(step: Path) -> str:
    """Change one bit in the middle of the largest file of a checkpoint and return the file's name."""
    file = max((path for path in step.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)
    return file.name
