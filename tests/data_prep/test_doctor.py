"""The doctor names every gap with its fix, and works where nothing is installed."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.corpora import CORPORA
from data_prep.doctor import doctor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def few_requirements(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# of the tests\nnumpy>=1\n")
    return path


def line_of(report: str, subject: str) -> str:
    """The line about a subject and the one below it."""
    lines = report.splitlines()
    at = next(index for index, line in enumerate(lines) if line[4:].startswith(subject))
    return "\n".join(lines[at : at + 2])


def test_the_environment_of_the_tests_is_whole(tmp_path):
    report, ok = doctor(prepared_dir=tmp_path / "prepared")
    assert ok, report
    assert "Nothing is missing." in report
    assert f"numpy                    {importlib.metadata.version('numpy')}" in report


def test_missing_and_foreign_versions_are_named_with_the_command(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package>=1,<2  # a reason\nnumpy<1.0  # 1.0 moved the furniture\n")
    report, ok = doctor(requirements=requirements, prepared_dir=tmp_path)
    assert not ok
    assert "missing, expected >=1,<2" in line_of(report, "no-such-package")
    assert "-m pip install 'no-such-package>=1,<2'" in line_of(report, "no-such-package")
    assert "expected <1.0 (1.0 moved the furniture)" in line_of(report, "numpy")
    assert "-m pip install 'numpy<1.0'" in line_of(report, "numpy")


def test_a_corpus_that_is_not_there_says_where_to_ask(tmp_path, few_requirements):
    for root in (None, tmp_path / "nowhere"):
        report, ok = doctor(corpus="ravdess", corpus_root=root, requirements=few_requirements, prepared_dir=tmp_path)
        assert not ok
        assert "zenodo.org" in report and "--config.corpus.root=FOLDER" in report


def test_a_corpus_that_is_there_is_counted(tmp_path, few_requirements):
    for actor in ("01", "02"):
        folder = tmp_path / "ravdess" / f"Actor_{actor}"
        folder.mkdir(parents=True)
        for emotion in ("01", "03", "05"):
            (folder / f"03-01-{emotion}-01-01-01-{actor}.wav").touch()
    report, ok = doctor(
        corpus="ravdess",
        corpus_root=tmp_path / "ravdess",
        corpus_options={"channel": "speech"},
        requirements=few_requirements,
        prepared_dir=tmp_path,
    )
    assert ok, report
    assert "6 clips of 2 speakers" in line_of(report, "ravdess") and "6 with sound, 0 with picture" in line_of(report, "ravdess")


def test_all_corpora_are_listed_and_an_incomplete_one_is_counted_against_its_owner(tmp_path, few_requirements):
    folder = tmp_path / "JAFFE"
    folder.mkdir()
    for name in ("KA.AN1.39", "KL.AN1.167", "holiday"):
        (folder / f"{name}.tiff").touch()
    report, ok = doctor(corpus="jaffe", corpus_root=folder, requirements=few_requirements, prepared_dir=tmp_path)
    assert ok, report
    for name, module in CORPORA.items():
        assert line_of(report, name)
        assert name in ("jaffe", "synthetic") or module.ADDRESS in line_of(report, name)
    assert "2 of 213 clips of 2 speakers" in line_of(report, "jaffe") and "0 with sound, 2 with picture" in line_of(report, "jaffe")
    assert "1 media files: holiday.tiff" in line_of(report, "jaffe")


def test_joined_corpora_are_looked_at_each_in_its_folder(tmp_path, few_requirements):
    for name in ("jaffe/KA.AN1.39.tiff", "ck48/anger/S010_004_00000017.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()

    def look(name, root):
        return doctor(corpus=name, corpus_root=root, requirements=few_requirements, prepared_dir=tmp_path / "prepared")

    report, ok = look("jaffe+ck48", f"jaffe={tmp_path}/jaffe,ck48={tmp_path}/ck48")
    assert ok and "2 of 1194 clips of 2 speakers" in line_of(report, "jaffe+ck48")
    for name, root, said in (
        ("jaffe+ck48", None, "--config.corpus.root=jaffe=FOLDER,ck48=FOLDER that holds"),
        ("jaffe+ck48", f"jaffe={tmp_path}/jaffe", "no folder for ck48"),
        ("ck_plus+ck48", None, "cannot be joined"),
    ):
        report, ok = look(name, root)
        assert not ok and said in report


def test_looking_at_the_synthetic_corpus_does_not_make_it(tmp_path, few_requirements):
    report, ok = doctor(corpus="synthetic", corpus_root=tmp_path / "corpus", requirements=few_requirements, prepared_dir=tmp_path)
    assert ok, report
    assert "is made on the first run" in line_of(report, "synthetic")
    assert not (tmp_path / "corpus").exists()


def test_prepared_sets_are_listed_and_broken_ones_marked(tmp_path, few_requirements):
    whole = {"corpus": "ravdess", "view": "mfcc", "num_clips": 3, "num_examples": 4}
    for name, text in (("good", json.dumps(whole)), ("bad", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "begun.partial").mkdir()
    report, ok = doctor(prepared_dir=tmp_path, requirements=few_requirements)
    assert not ok
    assert "4 examples of 3 clips, mfcc of ravdess" in line_of(report, "good")
    assert f"delete {tmp_path / 'bad'}" in line_of(report, "bad")
    assert "not finished" in line_of(report, "begun.partial")


@pytest.mark.parametrize(
    ("view", "params"), [("keyframes", {"face_crop": False}), ("frame_windows", {"crop": "centre"}), ("still", {"crop": "whole"})]
)
def test_views_that_look_for_no_face_need_no_detector(view, params, tmp_path, few_requirements):
    report, _ = doctor(views={view: {"detector": "yunet", **params}}, prepared_dir=tmp_path, requirements=few_requirements)
    assert "faces by" not in line_of(report, f"view {view}") and "yunet" not in report
    (key,) = params
    looking = {"face_crop": True} if key == "face_crop" else {"crop": "face"}
    report, _ = doctor(views={view: {"detector": "yunet", **looking}}, prepared_dir=tmp_path, requirements=few_requirements)
    assert "yunet" in line_of(report, f"view {view}") and "detector_path" in report


def test_views_load_their_detectors_and_files_must_exist(tmp_path, few_requirements):
    (tmp_path / "weights.npz").write_bytes(b"four")
    report, ok = doctor(
        views={"faces": {"size_px": 32}, "keyframes": {"face_crop": True, "detector": "yunet"}, "mfcc": {"num_deltas": 7}},
        files={"model.audio.weights": str(tmp_path / "weights.npz"), "model.video.weights": str(tmp_path / "none.npz"), "unset": None},
        prepared_dir=tmp_path,
        requirements=few_requirements,
    )
    assert not ok
    assert "faces by haar" in line_of(report, "view faces") and "(32, 32, 3)" in line_of(report, "view faces")
    assert "yunet" in line_of(report, "view keyframes") and "detector_path" in report
    assert "num_deltas" in line_of(report, "view mfcc")
    assert "4 bytes" in line_of(report, "model.audio.weights")
    assert "--config.model.video.weights=FILE" in line_of(report, "model.video.weights")
    assert "unset" not in report


def test_it_speaks_where_no_package_is_installed(tmp_path):
    # -S leaves site-packages out: the standard library is all there is.
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from data_prep.doctor import doctor; print(*doctor(), sep='\\n')"
    done = subprocess.run([sys.executable, "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("False")
    assert "JAX does not start" in done.stdout
    for name in ("jax", "tensorflow", "av"):
        assert "missing" in line_of(done.stdout, name)
