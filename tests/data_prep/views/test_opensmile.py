"""openSMILE's functionals as views; the package is an extra, and stands in for itself where it is not installed."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from data_prep.doctor import doctor
from data_prep.views import make_view, opensmile


class Row:
    """What openSMILE returns: a table of one row."""

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


@pytest.fixture
def calls(monkeypatch):
    """Stand-in for the package; yields the arguments of its calls."""
    calls: list[tuple] = []

    class Smile:
        def __init__(self, *, feature_set, feature_level):
            self.num_features = {"eGeMAPSv02": 88, "ComParE_2016": 6373}[feature_set]
            assert feature_level == "func"

        def process_signal(self, samples, rate_hz):
            calls.append((len(samples), rate_hz))
            values = np.full((1, self.num_features), samples.mean())
            values[0, 0] = np.nan
            return Row(values)

    class Named(dict):
        def __getitem__(self, name):
            return name

    levels = types.SimpleNamespace(Functionals="func")
    monkeypatch.setitem(sys.modules, "opensmile", types.SimpleNamespace(Smile=Smile, FeatureSet=Named(), FeatureLevel=levels))
    opensmile.extractor_of.cache_clear()
    yield calls
    opensmile.extractor_of.cache_clear()


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    opensmile.extractor_of.cache_clear()


@pytest.mark.parametrize(("name", "num_features"), [("egemaps", 88), ("compare_2016", 6373)])
def test_a_segment_is_one_row_of_functionals(calls, name, num_features):
    view = make_view(name, sample_rate_hz=8000, segment_s=2.0)
    pieces = [np.full(16000, 0.5, np.float32), np.full(12000, 0.25, np.float32)]
    first, second = view.segments(iter(pieces))
    assert calls == [(16000, 8000), (12000, 8000)]
    assert first.values.shape == (1, num_features) == (1, *view.step_shape) and first.values.dtype == np.float32
    np.testing.assert_array_equal(first.values[0], [0, *[0.5] * (num_features - 1)])  # undefined is 0
    np.testing.assert_allclose([first.times_s[0], second.times_s[0]], [1.0, 2.75])


def test_a_sound_shorter_than_its_windows_is_padded(calls):
    (segment,) = make_view("egemaps").segments(iter([np.ones(1, np.float32)]))
    assert calls == [(4800, 16000)] and np.isfinite(segment.values).all()


def test_without_the_package_one_sentence_says_what_to_install(missing):
    with pytest.raises(ImportError, match=r'need openSMILE .*: pip install "opensmile>=2\.5,<3"\. .* Research License'):
        next(make_view("compare_2016").segments(iter([np.zeros(16000, np.float32)])))


def test_the_doctor_names_the_missing_package(missing):
    report, is_whole = doctor(views={"egemaps": {}})
    assert not is_whole and 'pip install "opensmile' in report


def test_the_doctor_states_the_licence(calls):
    report, _ = doctor(views={"compare_2016": {}, "functionals": {}})
    (line,) = [line for line in report.splitlines() if "view compare_2016" in line]
    assert "steps of (6373,), licence: audEERING Research License" in line
    assert report.count("licence: audEERING") == 1


@pytest.mark.long
@pytest.mark.parametrize(("name", "mean_f0"), [("egemaps", 12 * np.log2(200 / 27.5)), ("compare_2016", None)])
def test_the_package_itself(name, mean_f0):
    """With the extra installed: openSMILE's first eGeMAPS feature is the mean F0 in semitones above 27.5 Hz."""
    pytest.importorskip("opensmile", reason="the extra opensmile is not installed")
    times = np.arange(32000) / 16000
    tone = sum(0.5**n * np.sin(2 * np.pi * n * 200 * times) for n in range(1, 7)).astype(np.float32)
    opensmile.extractor_of.cache_clear()
    (segment,) = make_view(name).segments(iter([0.3 * tone]))
    assert segment.values.shape == (1, *make_view(name).step_shape) and np.isfinite(segment.values).all()
    if mean_f0 is not None:
        assert segment.values[0, 0] == pytest.approx(mean_f0, abs=0.2)
