"""The audit of a run: clean plans pass, bugs injected into the engine and its results are found, and leaks stop the run."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from made_sets import segment, spanning_pictures, write_set
from small_experiment import BOTH, EMOTIONS, small_clips, small_config

from avemo_jax.clips import SharedMedia
from avemo_jax.data.prepared import Damage, PreparedCorpus
from avemo_jax.evaluation.predictions import write_predictions_csv
from avemo_jax.experiment import baseline, fit_probes
from avemo_jax.experiment.audit import audit, audit_results, encoder_uses, stack_uses
from avemo_jax.experiment.encoder_table import encoder_table
from avemo_jax.experiment.fit_probes import late_fits, plan_fits
from avemo_jax.experiment.grid_plan import GridPlan, make_plan
from avemo_jax.experiment.measuring import run_hashes
from avemo_jax.experiment.outcomes import fit_late
from avemo_jax.experiment.predictions import to_predictions
from avemo_jax.feature_columns import TableColumns
from avemo_jax.models.encoders import find_encoder
from avemo_jax.modes.audit import audit_run
from avemo_jax.modes.train import train as train_grid
from avemo_jax.pretrained.assets import File, sha256_of
from avemo_jax.protocols.audit.findings import refuse
from avemo_jax.protocols.folds import LeakError
from avemo_jax.reporting.encoders_table import encoders_table
from avemo_jax.runs.run_directory import open_run
from avemo_jax.training.scaler import fit_scaler
from data_prep.views.segments import ViewSegment

LATE = {"system__streams": BOTH, "train__stages": (*BOTH, "late")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Eight speakers, sound and picture; one clip has no picture."""
    clips = small_clips(num_speakers=8)

    def segments_of(i):
        return [segment(5, 3, i, offset=float(EMOTIONS.index(clips[i].label)))]

    directory = tmp_path_factory.mktemp("audit")
    audio = write_set(directory, clips, segments_of, step_shape=(3,))
    no_face = Damage("no_video", "no picture")
    video = write_set(directory, clips, lambda i: no_face if i == 5 else segments_of(i), step_shape=(3,), modality="video")
    return PreparedCorpus(clips, {"audio": audio, "video": video}, audio, shared_media=())


def plan_of(prepared, **fields):
    experiment = small_config(**fields)
    sets = {stream: prepared.sets[stream] for stream in experiment.system.streams}
    return make_plan(experiment, dataclasses.replace(prepared, sets=sets))


def names(findings):
    return [finding.name for finding in findings]


def test_a_clean_plan_has_no_findings(prepared):
    alone = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]})
    assert audit(plan_of(prepared), alone) == []


def test_a_corpus_without_some_of_its_speakers_is_refused_unless_that_is_allowed_and_then_flagged(prepared):
    rml = tuple(dataclasses.replace(clip, corpus="rml") for clip in prepared.clips)  # speakers s0 to s7, where RML has 1 to 8
    corpus = dataclasses.replace(prepared, clips=rml, sets={"audio": prepared.sets["audio"]})
    with pytest.raises(ValueError, match=r"missing: 8; extra: 0\)"):
        plan_of(corpus, protocol__name="loso")
    plan = plan_of(corpus, protocol__name="loso", protocol__allow_leaks=("groups_differ",))
    (finding,) = [finding for finding in audit(plan, corpus) if finding.name == "groups_differ"]
    assert finding.allowed_by == "protocol.allow_leaks" and finding.is_flagged and finding.examples == ("8", "0")


def test_leaks_are_flagged_and_information_is_not(prepared):
    plan = plan_of(prepared, **LATE, protocol__name="random_k", protocol__select="test")
    findings = audit(plan, dataclasses.replace(prepared, shared_media=None))
    assert names(findings) == ["speaker_in_two_parts", "selected_on_test", "clips_lost", "media_not_compared"]
    assert findings[0].allowed_by == "protocol random_k"
    assert [finding.is_flagged for finding in findings] == [True, True, False, False]
    refuse(findings)


def test_a_duplicate_recording_stops_the_run_unless_allowed(prepared, tmp_path):
    twice = dataclasses.replace(prepared, shared_media=(SharedMedia("s0-happy-0", "s1-happy-0", "sound", "9 % differ"),))
    alone = dataclasses.replace(twice, sets={"audio": prepared.sets["audio"]})
    with pytest.raises(LeakError, match=r"near_duplicate_in_two_parts.*s0-happy-0(.|\n)*allow_leaks="):
        train_grid(small_config(tmp_path / "run", protocol__name="loso"), alone)
    written = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert written[0]["finding"] == "near_duplicate_in_two_parts" and written[0]["severity"] == "error" and written[0]["allowed_by"] == ""
    assert not (tmp_path / "run" / "checkpoints").exists()
    allowed = small_config(tmp_path / "run", protocol__name="loso", protocol__allow_leaks=("near_duplicate_in_two_parts",))
    findings = audit(make_plan(allowed, alone), alone)
    assert names(findings) == ["near_duplicate_in_two_parts"] and findings[0].allowed_by == "protocol.allow_leaks"
    with open_run(tmp_path / "run", allowed):  # allowing a finding afterwards does not make it another run
        pass


