"""The run directory: locked, refused for another config, rows deleted back to the checkpoint on resume."""

import json

import pytest
from small_experiment import small_config

from avemo_jax.config import to_plain
from avemo_jax.config.overrides import with_fields
from avemo_jax.json_lines import read_rows
from avemo_jax.runs.run_directory import ConfigMismatch, compare_configs, complete, follow_run, open_run

CONFIG = small_config(corpus__root="/a", train__seeds=(0, 1))


def test_another_config_is_refused_with_every_difference(tmp_path):
    with open_run(tmp_path / "run", CONFIG):
        pass
    other_place = {"workdir": "elsewhere", "weights_dir": "/w", "corpus.root": "/b", "views.hog.detector_path": "/d"}
    with open_run(tmp_path / "run", with_fields(CONFIG, other_place)):
        pass
    other = with_fields(CONFIG, {"train.learning_rate": 0.2, "train.seeds": (0,), "train.batch_size": 5})
    with pytest.raises(ConfigMismatch, match="another --config") as opened, open_run(tmp_path / "run", other):
        pass
    with pytest.raises(ConfigMismatch, match="another --config") as followed:
        follow_run(tmp_path / "run", other)
    for error in (opened, followed):
        differences = ("train.learning_rate: stored 0.05, given 0.2", "train.seeds: stored [0, 1], given [0]", "train.batch_size: stored")
        for difference in differences:
            assert difference in str(error.value)


def test_whatever_changes_numbers_is_compared():
    """Of training, only what is written beside the results may differ when a run is resumed."""
    stored = to_plain(CONFIG)
    for group, free in (
        ("train", {"tensorboard", "trackers", "checkpoint_every_epochs", "keep_checkpoints"}),
        ("system", set()),
        ("streams", set()),
        ("late", set()),
        ("protocol", {"allow_leaks", "near_duplicates"}),
    ):
        differences = "\n".join(compare_configs(stored, stored | {group: dict.fromkeys(stored[group], "another")}))
        assert {name for name in stored[group] if f"{group}.{name}" not in differences} == free, group


def test_a_run_of_an_earlier_version_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model": {"audio": {"encoder": "none"}}, "system": {"streams": ["audio"]}}))
    with pytest.raises(ConfigMismatch) as error, open_run(tmp_path, CONFIG):
        pass
    assert str(error.value) == (
        f"{tmp_path} holds a run of an earlier version with other config fields; its predictions.csv and report.html can still be read, "
        "and a new run needs another --config.workdir"
    )


def test_a_field_that_was_added_later_has_its_default_in_an_earlier_run(tmp_path):
    with open_run(tmp_path, CONFIG):
        pass
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["train"]["length_buckets"], stored["streams"]["audio"]["augmentation"]["flip_vertically"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with open_run(tmp_path, CONFIG):
        pass
    with pytest.raises(ConfigMismatch, match=r"train\.length_buckets: stored 1, given 4"):
        follow_run(tmp_path, with_fields(CONFIG, {"train.length_buckets": 4}))
    stored["train"]["gone"] = 1
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ConfigMismatch, match=r"an earlier version with other config fields \(.*gone.*\)"):
        follow_run(tmp_path, CONFIG)


def test_two_processes_cannot_share_a_run(tmp_path):
    with open_run(tmp_path, CONFIG), pytest.raises(RuntimeError, match="another process"), open_run(tmp_path, CONFIG):
        pass


def test_rows_after_the_checkpoint_are_deleted(tmp_path):
    with open_run(tmp_path, CONFIG) as run:
        run.append_rows([{"stage": stage, "trial": 0, "epoch": epoch} for stage in ("audio", "fused") for epoch in range(3)])
        with (tmp_path / "metrics.jsonl").open("a") as stream:
            stream.write('{"stage": "fus')  # a killed process
        run.keep_rows("audio", {0}, 3)  # the first stage is finished; the rows of the second must stay
        run.keep_rows("fused", {0}, 2)
        rows = read_rows(tmp_path / "metrics.jsonl")
    assert [(row["stage"], row["epoch"]) for row in rows] == [("audio", 0), ("audio", 1), ("audio", 2), ("fused", 0), ("fused", 1)]


def test_seconds_add_up_over_attempts(tmp_path):
    with open_run(tmp_path, CONFIG) as run:
        with run.phase("train"):
            pass
        run.write_run_json(stages=["audio"])
        first = json.loads((tmp_path / "run.json").read_text())
        with run.phase("train"), run.phase("evaluate"):
            pass
        run.write_run_json()
    second = json.loads((tmp_path / "run.json").read_text())
    assert second["started"] == first["started"] and second["stages"] == ["audio"]
    assert second["seconds"]["train"] >= first["seconds"]["train"] and "evaluate" in second["seconds"]


def test_unset_fields_are_taken_from_the_run():
    stored = {"corpus": {"root": "/a", "name": "demo"}, "workdir": "runs/x", "train": {"seeds": [0]}}
    given = {"corpus": {"root": None, "name": "other"}, "workdir": None, "train": {"seeds": (1,)}, "views": {"path": None}}
    assert complete(given, stored) == {
        "corpus": {"root": "/a", "name": "other"},
        "workdir": "runs/x",
        "train": {"seeds": (1,)},
        "views": {"path": None},
    }


def test_a_run_is_bound_to_its_folds_and_its_data(tmp_path):
    with open_run(tmp_path, CONFIG) as run:
        for _ in range(2):
            run.bind(fold_hash="abc", prepared_keys={"audio": "123"})
        with pytest.raises(ConfigMismatch, match="fold_hash: stored abc, given abd") as error:
            run.bind(fold_hash="abd", prepared_keys={"audio": "123"})
    assert "prepared_keys" not in str(error.value)
    assert json.loads((tmp_path / "run.json").read_text())["fold_hash"] == "abc"
