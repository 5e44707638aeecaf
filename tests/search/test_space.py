"""Axes of a search as text: every form is parsed, every mistake is named."""

import pytest

from avemo_jax.config import SWEPT
from avemo_jax.search.space import BOUNDS, Axis, parse_space, split_values


def parse(*texts):
    return parse_space(texts, SWEPT)


def test_bounds_are_of_the_hyper_parameters():
    assert set(BOUNDS) == set(SWEPT)


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
        ("learning_rate=1e-2..1e-4", "lower end first"),
        ("learning_rate=0..1 log", "logarithmic range begins above 0"),
        ("learning_rate=a..b", "'a' is no number"),
        ("learning_rate=-1..1", "learning_rate is at least 0"),
        ("learning_rate=0.1..inf", "learning_rate is at least 0"),
        ("dropout_rate=0.1..1.0", "dropout_rate is at least 0 and below 1"),
        ("momentum=0.9|0.9", "a value twice"),
        ("learning_rat=1..2", "names 'learning_rat'; expected one of .*learning_rate"),
        ("train.learning_rate=1e-4..1e-2", r"without its group: learning_rate=1e-4\.\.1e-2"),
        ("train.batch_size=8..64", "has choices, 'field=a|b'; it has no range"),
        ("streams.audio.pooling=mean|", "has choices"),
        ("streams.audio.pooling=mean|mean", "a value twice"),
    ],
)
def test_every_mistake_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_an_axis_is_named_once():
    with pytest.raises(ValueError, match="names momentum twice"):
        parse("momentum=0.8|0.9", "momentum=0.1..0.2")


def test_a_field_is_checked_by_who_knows_the_config():
    def check(name, texts):
        raise ValueError(f"no {name} {texts}")

    with pytest.raises(ValueError, match=r"no model\.x \('1', '2'\)"):
        parse_space(["model.x=1|2"], SWEPT, check)
