"""Preparing on Apache Beam gives the bytes that workers here give."""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest
import soundfile

from avemo_jax.clips import Clip
from data_prep.sets import shards
from data_prep.sets.on_beam import Beam, beam_of
from data_prep.sets.prepare import prepare_view


def test_a_config_that_names_no_runner_uses_none():
    assert beam_of("", ()) is None
    assert beam_of("DirectRunner", ["--a=1"]) == Beam("DirectRunner", ("--a=1",))
    with pytest.raises(ValueError, match=r"config\.beam_options is for a config.beam_runner"):
        beam_of("", ("--a=1",))


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is not None, reason="Apache Beam is installed")
def test_beam_that_is_not_installed_is_asked_for_by_its_command():
    with pytest.raises(ImportError, match=r'pip install "apache-beam'):
        Beam("DirectRunner").stage([])


def test_beam_gives_the_same_bytes(tmp_path, monkeypatch):
    pytest.importorskip("apache_beam")
    monkeypatch.setattr(shards, "_LARGEST_BYTES", 1)
    clips = []
    for number in range(4):
        sound = np.random.default_rng(number).normal(scale=0.1, size=8000 + 900 * number)
        soundfile.write(tmp_path / f"{number}.wav", sound, 16000)
        clips.append(Clip(clip_id=f"c{number}", corpus="made", label="happy", speaker="s", audio=f"{number}.wav"))
    clips.append(dataclasses.replace(clips[0], clip_id="lost", audio="nowhere.wav"))
    sets = {}
    for name, beam in (("here", None), ("beam", Beam("DirectRunner"))):
        sets[name] = prepare_view(
            corpus="made",
            root=tmp_path,
            clips=clips,
            view_name="mfcc",
            view_params={},
            prepared_dir=tmp_path / name,
            num_workers=1,
            beam=beam,
        )
    here, there = ({path.name: path.read_bytes() for path in one.directory.iterdir()} for one in sets.values())
    assert here == there and sum("array_record" in name for name in here) == 4
    assert list(sets["beam"].damage) == ["lost"]
