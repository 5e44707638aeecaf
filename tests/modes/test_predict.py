"""A finished run predicts media files as it predicted its test clips, and reports those that it cannot read."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest
import soundfile
from small_experiment import small_config

from avemo_jax.config import Experiment
from avemo_jax.config.overrides import with_fields
from avemo_jax.modes.export import export
from avemo_jax.modes.predict import predict
from avemo_jax.modes.stored import stored_experiment
from avemo_jax.modes.train import train as train_grid
from avemo_jax.runs.run_directory import ConfigMismatch
from data_prep.corpora.ravdess import clip_id
from data_prep.live import LiveViews
from data_prep.prepare_corpus import prepare_corpus
from data_prep.views import make_view

pytestmark = pytest.mark.slow
RATE_HZ = 16000


def voice(actor: int, emotion: int, take: int, duration_s: float) -> np.ndarray:
    """Return a noisy tone with a pitch that depends on the emotion, and a little on the actor."""
    rng = np.random.default_rng([actor, emotion, take])
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return 0.3 * np.sin(2 * np.pi * (150 + 200 * emotion + 5 * actor) * time_s) + 0.02 * rng.normal(size=len(time_s))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Experiment:
    """The experiment of a run of two epochs on wav files in RAVDESS's layout, one of them cut into segments."""
    folder = tmp_path_factory.mktemp("predict")
    for actor in range(1, 5):
        (folder / "corpus" / f"Actor_{actor:02d}").mkdir(parents=True)
        for emotion in (1, 3, 5):
            for take in (1, 2):
                path = folder / "corpus" / f"Actor_{actor:02d}" / f"03-01-{emotion:02d}-01-01-{take:02d}-{actor:02d}.wav"
                soundfile.write(path, voice(actor, emotion, take, 1.0 + 0.7 * take), RATE_HZ)
    experiment = small_config(
        folder / "run",
        corpus__name="ravdess",
        corpus__label_set="ravdess8",
        corpus__root=str(folder / "corpus"),
        protocol__name="holdout_50_25_25",
        views__mfcc__sample_rate_hz=RATE_HZ,
        views__mfcc__segment_s=1.3,
        streams__audio__context="gru",
        streams__audio__context_units=(6,),
        streams__audio__dense_units=(6,),
        streams__audio__pooling="attention",
        train__batch_size=32,
        train__learning_rate=1e-3,
    )
    prepared = prepare_corpus(
        "ravdess",
        experiment.corpus.root,
        label_target="acted",
        label_set=experiment.corpus.label_set,
        options=dataclasses.asdict(experiment.corpus),
        views={"audio": ("mfcc", experiment.views["mfcc"])},
        prepared_dir=experiment.prepared_dir,
        num_workers=1,
    )
    train_grid(experiment, prepared)
    return experiment


def live(experiment: Experiment) -> LiveViews:
    return LiveViews({"mfcc": ("mfcc", experiment.views["mfcc"])})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_test_clips_are_predicted_as_in_predictions_csv(trained, tmp_path, capsys):
    workdir, root = trained.run_directory, Path(trained.corpus.root)
    expected = rows(workdir / "predictions.csv")
    file_of = {clip_id(path.stem): str(path) for path in root.rglob("*.wav")}
    files = [file_of[row["clip"]] for row in expected]
    predict(trained, files, live(trained), output=tmp_path)
    found = [row for row in rows(tmp_path / "predictions.csv") if row["segment"] == ""]
    assert [row["file"] for row in found] == files and [row["predicted"] for row in found] == [row["predicted"] for row in expected]
    names = [name for name in expected[0] if name.startswith("p_")]
    values = [[[float(row[name]) for name in names] for row in table] for table in (found, expected)]
    np.testing.assert_allclose(*values, atol=2e-6)
    assert np.ptp(values[0], axis=0).max() > 1e-3
    assert f"1 model predicted {len(files)} of {len(files)} files" in capsys.readouterr().out


def test_a_model_folder_predicts_without_the_run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [str(path) for path in sorted(Path(trained.corpus.root).rglob("*.wav"))[:6]]
    predict(trained, files, live(trained), output=tmp_path / "own")
    source = live(trained)
    described = export(
        trained,
        source.views,
        tmp_path / "model",
        modalities={"mfcc": "audio"},
        segment_s=source.segment_s,
        programs=("stablehlo",),
        arithmetic={"mfcc": make_view("mfcc", **trained.views["mfcc"]).arithmetic()},
    )
    assert set(described["sha256"]) == {path.name for path in (tmp_path / "model").iterdir()} - {"model.json"}
    shutil.copytree(tmp_path / "model", tmp_path / "moved")
    moved = stored_experiment(str(tmp_path / "moved"), {})
    predict(moved, files, live(moved))
    names = ("p_neutral", "p_happy", "p_angry")
    found, expected = (rows(path / "predictions.csv") for path in (tmp_path / "runs" / "predict-moved", tmp_path / "own"))
    values = [[[float(row[name]) for name in names] for row in table] for table in (found, expected)]
    np.testing.assert_allclose(*values, atol=1e-5)
    program = jax.export.deserialize((tmp_path / "model" / "network_from_sound.stablehlo").read_bytes())
    samples, mask = np.zeros((len(files), 2 * RATE_HZ), np.float32), np.zeros((len(files), 2 * RATE_HZ), bool)
    for row, file in enumerate(files):
        first = soundfile.read(file, dtype="float32")[0][: round(1.3 * RATE_HZ)]
        samples[row, : len(first)], mask[row, : len(first)] = first, True
    length = program.in_avals[0].shape[1]  # of the longest training clip
    expected = [[float(row[name]) for name in names] for row in rows(tmp_path / "own" / "predictions.csv") if row["segment"] == "0"]
    from_sound = program.call({"audio": samples[:, :length], "audio_mask": mask[:, :length]})
    of_names = [list(described["classes"]).index(name.removeprefix("p_")) for name in names]
    np.testing.assert_allclose(from_sound[:, of_names], expected, atol=2e-5)
    card = (tmp_path / "model" / "README.md").read_text()
    for text in (
        "CC BY-NC-SA 4.0",
        "holdout_50_25_25",
        "| chance | pooled |",
        "network.stablehlo",
        "network_from_sound.stablehlo: the same with the views of sound inside",
        "Do not decide about people",
        "not inside",
    ):
        assert text in card
    assert str(Path(trained.corpus.root).parent) not in card


