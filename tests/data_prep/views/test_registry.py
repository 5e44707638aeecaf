"""The registry of views: every parameter has a description, and reading the parameters imports no decoder."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from avemo_jax.described import described_fields
from data_prep.views import VIEWS, make_view

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("cv2", "librosa", "skimage", "scipy", "sklearn", "av", "soundfile", "tensorflow", "tensorflow_datasets", "jax")


@pytest.mark.parametrize("name", VIEWS)
def test_every_parameter_has_a_description(name):
    undescribed = [field.name for field in described_fields(VIEWS[name]) if len(field.text) < 10]
    assert not undescribed, f"describe them under Attributes: in the docstring of {VIEWS[name].__name__}"


def test_views_are_found_by_the_name_of_their_file():
    # Views that differ in one value.
    shared = {"egemaps": "opensmile", "compare_2016": "opensmile", "table_2": "table", "table_3": "table"}
    assert {name: view.__module__ for name, view in VIEWS.items()} == {name: f"data_prep.views.{shared.get(name, name)}" for name in VIEWS}


def test_configs_read_the_parameters_without_decoders():
    program = f"import sys, configs.base; configs.base.get_config(); print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_view_that_cannot_be_made_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown view 'mfccs'; did you mean 'mfcc'\?; known: .*mfcc"):
        make_view("mfccs")
    with pytest.raises(ValueError, match=r"view frames has no parameter rate; did you mean 'rate_fps'\?; it has: .*segment_s"):
        make_view("frames", rate=3)
    with pytest.raises(ValueError, match=r"view table needs path; set views\.table\.path"):
        make_view("table", path=None)


def test_a_new_view_is_one_class_and_one_entry(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Brightness:
        """Mean of each frame.

        Attributes:
          scale: factor on the mean.
        """

        scale: float = 2.0

        name = "brightness"

    monkeypatch.setitem(VIEWS, "brightness", Brightness)
    assert make_view("brightness", scale=3.0) == Brightness(3.0)
