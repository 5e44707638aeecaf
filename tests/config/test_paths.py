"""~ and variables are expanded in every path of the config and of the flags."""

from __future__ import annotations

import pytest

from avemo_jax.config import parse, to_plain
from avemo_jax.config.paths import expand, expand_config, is_path


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/data")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~", "/home/me"),
        ("~/hprep", "/home/me/hprep"),
        ("$DATA/RAVDESS", "/data/RAVDESS"),
        ("${DATA}_2/x", "/data_2/x"),
        ("jaffe=~/a,ck48=$DATA/b", "jaffe=/home/me/a,ck48=/data/b"),
        ("mine=~/p.csv;kind=logits", "mine=/home/me/p.csv;kind=logits"),
        ("sqlite:///~/search.db", "sqlite:////home/me/search.db"),
        ("a~b/c~", "a~b/c~"),
        ("clip price$.wav", "clip price$.wav"),
        ("runs/x", "runs/x"),
    ],
)
def test_by_hand(text, expected):
    assert expand(text, "--input") == expected


def test_what_exists_as_it_is_written_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a$NOPE").touch()
    assert expand("a$NOPE", "--input") == "a$NOPE"


@pytest.mark.parametrize("text", ["$NOPE/x", "${NOPE}/x", "~nobody-of-that-name/x"])
def test_what_cannot_be_expanded_is_refused(text):
    with pytest.raises(ValueError, match=r"^--config\.prepared_dir=.*(variable NOPE is not set|home folder of ~nobody)"):
        expand(text, "--config.prepared_dir")


def test_every_path_of_the_config_and_nothing_else():
    plain = to_plain(parse({}))
    plain |= {"workdir": "~/w", "weights_dir": "~/x", "views": {"table": {"path": "~/t.csv", "detector_path": None, "columns": "~"}}}
    plain["corpus"] |= {"root": "~/r", "label_set": "~"}
    plain["encoders"] = {"vggish": {"weights": "$DATA/w.npz"}}
    found = expand_config(plain)
    assert (found["workdir"], found["weights_dir"], found["prepared_dir"]) == ("/home/me/w", "/home/me/x", "prepared")
    assert found["views"]["table"] == {"path": "/home/me/t.csv", "detector_path": None, "columns": "~"}
    assert (found["corpus"]["root"], found["corpus"]["label_set"]) == ("/home/me/r", "~")
    assert found["encoders"]["vggish"]["weights"] == "/data/w.npz"


@pytest.mark.parametrize(
    ("field", "expected"), [("views.x.own_path", True), ("corpus.name", False), ("system.name", False), ("search.name", False)]
)
def test_the_fields_that_are_paths(field, expected):
    assert is_path(field) == expected
