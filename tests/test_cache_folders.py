"""Where the home folder is absent or read-only, libraries get folders for their caches."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from avemo_jax.cache_folders import can_write, set_up_caches

NAMES = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """An environment without these variables, put back afterwards; `os.access` that knows read-only folders, also as root."""
    for name in (*NAMES, "HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "read-only" not in str(path) and real(path, mode))


def test_a_home_that_can_be_written_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert set_up_caches(tmp_path / "prepared") is None
    assert not set(NAMES) & set(os.environ)


@pytest.mark.parametrize("home", ["absent", "read-only", "a file"])
@pytest.mark.parametrize("prepared", ["prepared", "read-only/prepared"])
def test_else_below_the_prepared_or_the_temporary_folder(home, prepared, tmp_path, monkeypatch):
    (tmp_path / "read-only").mkdir()
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HOME", str(Path("/nonexistent/read-only") if home == "absent" else tmp_path / home))
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    folder = set_up_caches(tmp_path / prepared)
    expected = tmp_path / "prepared" / "caches" if prepared == "prepared" else tmp_path / "temporary" / f"avemo-caches-{os.getuid()}"
    assert folder == expected and os.environ["MPLCONFIGDIR"] == "/mine"
    for name in set(NAMES) - {"MPLCONFIGDIR"}:
        assert Path(os.environ[name]).parent == folder and Path(os.environ[name]).is_dir()
    assert os.environ["HOME"] == (str(tmp_path / home) if home == "read-only" else str(folder))


def test_a_folder_that_another_user_can_write_is_not_trusted_with_code(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent/read-only")
    others = tmp_path / "temporary" / f"avemo-caches-{os.getuid()}"
    others.mkdir()
    others.chmod(0o777)
    (tmp_path / "read-only").mkdir()
    folder = set_up_caches(tmp_path / "read-only" / "prepared")
    assert folder is not None and folder != others and folder.stat().st_mode & 0o777 == 0o700


def test_nothing_is_made_to_see_whether_it_can_be(tmp_path):
    assert can_write(tmp_path / "a" / "b") and not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    assert not can_write(tmp_path / "file") and not can_write(tmp_path / "file" / "below")
