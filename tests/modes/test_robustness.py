"""The robustness panel: the same trained systems on degraded clips; nothing is fitted again, and no clip is left out."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from made_sets import segment, write_set
from small_experiment import BOTH, EMOTIONS, THREE, small_clips, small_config

from avemo_jax.data.prepared import Damage, PreparedCorpus
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.modes import robustness
from avemo_jax.modes.robustness import conditions_of, measure_robustness
from avemo_jax.modes.train import train as train_grid

CONDITIONS = ("noise:20", "noise:0", "occlusion:0.3", "missing:*")


def config(tmp_path, **fields):
    return small_config(tmp_path / "run", **{"robustness__conditions": CONDITIONS, "train__stages": ("svm",)} | fields)


def corpus_of(directory, *, noise: float = 0.0, lost: bool = False) -> PreparedCorpus:
    """Sound depends on the emotion and on noise; the picture tells two pairs of emotions apart."""
    directory.mkdir()
    clips = small_clips(num_speakers=6)

    def sound(i):
        if lost and i == 0:
            return Damage("undecodable", "nothing is left of it")
        made = segment(6, 4, i)
        values = 0.1 * made.values + noise * np.random.default_rng(1000 + i).normal(size=(1, 4)).astype(np.float32)
        values[:, EMOTIONS.index(clips[i].label)] += 2
        return [dataclasses.replace(made, values=values)]

    def picture(i):
        made = segment(4, 4, 500 + i)
        values = 0.1 * made.values
        values[:, EMOTIONS.index(clips[i].label) // 2] += 2
        return [dataclasses.replace(made, values=values)]

    audio = write_set(directory, clips, sound, step_shape=(4,))
    video = write_set(directory, clips, picture, step_shape=(4,), modality="video")
    return PreparedCorpus(clips, {"audio": audio, "video": video}, audio, shared_media=())


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robust")
    return {
        "clean": corpus_of(folder / "clean"),
        "noise:20": corpus_of(folder / "mild", noise=0.3),
        "noise:0": corpus_of(folder / "hard", noise=6.0, lost=True),
    }


def only_audio(corpus):
    return dataclasses.replace(corpus, sets={"audio": corpus.sets["audio"]})


def test_the_classical_system_under_noise(corpora, tmp_path, capsys):
    own = config(tmp_path)
    clean = only_audio(dataclasses.replace(corpora["clean"], functionals=None))
    results = train_grid(own, clean)
    capsys.readouterr()
    asked = []

    def degraded(condition):
        asked.append(condition.text)
        return only_audio(dataclasses.replace(corpora[condition.text], functionals=None))

    panel = measure_robustness(own, clean, degraded)
    assert asked == ["noise:20", "noise:0"]
    assert panel["clean"]["metrics"]["uar"]["pooled"] == pytest.approx(results.metrics["uar"].pooled)
    mild, hard = panel["conditions"]
    assert (mild["kind"], mild["amount"], mild["unit"], mild["num_lost"]) == ("noise", 20.0, "dB", 0)
    # SVMs fitted on clean sound lose little with mild noise and much with loud noise, by the paired interval.
    assert mild["difference"]["uar"]["difference"] > -0.1 and hard["difference"]["uar"]["difference"] < -0.3
    assert hard["difference"]["uar"]["ci95"][1] < 0 and hard["num_lost"] == 1
    assert {one["condition"]: one["reason"] for one in panel["left_out"]} == {
        "occlusion 0.3 share": "no stream of the system uses video",
        "no audio": "audio is the only stream of the system",
    }
    assert json.loads((tmp_path / "run" / "robustness.json").read_text()) == panel
    text = capsys.readouterr().out
    assert "Robustness" in text and "noise 0 dB" in text
    page = (tmp_path / "run" / "report.html").read_text()
    assert '<h2 id="robustness">Robustness</h2>' in page and "white noise, dB" in page and "left out" in page
    assert (tmp_path / "run" / "tables" / "robustness.tex").is_file()
    # Changed conditions do not make it another run.
    other = config(tmp_path, robustness__conditions=("noise:20",))
    assert len(measure_robustness(other, clean, degraded)["conditions"]) == 1


@pytest.mark.slow
def test_networks_without_one_of_their_streams_and_the_baseline(corpora, tmp_path):
    own = config(
        tmp_path,
        system__streams=BOTH,
        train__stages=("fused",),
        train__num_epochs=15,
        train__learning_rate=0.02,
        train__dropout_rate=0.0,
        streams__audio__dense_units=(8,),
        streams__video__dense_units=(8,),
        fusion__batch_norm=False,
        protocol__baseline=True,
    )
    results = train_grid(own, corpora["clean"])
    panel = measure_robustness(own, corpora["clean"], lambda condition: corpora.get(condition.text, corpora["clean"]))
    by_name = {entry["condition"]: entry for entry in panel["conditions"]}
    assert list(by_name) == ["noise 20 dB", "noise 0 dB", "occlusion 0.3 share", "no audio", "no video"]
    assert panel["clean"]["metrics"]["uar"]["pooled"] == pytest.approx(results.metrics["uar"].pooled)
    # The undegraded corpus gives the clean results bit for bit, since the weights are those of the run.
    assert by_name["occlusion 0.3 share"]["difference"]["uar"]["difference"] == 0.0
    assert by_name["no audio"]["metrics"]["uar"]["pooled"] < panel["clean"]["metrics"]["uar"]["pooled"]
    assert by_name["no audio"]["num_lost"] == 48
    assert by_name["noise 0 dB"]["baseline"]["difference"]["uar"]["difference"] < -0.3 and by_name["no audio"]["baseline"] is None
    assert panel["clean"]["baseline"]["metrics"]["uar"]["pooled"] > 0.9


def test_a_missing_stream_is_named_or_stands_for_each_in_turn(tmp_path):
    three = config(tmp_path, system__streams=THREE, robustness__conditions=("noise:20", "missing:*", "missing:mouth"))
    assert [one.text for one in conditions_of(three)] == ["noise:20", "missing:audio", "missing:video", "missing:mouth", "missing:mouth"]
    with pytest.raises(ValueError, match=r"names 'missing:face', but the system has no stream 'face'; its streams: audio, video, mouth"):
        conditions_of(config(tmp_path, system__streams=THREE, robustness__conditions=("missing:face",)))
    with pytest.raises(ValueError, match=r"no stream 'video'; its streams: audio"):  # a stream that is defined and not in use
        conditions_of(config(tmp_path, robustness__conditions=("missing:video",)))


def test_a_run_that_has_not_finished_is_an_error(corpora, tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run"):
        measure_robustness(config(tmp_path), corpora["clean"], lambda condition: corpora["clean"])
    with pytest.raises(ValueError, match="expected one of noise:DB"):
        measure_robustness(config(tmp_path, robustness__conditions=("hiss:1",)), corpora["clean"], lambda condition: corpora["clean"])


def test_shorter_degraded_clips_are_padded_to_the_length_of_training(tmp_path):
    clips = small_clips(num_speakers=6)
    lengths = {"whole": 6, "short": 4}
    made = {}
    for name, num_steps in lengths.items():
        (tmp_path / name).mkdir()
        audio = write_set(tmp_path / name, clips, lambda i, num_steps=num_steps: [segment(num_steps, 4, i)], step_shape=(4,))
        made[name] = PreparedCorpus(clips, {"audio": audio}, audio, shared_media=())
    plan = make_plan(config(tmp_path), made["whole"])
    data = robustness._data_of(plan, made["short"])
    assert data.num_steps("audio") == plan.data.num_steps("audio") == 6
    assert data.load(np.arange(1))["audio_mask"].tolist() == [[True] * 4 + [False] * 2]
