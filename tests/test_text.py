from __future__ import annotations

import pytest

from avemo_jax import text


def test_numbers_by_hand():
    assert text.format_percent(0.6149) == "61.5"
    assert text.format_interval(0.615, (0.58, 0.6494)) == "61.5 [58.0, 64.9]" and text.format_interval(0.615, None) == "61.5"
    assert text.format_interval(1.23456, (1.0, 2.0), factor=1, digits=3) == "1.235 [1.000, 2.000]"
    assert text.format_difference(0.034, [-0.002, 0.07]) == "+3.4 [-0.2, +7.0]"
    assert text.format_mean(0.5914, 0.008) == "59.1 ± 0.8" and text.format_mean(0.5914, None) == "59.1"
    assert (text.format_p_value(0.0004), text.format_p_value(0.0234)) == ("<0.001", "0.023")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0.0 s"), (3.24, "3.2 s"), (59.6, "1 min 0 s"), (44.6, "45 s"), (754.2, "12 min 34 s"), (3600, "1 h 0 min"), (3929, "1 h 5 min")],
)
def test_durations_by_hand(seconds, expected):
    assert text.format_duration(seconds) == expected


def test_lists_and_counts_by_hand():
    assert text.shorten_list(["a", "b", "c"], 2) == "a, b and 1 more" and text.shorten_list(["a", "b"], 2) == "a, b"
    assert (text.count_of(1, "fold"), text.count_of(0, "fold")) == ("1 fold", "0 folds")
    assert (text.count_of(1, "process"), text.count_of(2, "process")) == ("1 process", "2 processes")
    assert (text.format_range([4, 3, 5]), text.format_range(iter([4, 4]))) == ("3 to 5", "4")
    assert (text.shorten("abcdef", 4), text.shorten("abcd", 4)) == ("abc…", "abcd")


def test_columns_are_padded_to_one_width():
    assert text.align_columns([["a", "10"], ["bcd", "5"]], ["left", "right"]) == ["a    10", "bcd   5"]