def test_normalisation_by_speaker_is_done_and_flagged(prepared):
    plan = plan_of(prepared, streams__audio__per_speaker=True)
    values, mask = plan.data.arrays["audio"], plan.data.arrays["audio_mask"]
    speakers = np.asarray([clip.speaker for clip in plan.clips])[plan.data.clip]
    for speaker in np.unique(speakers):
        own = values[speakers == speaker][mask[speakers == speaker]]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-4)
    findings = audit(plan, dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]}))
    assert names(findings) == ["transductive"] and findings[0].is_flagged and not findings[0].stops
    assert "transductive" not in names(audit(plan_of(prepared, streams__video__per_speaker=True), prepared))  # a stream that is not in use
    with pytest.raises(ValueError, match="needs all examples in memory"):
        plan_of(prepared, streams__audio__per_speaker=True, devices__feed="stream")


def test_an_allowed_column_that_reveals_the_label_is_flagged(prepared):
    plan = plan_of(prepared)
    columns = TableColumns(("AU01", "emotion"), {"emotion": "the class (the same in all clips of one class)"})
    alone = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]}, table_columns={"audio": columns})
    (finding,) = audit(plan, alone)
    assert finding.name == "column_is_no_feature" and finding.is_flagged and not finding.stops
    assert finding.allowed_by == "views.table.allow_columns" and "'emotion' looks like the class" in finding.detail
    assert run_hashes(plan, alone)["table_columns"] == {"audio": ["AU01", "emotion"]}
    clean = dataclasses.replace(alone, table_columns={"audio": TableColumns(("AU01",))})
    assert audit(plan, clean) == []
    assert run_hashes(plan, prepared)["table_columns"] == {}


def test_a_column_that_tells_the_folds_of_the_run_stops_it_unless_it_is_kept(prepared):
    plan = plan_of(prepared, protocol__name="random_k", protocol__num_folds=3)
    fold = {clip: number for number, one in enumerate(plan.folds.folds) for clip in one.test}
    ids = tuple(sorted(fold))
    values = np.array([[fold[clip], number % 7] for number, clip in enumerate(ids)], float)

    def found(**fields):
        columns = TableColumns(("AU01", "AU02"), clips=ids, values=values, **fields)
        alone = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]}, table_columns={"audio": columns})
        return [finding for finding in audit(plan, alone) if finding.name.startswith("column")]

    (finding,) = found()
    assert finding.name == "column_tells_part" and finding.stops and "'AU01' looks like the fold" in finding.detail
    with pytest.raises(LeakError, match=r"--config\.views\.table\.drop_columns=\"\('AU01',\)\""):
        refuse([finding])
    (finding,) = found(kept=("AU01",))
    assert finding.name == "column_is_no_feature" and finding.is_flagged and not finding.stops


def test_an_unknown_finding_cannot_be_allowed(prepared):
    with pytest.raises(ValueError, match=r"protocol\.allow_leaks names speakers"):
        audit(plan_of(prepared, protocol__allow_leaks=("speakers",)), prepared)


@pytest.mark.parametrize("feed", ["resident", "stream"])
def test_a_scaler_fitted_on_everything_is_found(prepared, monkeypatch, feed):
    plan = plan_of(prepared, devices__feed=feed)
    uses = [use for use in plan_fits(plan, prepared) if "scaler" in use.what]
    assert [use.fold for use in uses] == [fold.name for fold in plan.folds.folds] and not any(use.changed for use in uses)

    def fit_on_all(recipe, data, content, num_train):
        return {"audio": fit_scaler(content["audio"], content["audio_mask"], np.ones(len(content["audio"]), np.float32))}

    monkeypatch.setattr(fit_probes, "fit_scalers", fit_on_all)
    (found,) = [finding for finding in audit(plan, prepared) if finding.stops]
    assert found.name == "fitted_outside_training" and "the scaler of stage audio" in found.detail


