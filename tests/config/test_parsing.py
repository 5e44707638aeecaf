"""The config's types: parsed from plain values and back, with every mistake named."""

import dataclasses
import json
import typing

import pytest

from avemo_jax.config import ConfigError, EncoderSettings, Experiment, OnnxSettings, Stream, parse, to_plain
from avemo_jax.config.listing import format_fields, list_changes, list_fields
from avemo_jax.described import described_fields
from configs import base, demo, systems
from data_prep.views import VIEWS


@pytest.mark.parametrize("system", list(systems.SYSTEMS))
def test_a_config_survives_json(system):
    experiment = parse(demo.get_config(system).to_dict())
    assert parse(json.loads(json.dumps(to_plain(experiment)))) == experiment


def test_the_default_config_dict_is_the_default_experiment():
    plain = base.get_config().to_dict()
    assert plain.pop("views") and plain.pop("encoders")
    assert parse(plain) == Experiment()
    assert parse({"streams": {"s": base.stream().to_dict()}}).streams["s"] == Stream()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"trian": {}}, "the config has no field trian; did you mean 'train'?"),
        ({"train": {"num_epoch": 3}}, "the config has no field train.num_epoch; did you mean 'num_epochs'?"),
        ({"train": {"num_epochs": "many"}}, "config.train.num_epochs: expected int, got 'many'"),
        ({"train": {"num_epochs": True}}, "config.train.num_epochs: expected int, got True"),
        ({"train": {"seeds": 3}}, "config.train.seeds: expected a tuple, got 3"),
        ({"train": {"seeds": [0, "one"]}}, r"config.train.seeds\[1\]: expected int, got 'one'"),
        ({"train": 3}, "config.train: expected a group of fields, got 3"),
        ({"streams": {"audio": {"veiw": "mfcc"}}}, "the config has no field streams.audio.veiw; did you mean 'view'?"),
        ({"streams": {"audio": {"augmentation": {"flip": 1}}}}, "config.streams.audio.augmentation.flip: expected bool, got 1"),
        (
            {"system": {"streams": ["audoi"]}, "streams": {"audio": {}}},
            "names 'audoi', .* defines the streams audio; did you mean 'audio'?",
        ),
    ],
)
def test_mistakes_are_named(tree, message):
    with pytest.raises(ConfigError, match=message):
        parse(tree)


def test_integers_are_accepted_for_floats_and_lists_for_tuples():
    experiment = parse({"train": {"learning_rate": 1, "seeds": [0, 1]}, "corpus": {"root": None}})
    assert experiment.train.learning_rate == 1.0 and type(experiment.train.learning_rate) is float
    assert experiment.train.seeds == (0, 1) and experiment.corpus.root is None


def groups(kind: type) -> list[type]:
    """Return a config type and all types below it."""
    inner = [hint for hint in typing.get_type_hints(kind).values() if dataclasses.is_dataclass(hint)]
    return [kind, *(group for one in inner for group in groups(one))]


@pytest.mark.parametrize("kind", [*groups(Experiment), *groups(Stream), EncoderSettings, OnnxSettings], ids=lambda kind: kind.__name__)
def test_every_field_is_described(kind):
    assert [field.name for field in described_fields(kind) if not field.text] == []


def test_help_lists_every_field_with_its_default():
    listed = {field.name: field.default for field in list_fields(VIEWS)}
    assert listed["train.num_epochs"] == 60 and listed["streams.<name>.pooling"] == "attention" and listed["views.mfcc.num_mels"] == 128
    assert listed["streams.<name>.augmentation.flip"] is False and listed["encoders.<name>.weights"] == "published"
    assert "  --config.train.num_epochs=60\n        epochs of each stage." in format_fields(list_fields(VIEWS))


def test_the_fields_that_a_config_sets_are_listed_with_their_values():
    experiment = parse(demo.get_config("audio").to_dict())
    changed = {field.name: field.default for field in list_changes(experiment, VIEWS)}
    assert changed["streams.audio.view"] == "mfcc" and changed["views.mfcc.num_coefficients"] == 20 and changed["train.batch_size"] == 16
    assert "train.momentum" not in changed and not any(name.startswith("views.faces") for name in changed)
