"""What a machine lacks to run the systems of a config."""

from __future__ import annotations

import dataclasses

from avemo_jax.config import parse
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.wanted import places_of, what_is_missing
from configs import ravdess


def experiment(root, system="functionals_linear", **fields):
    made = parse(ravdess.get_config(system).to_dict())
    return dataclasses.replace(made, corpus=dataclasses.replace(made.corpus, root=str(root)), **fields)


def test_the_first_thing_that_is_missing_is_named(tmp_path):
    assert what_is_missing(experiment(tmp_path)) == "the corpus ravdess"
    assert what_is_missing(experiment("")) == "the corpus ravdess"
    folder = tmp_path / "Actor_01"
    folder.mkdir()
    (folder / "03-01-01-01-01-01-01.wav").write_bytes(b"")
    assert what_is_missing(experiment(tmp_path)) == ""
    assert what_is_missing(experiment(tmp_path, "gru_attention:video")) == "films"
    assert what_is_missing(experiment(tmp_path, "gru_attention_action_units")) == "a feature table (views.table.path)"


def test_absent_weights_are_named_without_tracing_the_network(tmp_path, monkeypatch):
    folder = tmp_path / "Actor_01"
    folder.mkdir()
    (folder / "03-01-01-01-01-01-01.wav").write_bytes(b"")
    monkeypatch.setattr(EncoderSpec, "variable_shapes", None)
    assert what_is_missing(experiment(tmp_path, "whisper_kernel", weights_dir=str(tmp_path))) == "weights of whisper_base"


def test_the_folder_of_a_run_with_a_table_is_taken(tmp_path):
    def config(root, table=""):
        return {"corpus": {"name": "ravdess", "root": str(root)}, "views": {"table": {"path": table}}}

    found = places_of([config(tmp_path), config(tmp_path, "units.csv"), config(tmp_path / "gone", "units.csv")])
    assert found["ravdess"]["views"]["table"]["path"] == "units.csv" and found["ravdess"]["corpus"]["root"] == str(tmp_path)
