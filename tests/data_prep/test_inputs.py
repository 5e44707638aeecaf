"""Files that a person names on the command line."""

from pathlib import Path

import pytest

from data_prep.inputs import find_inputs, is_media

NAMES = ("a.wav", "b, c.mp4", "d[1].flac", "deep/e.MOV", "deep/er/f.opus", "notes.txt", "deep/.DS_Store", "g?.wav")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINE", str(tmp_path / "deep"))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_file_whatever_its_characters(folder, name):
    assert find_inputs([name]) == [name]
    assert find_inputs([f"~/{name}"]) == [str(folder / name)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a.wav", "b, c.mp4", "a.wav"], ["a.wav", "b, c.mp4"]),
        (["a.wav,deep/e.MOV"], ["a.wav", "deep/e.MOV"]),
        (["deep"], ["deep/e.MOV", "deep/er/f.opus"]),
        (["deep/"], ["deep/e.MOV", "deep/er/f.opus"]),
        (["*.wav"], ["a.wav", "g?.wav"]),
        (["**/*.opus"], ["deep/er/f.opus"]),
        (["deep/*.MOV,a.wav"], ["deep/e.MOV", "a.wav"]),
    ],
)
def test_folders_patterns_and_several_names(folder, texts, expected):
    assert find_inputs(texts) == expected


def test_variables_are_expanded_and_folders_may_stay(folder):
    assert find_inputs(["$MINE"]) == [str(folder / "deep/e.MOV"), str(folder / "deep/er/f.opus")]
    assert find_inputs(["deep"], keep_folders=True) == ["deep"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("https://example.org/clip.mp4", ValueError, r"--input=https://example\.org/clip\.mp4 is an address on a network"),
        ("rtmp:/x/y", ValueError, "is an address"),
        ("a.wave", FileNotFoundError, r"there is no such file; did you mean 'a\.wav'"),
        ("*.mkv", FileNotFoundError, "no file fits this pattern"),
        ("empty", FileNotFoundError, "folder without sound, film or picture files"),
    ],
)
def test_what_is_not_there_is_named(folder, text, error, message):
    (folder / "empty").mkdir()
    with pytest.raises(error, match=message):
        find_inputs([text])


def test_media_are_known_by_their_ending():
    names = ("x.mkv", "x.TS", "x.webm", "x.jpg", "x.mp3", "x.avi", "x.sph", "x.WV", "x.csv", "x.json", "x")
    assert [is_media(Path(name)) for name in names] == [True] * 8 + [False] * 3