@pytest.mark.parametrize("feed", ["resident", "stream"])
def test_a_standardised_stream_is_probed_together_with_pictures_that_are_not(prepared, tmp_path, feed):
    def pictures(i):
        values = spanning_pictures(np.random.default_rng(i).integers(0, 256, (2, 6, 6, 1)))
        return [ViewSegment(values, np.ones(2, bool), np.arange(2, dtype=np.float32), 2)]

    video = write_set(tmp_path, prepared.clips, pictures, step_shape=(6, 6, 1), modality="video", view="faces", dtype="uint8")
    corpus = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"], "video": video})
    fields = {"system__streams": BOTH, "train__stages": ("fused",), "devices__feed": feed}
    plan = plan_of(corpus, **fields, streams__video__encoder="cnn", streams__video__standardize="none")
    assert plan.data.step_of("video") == ((6, 6, 1), "uint8")
    probed = [use.what for use in plan_fits(plan, corpus)]
    assert probed.count("the scaler of stage fused") == len(plan.folds.folds) and not audit(plan, corpus)


def test_a_baseline_fitted_on_everything_is_found(prepared, monkeypatch):
    plan = plan_of(prepared)
    clean = [use for use in plan_fits(plan, prepared) if use.what == "the classical baseline"]
    assert len(clean) == 1 and not clean[0].changed
    honest = baseline.fit_classical

    def fit_on_all(machine, features, label, *, train, **others):
        return honest(machine, features, label, train=np.arange(len(features)), **others)

    monkeypatch.setattr(fit_probes, "fit_classical", fit_on_all)
    (found,) = [finding for finding in audit(plan, prepared) if finding.stops]
    assert "the classical baseline" in found.detail


@pytest.mark.parametrize("machine", ["svm", "linear", "kernel"])
@pytest.mark.parametrize(("view", "beside"), [("functionals", []), ("mfcc", [("the classical baseline", ())])])
def test_the_classical_system_is_probed_as_a_stage(prepared, machine, view, beside):
    plan = plan_of(prepared, train__stages=(machine,), streams__audio__view=view)
    assert [(use.what, use.changed) for use in plan_fits(plan, prepared)] == [(f"the classifier of stage {machine}", ()), *beside]


class FixedOutcome:
    """A trained stage with probabilities from a table."""

    def __init__(self, stage, num_examples, seed):
        self.stage = stage
        self.table = np.random.default_rng(seed).dirichlet(np.ones(4), num_examples)

    def probabilities(self, positions, rows):
        return [self.table[own] for own in rows]


@pytest.mark.parametrize("rule", ["weighted_product", "logistic"])
def test_fusion_weights_do_not_depend_on_the_test_part(prepared, rule):
    plan = plan_of(prepared, **LATE, late__rule=rule)
    *bases, late = plan.stages
    fixed = [FixedOutcome(stage, len(plan.data.clip), seed) for seed, stage in enumerate(bases)]
    uses = list(late_fits(plan, fit_late(plan, late, fixed)))
    assert [use.fold for use in uses] == [fold.name for fold in plan.folds.folds] and not any(use.changed for use in uses)
    # Injected bug: the first fold's weights are fitted on its own test part.
    test = plan.folds.folds[0].test
    leaky = dataclasses.replace(plan, inner=((test[::2], test[1::2]), *plan.inner[1:]))
    uses = list(late_fits(leaky, fit_late(leaky, late, fixed)))
    assert [bool(use.changed) for use in uses] == [True, False, False]


def test_stacks_are_trained_only_on_predictions_of_clips_that_the_base_networks_have_not_seen(prepared, monkeypatch):
    late = plan_of(prepared, **LATE)
    assert {(use.base, use.stack) for use in stack_uses(late)} == {("audio", "late"), ("video", "late")}
    stacked = plan_of(prepared, **LATE | {"train__stages": (*BOTH, "stacked"), "protocol__name": "random_k"})
    assert len(list(stack_uses(stacked))) == 2 * 3
    assert not {"stack_saw_clips"} & set(names(audit(late, prepared) + audit(stacked, prepared)))
    # Injected bug: the stacked stage is trained on the training part, like the earlier stages.
    honest = GridPlan.part_clips
    monkeypatch.setattr(GridPlan, "part_clips", lambda self, stage, trial: honest(self, self.stages[0], trial))
    (found,) = [finding for finding in audit(stacked, prepared) if finding.stops]
    assert found.name == "stack_saw_clips" and "stacked on audio" in found.detail


def test_encoders_are_compared_with_the_corpora(prepared):
    plan = plan_of(prepared)
    assert list(encoder_uses(plan)) == []
    for weights, expected in (
        ("published", [("vggish", ("youtube8m",))]),
        ("/w/mine.h5", [("vggish (/w/mine.h5)", None)]),
        ("random", []),
    ):
        experiment = small_config(streams__audio__encoder="vggish", encoders__vggish__weights=weights)
        uses = encoder_uses(dataclasses.replace(plan, blueprint=dataclasses.replace(plan.blueprint, experiment=experiment)))
        assert [(use.encoder, use.trained_on) for use in uses] == expected


