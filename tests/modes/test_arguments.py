"""The command line: config files found from any folder, flags that a mode does not use, and the stored config of a run."""

import json
import logging
from pathlib import Path

import pytest

from avemo_jax.config import parse, to_plain
from avemo_jax.config.overrides import with_fields
from avemo_jax.modes.arguments import USED_BY, check_flags, has_flag, with_found_config, without_overrides
from avemo_jax.modes.robustness import warnings_only
from avemo_jax.modes.stored import refuse_differences, stored_experiment
from configs import demo

ROOT = Path(__file__).resolve().parents[2]
DEMO = "configs/demo.py:audio"


@pytest.fixture
def run(tmp_path) -> Path:
    """A run directory with its config."""
    folder = tmp_path / "first"
    folder.mkdir()
    plain = to_plain(with_fields(parse(demo.get_config("audio").to_dict()), {"workdir": str(folder), "train.num_epochs": 4}))
    (folder / "config.json").write_text(json.dumps(plain))
    return folder


@pytest.mark.parametrize(
    "argument", [["--config=configs/demo.py:audio"], ["--config", "configs/demo.py:audio"], ["-config=configs/demo.py:audio"]]
)
def test_a_config_is_found_from_another_folder(tmp_path, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    found = with_found_config(["run.py", *argument, "--mode=train"], ROOT)
    assert found[-2].endswith(f"{ROOT / 'configs' / 'demo.py'}:audio") and len(found) == len(argument) + 2
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.py").touch()
    assert with_found_config(["run.py", *argument], ROOT) == ["run.py", *argument]  # one's own comes first


@pytest.mark.parametrize(
    ("name", "message"), [("configs/dem.py", "did you mean demo.py"), ("configs/zzzz.py:audio", r"config files are .*configs/\*\.py")]
)
def test_a_missing_config_is_named_with_near_ones(name, message):
    with pytest.raises(ValueError, match=message):
        with_found_config(["run.py", f"--config={name}"], ROOT)


def test_overrides_are_taken_out_of_the_arguments():
    argv = ["run.py", "--run=a", "--config.train.num_epochs=3", "--mode", "predict", "--config.workdir", "b", "--config.protocol.baseline"]
    assert without_overrides(argv) == (
        ["run.py", "--run=a", "--mode", "predict"],
        {"train.num_epochs": "3", "workdir": "b", "protocol.baseline": "True"},
    )
    assert has_flag(argv, "run") and not has_flag(argv, "runs")


def test_a_run_gives_its_stored_config(run, monkeypatch):
    found = stored_experiment(str(run), {"prepared_dir": "/elsewhere", "num_workers": "1", "views.mfcc.segment_s": "1.5"})
    assert (found.train.num_epochs, found.prepared_dir, found.num_workers) == (4, "/elsewhere", 1)
    assert found.run_directory == run and found.views["mfcc"]["segment_s"] == 1.5
    monkeypatch.setenv("HOME", str(run.parent))
    assert stored_experiment("~/first", {}).train.num_epochs == 4
    assert stored_experiment(str(run), {"prepared_dir": "~/prep"}).prepared_dir == str(run.parent / "prep")  # as without --run


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train.num_epochs": "7"}, "train.num_epochs: stored 4, given 7"),
        ({"train.num_epoch": "7"}, "did you mean 'num_epochs'"),
        ({"train.num_epochs": "many"}, "expected a value of type int"),
        ({"train.learning_rate": "-1"}, "learning_rate must be above 0"),
        ({"views.mfcc.num_coefficients": "14"}, "views.mfcc.num_coefficients: stored 20, given 14"),
    ],
)
def test_what_contradicts_the_stored_config_is_refused_with_the_difference(run, overrides, message):
    with pytest.raises(ValueError, match=message):
        stored_experiment(str(run), overrides)


def test_a_config_file_beside_a_run_may_not_differ(run):
    stored = stored_experiment(str(run), {})
    refuse_differences(run, stored, with_fields(stored, {"num_workers": 9}))
    with pytest.raises(ValueError, match=r"train.optimizer: stored 'adam', given 'sgd'"):
        refuse_differences(run, stored, with_fields(stored, {"train.optimizer": "sgd"}))


def test_a_folder_without_a_run_is_named_with_a_near_one(run):
    with pytest.raises(FileNotFoundError, match=r"holds no run.*did you mean 'first'"):
        stored_experiment(str(run.parent / "frist"), {})


@pytest.mark.parametrize(("flag", "modes"), USED_BY.items())
def test_a_flag_that_a_mode_does_not_use_is_refused(flag, modes):
    for mode in ("train", "evaluate", "predict", "compare", "audit", "doctor"):
        if mode in modes:
            check_flags(mode, {flag, "input"} if mode == "audit" else {flag})
        else:
            with pytest.raises(ValueError, match=rf"--mode={mode} does not use --{flag}; add --mode={modes[0]}"):
                check_flags(mode, {flag})


def test_an_audit_of_folds_writes_no_list(run):
    with pytest.raises(ValueError, match="--output is for the audit of a split list"):
        check_flags("audit", {"output"})


def test_a_search_and_a_sweep_stand_beside_the_run_of_the_demo():
    one = parse(demo.get_config("audio").to_dict())
    search = with_fields(one, {"search.space": ("learning_rate=1e-4..1e-2 log",)})
    sweep = with_fields(one, {"sweep.learning_rate": (1e-3, 3e-3)})
    names = [str(experiment.run_directory) for experiment in (one, search, sweep)]
    assert names == [f"runs/synthetic-small_audio-speaker_k{end}" for end in ("", "-search", "-sweep")]
    assert str(with_fields(search, {"workdir": "mine"}).run_directory) == "mine"


def test_while_a_condition_is_prepared_only_warnings_are_logged(caplog):
    logger = logging.getLogger("data_prep.sets.prepare")
    with caplog.at_level(logging.INFO, "data_prep"):
        with warnings_only():
            logger.info("288 clips to prepare")
            logger.warning("3 clips are damaged")
        logger.info("report")
    assert caplog.messages == ["3 clips are damaged", "report"]