def test_json_has_segments_timeline_and_problems(trained, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.concatenate([voice(1, 1, 1, 2.6), voice(1, 5, 1, 2.6)]), RATE_HZ)
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    files = [str(tmp_path / name) for name in ("long.wav", "broken.mp4", "silent.wav")]
    predict(trained, files, live(trained), output=tmp_path)
    content = json.loads((tmp_path / "predictions.json").read_text())
    long, broken, silent = content["files"]
    assert [(one["start_s"], one["end_s"]) for one in long["segments"][:3]] == [(0, 1.3), (1.3, 2.6), (2.6, 3.9)]
    assert long["segments"][-1]["end_s"] == pytest.approx(5.2, abs=0.1)
    mean = np.mean([one["probabilities"]["happy"] for one in long["segments"]])
    assert long["probabilities"]["happy"] == pytest.approx(mean, abs=2e-6)
    assert long["timeline"][0]["start_s"] == 0 and long["timeline"][-1]["end_s"] == long["segments"][-1]["end_s"]
    assert broken["predicted"] is None and broken["problems"][0]["kind"] == "undecodable"
    assert silent["predicted"] is None and silent["problems"][0]["kind"] == "silent"
    assert silent["timeline"] == [{"start_s": 0, "end_s": pytest.approx(1, abs=0.1), "label": "silence", "probability": None}]
    assert [row["file"] for row in rows(tmp_path / "predictions.csv") if row["problem"] and row["segment"] == ""] == files[1:]


def test_shorter_segments_are_the_only_allowed_difference_from_training(trained, tmp_path):
    finer = with_fields(trained, {"views.mfcc.segment_s": 1.1})
    files = [str(next(Path(trained.corpus.root).rglob("*-02-01.wav")))]
    found = predict(finer, files, live(finer), output=tmp_path)
    assert [one.start_s for one in found[0].segments] == [0, 1.1]  # the clip has 2.4 s; the rest of 0.2 s is too short
    other = with_fields(finer, {"views.mfcc.num_coefficients": 14})
    with pytest.raises(ConfigMismatch, match=r"views.mfcc.num_coefficients: stored 13, given 14"):
        predict(other, files, live(other))


def test_windows_give_a_curve_of_which_the_first_hop_is_the_first_window(trained, tmp_path):
    sound = np.concatenate([voice(1, 1, 1, 1.5), voice(1, 5, 1, 1.5)])
    for name, samples in (("long", sound), ("first", sound[:RATE_HZ])):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE_HZ)
    views = LiveViews({"mfcc": ("mfcc", trained.views["mfcc"])}, window=(1.0, 0.5))
    files = [str(tmp_path / f"{name}.wav") for name in ("long", "first")]
    long, first = predict(trained, files, views, output=tmp_path / "out", formats=("json",))
    assert [one.start_s for one in long.segments] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert [one.start_s for one in first.segments] == [0, 0.5]
    np.testing.assert_allclose(long.segments[0].probabilities, first.segments[0].probabilities, atol=1e-6)
    assert np.abs(long.segments[1].probabilities - first.segments[0].probabilities).max() > 1e-6, "the windows of a hop are averaged"
    content = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (content["window_s"], content["hop_s"]) == (1.0, 0.5) and long.trained_on == content["trained_on"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.json"]


def test_missing_files_and_missing_runs_are_errors(trained, tmp_path):
    with pytest.raises(ValueError, match="--input="):
        predict(trained, [], live(trained))
    with pytest.raises(FileNotFoundError, match="train it first"):
        predict(with_fields(trained, {"workdir": str(tmp_path)}), ["a.wav"], live(trained))


def test_a_call_that_is_stopped_keeps_what_it_has_predicted(trained, tmp_path, capsys):
    """Ctrl-C in the third of three files; the two before are in both result files."""

    class Interrupted(LiveViews):
        def open(self, path, *args, **kwargs):
            if path.name == "third.wav":
                raise KeyboardInterrupt
            return super().open(path, *args, **kwargs)

    files = [tmp_path / f"{name}.wav" for name in ("first", "second", "third")]
    for file in files:
        soundfile.write(file, voice(9, 3, 1, 1.5), RATE_HZ)
    source = Interrupted({"mfcc": ("mfcc", trained.views["mfcc"])})
    with pytest.raises(KeyboardInterrupt):
        predict(trained, [str(file) for file in files], source, output=tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [Path(one["file"]).name for one in stored["files"]] == ["first.wav", "second.wav"]
    assert {Path(row["file"]).name for row in rows(tmp_path / "out" / "predictions.csv")} == {"first.wav", "second.wav"}
    assert "2 of 3 files were predicted before the end" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="name another folder with --output"):
        predict(trained, [str(files[0])], live(trained), output=tmp_path / "out")