def test_an_onnx_file_is_refused_on_a_corpus_that_the_config_says_it_was_trained_on(prepared):
    plan = plan_of(prepared)

    def findings(trained_on, allow=()):
        settings = {"encoders__onnx__weights": "net.onnx", "encoders__onnx__axes": "NFT", "encoders__onnx__trained_on": trained_on}
        experiment = small_config(streams__audio__encoder="onnx", protocol__allow_leaks=allow, **settings)
        used = dataclasses.replace(plan, blueprint=dataclasses.replace(plan.blueprint, experiment=experiment))
        return [(one.name, one.stops) for one in audit(used, prepared) if one.name.startswith("encoder_")]

    assert findings(("made",)) == [("encoder_saw_corpus", True)]
    assert findings(("made",), allow=("encoder_saw_corpus",)) == [("encoder_saw_corpus", False)]
    assert findings(()) == [("encoder_training_unknown", False)]
    assert findings(("librispeech",)) == []


def test_a_users_file_that_is_the_published_one_is_known_by_its_sum(prepared, tmp_path, monkeypatch):
    path = tmp_path / "mine.hdf5"
    path.write_bytes(b"weights")
    record = find_encoder("mini_xception")
    (layout,) = record.weights
    published = dataclasses.replace(layout.assets[0], files=(File("a.hdf5", "https://a", sha256=sha256_of(path)),))
    known = dataclasses.replace(record, weights=(dataclasses.replace(layout, assets=(published,)),))
    monkeypatch.setattr("avemo_jax.experiment.encoder_table.find_encoder", lambda name: known)
    monkeypatch.setattr("avemo_jax.experiment.audit.find_encoder", lambda name: known)
    fields = {"streams__video__encoder": "mini_xception", "system__streams": ("video",), "encoders__mini_xception__weights": str(path)}
    plan = plan_of(prepared)
    used = dataclasses.replace(plan, blueprint=dataclasses.replace(plan.blueprint, experiment=small_config(**fields)))
    assert [use.trained_on for use in encoder_uses(used)] == [("fer2013",)]
    (row,) = encoder_table(small_config(**fields))
    assert (row.trained_on, row.size_bytes, row.sha256) == (("fer2013",), 7, sha256_of(path))
    path.write_bytes(b"others")
    assert [use.trained_on for use in encoder_uses(used)] == [None]
    assert encoder_table(small_config(**fields))[0].trained_on is None


def test_the_table_of_encoders_names_licence_corpora_and_size(tmp_path):
    two = {"system__streams": ("audio", "video"), "streams__audio__encoder": "onnx", "streams__video__encoder": "mini_xception"}
    fields = {
        "encoders__onnx__weights": str(tmp_path / "none.onnx"),
        "encoders__onnx__licence": "BSD",
        "encoders__mini_xception__weights": "random",
    }
    rows = [one.as_dict() for one in encoder_table(small_config(**two | fields))]
    cells = encoders_table(rows).cells
    assert [row[1:] for row in cells] == [["BSD", "not stated", "-", "-"], ["MIT", "nothing", "-", "-"]]
    assert [row[0] for row in cells] == [f"onnx ({tmp_path / 'none.onnx'})", "mini_xception (random)"]


def predictions_of(plan, skip: int = 0):
    results = []
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    for fold in plan.folds.folds:
        rows = np.asarray([row_of[clip] for clip in fold.test][skip if fold is plan.folds.folds[0] else 0 :])
        results.append((fold, 0, rows, np.eye(4)[np.asarray(plan.classes)[rows]]))
    return to_predictions(plan, results)


def test_results_are_audited(prepared):
    plan = plan_of(prepared)
    assert audit_results(plan, predictions_of(plan)) == []
    (found,) = audit_results(plan, predictions_of(plan, skip=2))
    assert found.name == "clip_dropped" and found.count == 2 and found.stops


def test_mode_audit_audits_predictions_too(prepared, tmp_path, capsys):
    alone = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]})
    experiment = small_config(tmp_path)
    plan = make_plan(experiment, alone)
    write_predictions_csv(tmp_path / "predictions.csv", predictions_of(plan, skip=1))
    findings = audit_run(experiment, alone)
    assert names(findings) == ["clip_dropped"]
    assert "clip_dropped (error): 1 clip of the test parts without a prediction" in capsys.readouterr().out
