"""Every config loads, locks and takes overrides from the command line, and every field is read somewhere."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict
from parsed_configs import leaves, parse

from avemo_jax.config import ONNX_ENCODERS, OnnxSettings
from avemo_jax.config.listing import list_fields
from avemo_jax.labels import LABEL_SETS
from avemo_jax.models.encoders import ENCODERS
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.protocols.rules import protocol_names
from configs import base, systems
from data_prep.corpora import CORPORA, corpus
from data_prep.views import VIEWS

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for path in (ROOT / "configs").glob("*.py") if path.stem not in ("__init__", "base"))


def experiments() -> Iterator[str]:
    """Yield the values of `--config=`: base.py, and every corpus file alone and with each of its SYSTEMS."""
    yield "configs/base.py"
    for path in FILES:
        name = str(path.relative_to(ROOT))
        yield name
        yield from (f"{name}:{system}" for system in getattr(importlib.import_module(f"configs.{path.stem}"), "SYSTEMS", ()))


def overridden() -> Iterator[str]:
    """Yield every corpus file and every system once, because all pairs would check the same fields again and take minutes."""
    yield "configs/base.py"
    for path in FILES:
        yield str(path.relative_to(ROOT))
    yield from (f"configs/demo.py:{system}" for system in importlib.import_module("configs.demo").SYSTEMS)


def changed(value: Any, kind: type) -> Any:
    """Return another value of the same type."""
    if kind is bool:
        return not value
    if kind is int:
        return value + 1
    if kind is float:
        return value + 0.25
    if kind is tuple:
        return (*value, changed(value[-1], type(value[-1]))) if value else (0.001, 0.003)
    assert kind is str, f"a field of type {kind} cannot be changed on the command line"
    return f"{value or '/data'}_changed"


def look_up(config: ConfigDict, name: str) -> Any:
    for part in name.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize("experiment", list(overridden()))
def test_experiment_loads_and_takes_every_override(experiment):
    before = parse(experiment)
    assert before.is_locked
    wanted = {name: changed(value, kind) for name, value, kind in leaves(before)}
    after = parse(experiment, *(f"--config.{name}={value}" for name, value in wanted.items()))
    assert {name: look_up(after, name) for name in wanted} == wanted


@pytest.mark.parametrize("experiment", list(experiments()))
def test_experiment_has_the_fields_of_base_and_streams(experiment):
    config = parse(experiment)
    found = {name: kind for name, _, kind in leaves(config) if not name.startswith("streams.")}
    assert found == {name: kind for name, _, kind in leaves(base.get_config())}
    expected = {name: kind for name, _, kind in leaves(base.stream())}
    for stream in config.streams.values():
        assert {name: kind for name, _, kind in leaves(stream)} == expected


def test_an_unknown_field_is_refused_by_name():
    with pytest.raises(Exception, match="num_epoch"):
        parse("configs/base.py", "--config.train.num_epoch=3")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header_states_what_the_experiment_reproduces(path):
    header = (ast.get_docstring(ast.parse(path.read_text())) or "").lower()
    missing = [word for word in ("protocol", "python run.py", f"configs/{path.name}") if word not in header]
    assert not missing, f"the header of {path.name} lacks {missing}"


def test_encoders_are_those_of_the_networks():
    encoders = base.get_config().encoders
    assert set(encoders) == {*ENCODERS, *ONNX_ENCODERS}
    fields = {field.name for field in dataclasses.fields(EncoderSpec)} - {"name", "lora_rank"}  # the rank is a stream's
    assert all(set(encoders[name]) == fields | {"weights", "leave_out"} for name in ENCODERS)
    assert all(set(encoders[name]) == {field.name for field in dataclasses.fields(OnnxSettings)} for name in ONNX_ENCODERS)


def test_views_have_the_parameters_and_defaults_of_their_classes():
    views = base.get_config().views
    assert set(views) == set(VIEWS)
    for name, view in VIEWS.items():
        assert set(views[name]) == {field.name for field in dataclasses.fields(view)}, name
        if not name.startswith("table"):  # needs a path
            assert view(**views[name]) == view(), name
    views.faces.detector_path = "net.onnx"  # None in the class, so a placeholder of the parameter's type
    with pytest.raises(TypeError):
        views.keyframes.detector_path = 3


def test_every_corpus_has_a_config():
    assert {path.stem for path in FILES} == set(CORPORA) - {"synthetic"} | {"demo", "mixed_images", "ravdess_savee", "ravdess_tess"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_config_has_the_modalities_of_its_corpus(path):
    module = importlib.import_module(f"configs.{path.stem}")
    has = getattr(module, "HAS", systems.FILM)
    found = corpus(module.get_config().corpus.name).MODALITIES
    assert set(has) == set(found) | ({"still"} if "video" in found else set())
    assert set(systems.fitting(has)) <= set(module.SYSTEMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_labels_and_protocol_of_a_config_exist(path):
    config = importlib.import_module(f"configs.{path.stem}").get_config()
    assert config.corpus.label_set in LABEL_SETS
    assert config.corpus.label_target in corpus(config.corpus.name).LABEL_TARGETS
    names = config.corpus.name.split("+")
    assert config.protocol.name in protocol_names("+".join(sorted(names)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_error_of_an_unfit_system_names_the_missing_stream_and_systems_that_fit(path):
    module = importlib.import_module(f"configs.{path.stem}")
    impossible = sorted(set(systems.SYSTEMS) - set(module.SYSTEMS))
    assert impossible or getattr(module, "HAS", systems.FILM) == systems.FILM
    for system in impossible:
        with pytest.raises(ValueError, match=rf"system {system} needs .*, and .* and no .*; systems that fit it: {module.SYSTEMS[0]}"):
            module.get_config(system)


def test_the_full_error_of_an_unfit_system():
    with pytest.raises(ValueError) as error:
        importlib.import_module("configs.jaffe").get_config("stacking")
    start = (
        "system stacking needs sound and moving pictures, and jaffe has pictures and no sound and moving pictures; systems that fit it: "
    )
    assert str(error.value).startswith(f"{start}image_cnn, image_cnn:jaffe, ")


def test_every_option_of_a_corpus_is_a_field():
    options = {option for module in CORPORA.values() for option in module.OPTIONS}
    of_all = {"name", "root", "label_set", "label_target", "dimensions", "dimension_bounds"}
    assert options | of_all == set(base.get_config().corpus)


def attributes_read_by(rooms: tuple[str, ...]) -> set[str]:
    """Return the names of all attributes that the code of some rooms reads, directly or by a string."""
    names: set[str] = set()
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Constant(value=str(name)):
                    names.add(name)
    return names


def test_every_field_is_read_somewhere():
    read = attributes_read_by(("avemo_jax", "data_prep"))
    fields = [field.name for field in list_fields(VIEWS)]
    # Speech activity receives its parameters by their names without the prefix.
    unread = [name for name in fields if not {name.split(".")[-1], name.split(".")[-1].removeprefix("speech_")} & read]
    assert not unread, f"nothing reads {unread}; delete the field or the reason it has none"


def test_help_lists_the_flags():
    done = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    text = done.stdout + done.stderr
    for word in ("--config", "--mode", "--input", "doctor"):
        assert word in text, text
