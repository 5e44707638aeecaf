"""Every error that ends a mode is a sentence; one about a file names it, and an unexpected one says where its traceback is."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from avemo_jax.failures import Unexpected, describe_failure


def caught(function, *arguments) -> Exception:
    try:
        function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("expected an error")


def read(path: Path, how):
    return how(path)


def read_csv(path: Path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream, strict=True))


@pytest.mark.parametrize(
    ("content", "how", "sentence"),
    [
        (b"{", lambda path: json.loads(path.read_text()), "expected JSON"),
        (b"", lambda path: json.loads(path.read_text()), "expected JSON"),
        (b"\xff\xfea", lambda path: path.read_text(encoding="utf-8"), "expected text in UTF-8"),
        (b"PK\3\4 no archive", zipfile.ZipFile, "damaged or of another kind"),
        (b"no stream", lambda path: zlib.decompress(path.read_bytes()), "damaged or of another kind"),
        (b'"a"b,c\n', read_csv, "expected CSV"),
        (b"{}", lambda path: json.loads(path.read_text())["classes"], "expected 'classes' in it"),
        (b"", lambda path: path.joinpath("below").read_text(), "Not a directory"),
        (b"", lambda path: path.with_name("none").read_text(), "No such file"),
    ],
)
def test_an_error_of_a_file_names_it(content, how, sentence, tmp_path):
    path = tmp_path / "given.file"
    path.write_bytes(content)
    said = describe_failure(caught(read, path, how))
    assert said.startswith("error: ") and sentence in said and str(tmp_path) in said and "bug" not in said


def test_an_error_of_a_file_that_cannot_be_found_in_the_traceback_leaves_a_log(tmp_path):
    said = describe_failure(caught(json.loads, "{"), tmp_path)
    assert "expected JSON" in said and str(tmp_path / "error.log") in said and "bug" not in said


def own(kind, *arguments):
    """Raise as a module of this program does: the rule reads the file of the innermost function."""
    code = compile("def fail(kind, arguments):\n    raise kind(*arguments)\n", str(Path(describe_failure.__code__.co_filename)), "exec")
    names: dict = {}
    exec(code, names)
    return caught(names["fail"], kind, arguments)


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OSError, FileNotFoundError])
def test_what_the_program_says_itself_is_shown_as_it_is(kind):
    said = describe_failure(own(kind, "expected 3 folds, got 2"))
    assert said == "error: expected 3 folds, got 2\n(--verbosity=1 shows the traceback)"


@pytest.mark.parametrize("kind", [KeyError, TypeError, AttributeError, IndexError, AssertionError, ZeroDivisionError, Unexpected])
def test_the_unexpected_is_a_bug_with_a_log(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["run.py", "--config.search.storage=postgresql://me:s3'cret@host/db"])
    said = describe_failure(own(kind, "a\x1b[31m"), tmp_path)
    assert f"this is a bug of the program, or of a library that it uses: {kind.__name__}" in said
    assert str(tmp_path / "error.log") in said and "\x1b" not in said
    log = (tmp_path / "error.log").read_text()
    assert "Traceback (most recent call last)" in log and kind.__name__ in log and "cret" not in log


def test_an_error_inside_a_library_is_a_bug_and_its_log_lies_where_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for folder in (None, tmp_path / "none"):
        said = describe_failure(caught(np.linalg.inv, np.zeros((2, 3))), folder)
        assert "bug" in said and "LinAlgError" in said
    assert len(list(tmp_path.glob("avemo-*.log"))) == 2


def test_missing_packages_and_memory_have_their_remedy():
    assert "python -m data_prep.doctor" in describe_failure(ModuleNotFoundError("No module named 'tfds'", name="tfds"))
    assert "bug" in describe_failure(ModuleNotFoundError("No module named 'avemo_jax.x'", name="avemo_jax.x"))
    assert "train.batch_size" in describe_failure(MemoryError())
    assert "devices.memory_gib" in describe_failure(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 3 bytes"))
