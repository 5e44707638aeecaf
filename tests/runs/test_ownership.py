"""Files that name their run: those of another run, and changed ones, are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from avemo_jax.runs.ownership import ForeignFile, read_owned, write_owned

FACTS = {"run_id": "this", "fold_hash": "f", "prepared_sets": {"audio": "a", "video": "v"}}
CONFIG = {"train": {"seeds": [0, 1]}}
NAME = "late.json"


def write_run(workdir: Path, facts=FACTS, config=CONFIG) -> Path:
    workdir.mkdir()
    (workdir / "run.json").write_text(json.dumps(facts))
    (workdir / "config.json").write_text(json.dumps(config))
    write_owned(workdir, NAME, {"trials": [{"weights": [0.25, 0.75]}, {"weights": [1.0, 0.0]}]})
    return workdir


def read(workdir: Path):
    return read_owned(workdir, NAME, fix="remove it")


def test_an_owned_file_comes_back_in_its_own_run(tmp_path):
    workdir = write_run(tmp_path / "a")
    assert read(workdir) == {"trials": [{"weights": [0.25, 0.75]}, {"weights": [1.0, 0.0]}]}
    assert read(Path(shutil.move(workdir, tmp_path / "b"))) == read_owned(tmp_path / "b", NAME, fix="")  # a run that was moved
    facts = json.loads((tmp_path / "b" / "run.json").read_text())
    (tmp_path / "b" / "run.json").write_text(json.dumps(facts | {"seconds": {"train": 2}, "versions": {}}))  # and continued
    assert read(tmp_path / "b")["trials"]


@pytest.mark.parametrize(
    ("facts", "config", "message"),
    [
        ({"run_id": "other"}, {}, "run_id: expected this, found other"),
        ({"fold_hash": "g"}, {}, "fold_hash: expected f, found g"),
        ({"fold_hash": ""}, {}, "fold_hash: expected f, found none"),
        ({"prepared_sets": {"audio": "a"}}, {}, "prepared_sets: expected {'audio': 'a', 'video': 'v'}, found {'audio': 'a'}"),
        ({"prepared_sets": {"audio": "v", "video": "a"}}, {}, "prepared_sets"),
        ({}, {"train": {"seeds": [0]}}, "config_sha256"),
        ({}, {"train": {"seeds": [1, 0]}}, "config_sha256"),
        ({"run_id": ""}, {}, "run_id: expected this, found none"),
    ],
)
def test_the_file_of_another_run_is_refused_with_the_difference(tmp_path, facts, config, message):
    workdir, other = write_run(tmp_path / "a"), write_run(tmp_path / "b", FACTS | facts, CONFIG | config)
    shutil.copy(other / NAME, workdir / NAME)
    with pytest.raises(ForeignFile, match=r"late\.json does not belong to this run") as error:
        read(workdir)
    assert message in str(error.value) and str(error.value).endswith("\nremove it")


def test_a_file_without_an_owner_is_accepted_only_in_a_run_of_an_earlier_version(tmp_path):
    workdir = write_run(tmp_path / "a")
    (workdir / NAME).write_text('{"trials": []}')
    with pytest.raises(ForeignFile, match="run_id: expected this, found none"):
        read(workdir)
    (workdir / NAME).write_text("[]")
    with pytest.raises(ForeignFile, match="expected an object that names its run, found a list; remove it"):
        read(workdir)
    (workdir / "run.json").write_text(json.dumps({name: value for name, value in FACTS.items() if name != "run_id"}))
    (workdir / NAME).write_text('{"trials": []}')
    assert read(workdir) == {"trials": []}


def test_no_changed_bit_of_an_owned_file_passes(tmp_path):
    workdir = write_run(tmp_path / "a")
    whole, content = (workdir / NAME).read_bytes(), read(workdir)
    for place in range(len(whole)):
        (workdir / NAME).write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            assert read(workdir) == content  # a bit between the words
        except (ValueError, ForeignFile) as error:
            assert NAME in str(error)
