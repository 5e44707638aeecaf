"""JAX is tried in a process of its own before any work; what fails is one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from avemo_jax import api, machine, preparing
from avemo_jax.config import Devices, Experiment, Train, parse
from avemo_jax.config.overrides import with_fields
from avemo_jax.experiment import encoder_weights
from avemo_jax.experiment.needed_packages import check_packages
from avemo_jax.machine import TENSORFLOW, MachineError, check_machine, start_jax
from avemo_jax.runs.run_directory import ConfigMismatch, open_run
from configs import demo


@pytest.fixture(autouse=True)
def tried_anew():
    for cached in (start_jax, machine._may_fail):
        cached.cache_clear()
    yield
    for cached in (start_jax, machine._may_fail):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("JAX_PLATFORMS", "nope", r"JAX_PLATFORMS=nope, and JAX finds no such device here .*'nope'.*unset JAX_PLATFORMS"),
        ("XLA_FLAGS", "--xla_nope=1", r"XLA_FLAGS=--xla_nope=1: this XLA does not know --xla_nope=1; remove it"),
        ("JAX_ENABLE_X64", "1", r"JAX_ENABLE_X64=1 sets double precision"),
        ("JAX_ENABLE_X64", "banana", r"^JAX does not start: invalid truth value 'banana' .*'JAX_ENABLE_X64'; set the variable to 0 or 1"),
    ],
)
def test_what_the_environment_asks_for_in_vain_is_one_sentence(name, value, sentence, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(MachineError, match=sentence) as caught:
        check_machine()
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def answered(monkeypatch, stderr: str, returncode: int = 1):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], returncode, "", stderr))


@pytest.mark.parametrize(
    ("platforms", "stderr", "sentence"),
    [
        ("cuda", "Traceback\n  File x\nAssertionError\n", r"^JAX_PLATFORMS=cuda, and JAX finds no such device here; install jax\[cuda13\]"),
        ("tpu", "RuntimeError: no libtpu.so (set JAX_PLATFORMS='' to)", r"here \(RuntimeError: no libtpu.so\); install jax\[tpu\]"),
        ("", "", r"^JAX does not start: exit code -11; install it again: .* -m pip install jax$"),
        ("", "ImportError: libcudart.so: no such file", r"^JAX does not start: ImportError: libcudart.so: no such file; "),
    ],
)
def test_the_fix_fits_the_reason(platforms, stderr, sentence, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    answered(monkeypatch, stderr, returncode=-11)
    with pytest.raises(MachineError, match=sentence):
        start_jax()


def test_where_nothing_is_asked_for_no_process_is_started(monkeypatch):
    for name in ("JAX_PLATFORMS", "JAX_ENABLE_X64", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("started a process"))
    check_machine()


@pytest.mark.parametrize("mode", ["train", "prepare", "evaluate", "search", "audit", "robustness"])
def test_machine_config_and_folds_are_checked_before_anything_is_prepared(mode, tmp_path, monkeypatch):
    """Each failure leaves neither a run directory nor a file of a prepared set."""

    def experiment(**changes) -> Experiment:
        config = demo.get_config("audio")
        config.workdir, config.prepared_dir, config.corpus.root = (str(tmp_path / name) for name in ("run", "prepared", "corpus"))
        for name, value in changes.items():
            config[name].update(value)
        return parse(config.to_dict())

    monkeypatch.setattr("data_prep.prepare_corpus.prepare_view", lambda **_: pytest.fail("prepares"))
    with pytest.raises(ValueError, match=r"devices\.feed"):
        getattr(api, mode)(experiment(devices={"feed": "nope"}))
    with monkeypatch.context() as broken, pytest.raises(MachineError, match="no device"):
        broken.setattr(preparing, "check_machine", lambda: (_ for _ in ()).throw(MachineError("no device")))
        getattr(api, mode)(experiment())
    assert list(tmp_path.iterdir()) == []
    if mode == "train":
        with open_run(tmp_path / "run", experiment()):
            pass
        with pytest.raises(ConfigMismatch, match=r"train\.num_epochs: stored"):
            api.train(experiment(train={"num_epochs": 2}))
        shutil.rmtree(tmp_path / "run")
    if mode in ("train", "prepare"):
        monkeypatch.setattr("data_prep.prepare_corpus.load_clips", lambda *_, **__: made_clips())
        with pytest.raises(ValueError, match="got num_folds=7 and 6 speakers"):
            getattr(api, mode)(experiment(protocol={"num_folds": 7}))
        assert not (tmp_path / "run").exists() and not list(tmp_path.rglob("*.partial"))


def made_clips():
    from avemo_jax.clips import Clip

    return tuple(
        Clip(clip_id=f"{speaker}_{emotion}", corpus="synthetic", audio="x.wav", speaker=str(speaker), label=emotion)
        for speaker in range(6)
        for emotion in ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    )


def test_packages_that_are_imported_after_hours_are_looked_for_first(monkeypatch):
    found = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("tensorboard", "statsmodels") else found(name))
    with pytest.raises(
        RuntimeError, match=r"statsmodels \(for .*tests\), tensorboard \(for train.*=True\); .*install statsmodels tensorboard"
    ):
        check_packages(Experiment(train=Train(tensorboard=True)))
    with pytest.raises(RuntimeError, match=r"not installed: statsmodels \(for its paired tests\); "):
        check_packages(Experiment(train=Train(tensorboard=False)))


def test_tensorflow_is_asked_for_where_it_is_used_and_everywhere_in_one_range(monkeypatch):
    found = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorflow" else found(name))
    check_packages(Experiment())
    with pytest.raises(RuntimeError, match=rf"tensorflow \(for devices.feed=stream\); .*pip install '{TENSORFLOW}'"):
        check_packages(Experiment(devices=Devices(feed="stream")))
    root = Path(__file__).resolve().parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["tensorflow"] == [TENSORFLOW]
    assert f"\n{TENSORFLOW} " in (root / "requirements-dev.txt").read_text()
    assert "\ntensorflow>" not in (root / "requirements.txt").read_text()
    vggish = with_fields(parse(demo.get_config("contextual_temporal:audio").to_dict()), {"encoders.vggish.weights": "published"})
    monkeypatch.setattr(encoder_weights, "weights_digest", lambda *_: "0" * 64)  # the file is there
    ((state, fix),) = encoder_weights.find_weights(vggish, {"logmel_patches": ((96, 64), "float32")}).values()
    assert state.endswith(f"is not installed: {TENSORFLOW}") and fix.endswith(f"pip install '{TENSORFLOW}'")
