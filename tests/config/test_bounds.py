"""The numbers of a config: each has bounds beside its field, and a number out of bounds is refused before any work."""

import dataclasses
import math
import typing

import pytest

from avemo_jax.bounds import Bounds, bounds_of, check_bounds
from avemo_jax.config import ConfigError, EncoderSettings, Experiment, OnnxSettings, Stream, parse
from avemo_jax.config.overrides import parse_value, with_fields
from avemo_jax.experiment.grid_plan import check_experiment
from configs import demo
from data_prep.views import VIEWS, make_view

EXPERIMENT = parse(demo.get_config("audio_video").to_dict())
NUMBERS = (int, float, tuple[int, ...], tuple[float, ...])


def groups(kind: type) -> list[type]:
    """Return a config type and all types below it."""
    inner = [hint for hint in typing.get_type_hints(kind).values() if dataclasses.is_dataclass(hint)]
    return [kind, *(group for one in inner for group in groups(one))]


@pytest.mark.parametrize(
    "kind", [*groups(Experiment), *groups(Stream), EncoderSettings, OnnxSettings, *VIEWS.values()], ids=lambda kind: kind.__name__
)
def test_every_number_has_bounds_and_its_default_is_within(kind):
    hints = typing.get_type_hints(kind)
    numbers = {field.name: field.default for field in dataclasses.fields(kind) if hints[field.name] in NUMBERS}
    assert set(numbers) == set(bounds_of(kind))
    check_bounds(kind, numbers)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.learning_rate", -1.0, r"config\.train\.learning_rate must be above 0 and at most 1000, got -1\.0"),
        ("train.learning_rate", 1e30, "learning_rate must be above 0 and at most 1000"),
        ("train.learning_rate", math.nan, "learning_rate"),
        ("train.clip_norm", -1.0, "clip_norm must be above 0"),
        ("train.weight_decay", -1.0, "weight_decay must be at least 0"),
        ("train.label_smoothing", 2.0, "label_smoothing must be at least 0 and below 1"),
        ("train.num_epochs", 0, "num_epochs must be at least 1"),
        ("train.seeds", (0, -1), r"seeds must be at least 0 .* got \(0, -1\)"),
        ("protocol.num_folds", 2, "num_folds must be at least 3"),
        ("sweep.learning_rate", (1e-3, 1e30), r"config\.sweep\.learning_rate"),
        ("streams.audio.context_units", (-4,), r"config\.streams\.audio\.context_units must be at least 1"),
        ("streams.audio.augmentation.max_shift", 2.0, r"config\.streams\.audio\.augmentation\.max_shift must be at least 0 and at most 1"),
        ("search.num_settings", 0, "num_settings must be at least 1"),
    ],
)
def test_a_number_out_of_bounds_is_refused_before_work(name, value, message):
    with pytest.raises(ConfigError, match=message):
        check_experiment(with_fields(EXPERIMENT, {name: value}))


@pytest.mark.parametrize("name", ["train.overrides", "sweep.fields", "search.space"])
def test_numbers_in_texts_have_the_bounds_of_their_field(name):
    text = {
        "train.overrides": "audio:train.num_epochs=0",
        "sweep.fields": "streams.audio.num_cepstra=1|-1",
        "search.space": "weight_decay=-1..1",
    }
    with pytest.raises(ValueError, match=r"num_epochs must|num_cepstra must|weight_decay must"):
        check_experiment(with_fields(EXPERIMENT, {name: (text[name],)}))
    with pytest.raises(ValueError, match=r"config\.train\.clip_norm must be above 0"):
        parse_value(EXPERIMENT, "train.clip_norm", "0")


@pytest.mark.parametrize(("view", "name"), [(view, name) for view, kind in VIEWS.items() for name in bounds_of(kind)])
def test_a_view_refuses_numbers_out_of_bounds_before_they_are_used(view, name):
    needed = {"path": "absent.csv"} if view.startswith("table") else {}
    for value in (-1, math.inf):
        with pytest.raises(ValueError, match=rf"config\.views\.{view}\.{name} must be .*, got {value}; set --config"):
            make_view(view, **needed, **{name: value})


def test_segments_have_a_length():
    with pytest.raises(ValueError, match=r"config\.views\.mfcc\.segment_s must be at least 0\.02"):
        make_view("mfcc", segment_s=0.0)


def test_bounds_are_said_in_words():
    assert str(Bounds(above=0, most=1000)) == "above 0 and at most 1000"
    assert str(Bounds(least=0, below=1)) == "at least 0 and below 1"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.optimizer", "adamx", "did you mean 'adamax'"),
        ("train.schedule", "cosin", "did you mean 'cosine'"),
        ("protocol.name", "speaker_kk", "did you mean 'speaker_k'"),
        ("protocol.metric", "uarr", "did you mean 'uar'"),
        ("streams.audio.pooling", "men", "did you mean 'mean'"),
        ("corpus.label_set", "ravdes8", "did you mean 'ravdess8'"),
        ("late.rule", "logistics", "late.rule"),
        ("devices.execution", "scan", "devices.execution"),
        ("protocol.allow_leaks", ("near_duplicates",), "protocol.allow_leaks"),
        ("train.seeds", (), "train.seeds"),
    ],
)
def test_an_unknown_name_is_refused_before_work(name, value, message):
    with pytest.raises(ValueError, match=message):
        check_experiment(with_fields(EXPERIMENT, {name: value}))
