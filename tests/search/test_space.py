"""The texts of `config.search.space`: every form is parsed, and errors name the mistake."""

import pytest

from avemo_jax.config import swept_bounds
from avemo_jax.search.space import Axis, parse_space, split_values


def parse(*texts):
    return parse_space(texts, swept_bounds())


def test_every_form_is_parsed():
    assert parse("learning_rate=1e-4..1e-2 log", " dropout_rate = 0.1..0.6", "momentum=0.8|0.9", "streams.audio.pooling=mean | last") == (
        Axis("learning_rate", 1e-4, 1e-2, log=True),
        Axis("dropout_rate", 0.1, 0.6),
        Axis("momentum", choices=(0.8, 0.9)),
        Axis("streams.audio.pooling", choices=("mean", "last")),
    )
    assert parse() == ()


def test_a_setting_is_divided_into_numbers_and_fields():
    axes = parse("momentum=0.8|0.9", "streams.audio.pooling=mean|last")
    assert split_values(axes, {"momentum": 0.9, "streams.audio.pooling": "last"}) == ({"momentum": 0.9}, {"streams.audio.pooling": "last"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", r"'learning_rate'; expected 'name=low\.\.high'"),
        ("learning_rate=", "expected 'name="),
        ("learning_rate=0.1", "expected 'name="),
        ("learning_rate=1e-4..1e-2 linear", "expected 'name="),
        ("learning_rate=1e-2..1e-4", "a lower end below the upper end"),
        ("weight_decay=0..1 log", "logarithmic range must begin above 0"),
        ("learning_rate=a..b", "'a' is no number"),
        ("learning_rate=-1..1", "learning_rate must be above 0 and at most 1000"),
        ("learning_rate=0.1..inf", "learning_rate must be above 0 and at most 1000"),
        ("dropout_rate=0.1..1.0", "dropout_rate must be at least 0 and below 1"),
        ("momentum=0.9|0.9", "repeats a value"),
        ("learning_rat=1..2", "names 'learning_rat'; expected one of .*learning_rate"),
        ("train.learning_rate=1e-4..1e-2", r"without 'train\.': learning_rate=1e-4\.\.1e-2"),
        ("train.batch_size=8..64", "needs choices, 'field=a|b', not a range"),
        ("streams.audio.pooling=mean|", "needs choices"),
        ("streams.audio.pooling=mean|mean", "repeats a value"),
    ],
)
def test_every_mistake_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_a_repeated_axis_is_refused():
    with pytest.raises(ValueError, match="names momentum twice"):
        parse("momentum=0.8|0.9", "momentum=0.1..0.2")


def test_check_field_is_called_for_config_fields():
    def check(name, texts):
        raise ValueError(f"no {name} {texts}")

    with pytest.raises(ValueError, match=r"no fusion\.x \('1', '2'\)"):
        parse_space(["fusion.x=1|2"], swept_bounds(), check)
