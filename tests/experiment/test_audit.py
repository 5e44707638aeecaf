"""The audit of a run: clean plans pass, faults planted in the engine and in its results are found, a run that must not go on does not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from made_sets import segment, write_set

from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.data.prepared import Damage, PreparedCorpus
from avemo_jax.experiment import baseline, fit_probes, run
from avemo_jax.experiment.audit import audit, audit_results, encoder_uses, stack_uses
from avemo_jax.experiment.fit_probes import late_fits, plan_fits
from avemo_jax.experiment.outcomes import fit_late
from avemo_jax.experiment.plan import Plan, make_plan
from avemo_jax.experiment.predictions import to_predictions
from avemo_jax.models.encoders import FAMILIES
from avemo_jax.pretrained.trained_on import TRAINED_ON
from avemo_jax.protocols.audit.findings import refuse
from avemo_jax.protocols.folds import LeakError
from avemo_jax.training import programs, steps
from avemo_jax.training.scaler import fit_scaler
from configs import base

EMOTIONS = ("neutral", "happy", "sad", "angry")
FUSED = {"system.streams": ("audio", "video"), "train.stages": ("audio", "video", "late"), "late.num_inner_folds": 2}


def config(**fields):
    made = base.get_config()
    with made.unlocked():
        for name, value in {"corpus.label_set": "iemocap4", "protocol.num_folds": 3, **fields}.items():
            made.update_from_flattened_dict({name: value})
    return made.to_dict()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Eight speakers x four emotions x two takes, sound and picture; one clip shows no face."""
    clips = tuple(
        Clip(f"s{speaker}-{emotion}-{take}", "made", emotion, f"s{speaker}", gender=("male", "female")[speaker % 2])
        for speaker in range(8)
        for emotion in EMOTIONS
        for take in range(2)
    )

    def segments_of(i):
        return [segment(5, 3, i, offset=float(EMOTIONS.index(clips[i].label)))]

    directory = tmp_path_factory.mktemp("audit")
    audio = write_set(directory, clips, segments_of, step_shape=(3,))
    no_face = Damage("no_video", "no picture")
    video = write_set(directory, clips, lambda i: no_face if i == 5 else segments_of(i), step_shape=(3,), modality="video")
    return PreparedCorpus(clips, {"audio": audio, "video": video}, audio, shared_media=())


def plan_of(prepared, **fields):
    own = config(**fields)
    sets = {stream: prepared.sets[stream] for stream in own["system"]["streams"]}
    return make_plan(own, dataclasses.replace(prepared, sets=sets))


def names(findings):
    return [finding.name for finding in findings]


def test_a_clean_plan_has_no_findings(prepared):
    alone = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]})
    assert audit(plan_of(prepared), alone) == []


def test_a_corpus_without_some_of_its_speakers_is_refused_unless_that_is_allowed_and_then_worn(prepared):
    rml = tuple(dataclasses.replace(clip, corpus="rml") for clip in prepared.clips)  # speakers s0 to s7, where RML has 1 to 8
    corpus = dataclasses.replace(prepared, clips=rml, sets={"audio": prepared.sets["audio"]})
    with pytest.raises(ValueError, match=r"missing: 8; not among them: 0\)"):
        plan_of(corpus, **{"protocol.name": "loso"})
    plan = plan_of(corpus, **{"protocol.name": "loso", "protocol.allow_leaks": ("groups_differ",)})
    (finding,) = [finding for finding in audit(plan, corpus) if finding.name == "groups_differ"]
    assert finding.allowed_by == "protocol.allow_leaks" and finding.is_worn and finding.examples == ("8", "0")


def test_what_is_worn_and_what_is_noted(prepared):
    plan = plan_of(prepared, **FUSED, **{"protocol.name": "random_k", "protocol.select": "test"})
    findings = audit(plan, dataclasses.replace(prepared, shared_media=None))
    assert names(findings) == ["speaker_in_two_parts", "selected_on_test", "clips_lost", "media_not_compared"]
    assert findings[0].allowed_by == "protocol random_k"
    assert [finding.is_worn for finding in findings] == [True, True, False, False]
    refuse(findings)


def test_a_recording_that_is_there_twice_stops_the_run_unless_allowed(prepared, tmp_path):
    twice = dataclasses.replace(prepared, shared_media=(SharedMedia("s0-happy-0", "s1-happy-0", "sound", "9 % differ"),))
    alone = dataclasses.replace(twice, sets={"audio": prepared.sets["audio"]})
    fields = {"workdir": str(tmp_path / "run"), "prepared_dir": str(tmp_path), "protocol.name": "loso"}
    with pytest.raises(LeakError, match=r"near_duplicate_in_two_parts.*s0-happy-0(.|\n)*allow_leaks="):
        run.train(config(**fields), alone)
    written = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert written[0]["finding"] == "near_duplicate_in_two_parts" and written[0]["severity"] == "fails" and written[0]["allowed_by"] == ""
    assert not (tmp_path / "run" / "checkpoints").exists()
    allowed = config(**fields, **{"protocol.allow_leaks": ("near_duplicate_in_two_parts",)})
    findings = audit(make_plan(allowed, alone), alone)
    assert names(findings) == ["near_duplicate_in_two_parts"] and findings[0].allowed_by == "protocol.allow_leaks"
    with run.open_run(tmp_path / "run", allowed):  # to allow a finding afterwards is no other run
        pass


def test_normalisation_by_speaker_is_done_and_marked(prepared):
    plan = plan_of(prepared, **{"system.speaker_normalized": ("audio",)})
    values, mask = plan.data.arrays["audio"], plan.data.arrays["audio_mask"]
    speakers = np.asarray([clip.speaker for clip in plan.clips])[plan.data.arrays["clip"]]
    for speaker in np.unique(speakers):
        own = values[speakers == speaker][mask[speakers == speaker]]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-4)
    findings = audit(plan, dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]}))
    assert names(findings) == ["transductive"] and findings[0].is_worn and not findings[0].stops
    for fields, message in (
        ({"system.speaker_normalized": ("video",)}, "names 'video', but system.streams"),
        ({"system.speaker_normalized": ("audio",), "devices.feed": "stream"}, "needs all examples in memory"),
    ):
        with pytest.raises(ValueError, match=message):
            plan_of(prepared, **fields)


def test_an_unknown_leave_is_refused_by_name(prepared):
    with pytest.raises(ValueError, match=r"protocol\.allow_leaks names speakers"):
        audit(plan_of(prepared, **{"protocol.allow_leaks": ("speakers",)}), prepared)


@pytest.mark.parametrize("feed", ["resident", "stream"])
def test_a_scaler_fitted_on_everything_is_shown(prepared, monkeypatch, feed):
    plan = plan_of(prepared, **{"devices.feed": feed})
    uses = [use for use in plan_fits(plan, prepared) if "scaler" in use.what]
    assert [use.fold for use in uses] == [fold.name for fold in plan.folds.folds] and not any(use.changed for use in uses)

    def fit_on_all(recipe, data, *rest):
        return {"audio": fit_scaler(data["audio"], data["audio_mask"], np.ones(len(data["audio"]), np.float32))}

    def fit_stream_on_all(recipe, load, rows):
        return {"audio": load(np.arange(len(rows) + 5))["audio"].mean()}

    monkeypatch.setattr(steps, "fit_scalers", fit_on_all)
    monkeypatch.setattr(programs, "fit_stream_scalers", fit_stream_on_all)
    (found,) = [finding for finding in audit(plan, prepared) if finding.stops]
    assert found.name == "fitted_outside_training" and "the scaler of stage audio" in found.detail


def test_a_baseline_fitted_on_everything_is_shown(prepared, monkeypatch):
    plan = plan_of(prepared)
    clean = [use for use in plan_fits(plan, prepared) if use.what == "the classical baseline"]
    assert len(clean) == 1 and not clean[0].changed
    honest = baseline.fit_svm

    def fit_on_all(features, label, *, train, validation, num_classes):
        return honest(features, label, train=np.arange(len(features)), validation=validation, num_classes=num_classes)

    monkeypatch.setattr(fit_probes, "fit_svm", fit_on_all)
    (found,) = [finding for finding in audit(plan, prepared) if finding.stops]
    assert "the classical baseline" in found.detail


def test_the_classical_system_is_probed_as_a_stage(prepared):
    plan = plan_of(prepared, **{"train.stages": ("svm",)})
    assert [(use.what, use.changed) for use in plan_fits(plan, prepared)] == [("the machine of stage svm", ())]


class Says:
    """A trained stage that says of each example what a table has."""

    def __init__(self, stage, num_examples, seed):
        self.stage = stage
        self.table = np.random.default_rng(seed).dirichlet(np.ones(4), num_examples)

    def posteriors(self, positions, rows):
        return [self.table[own] for own in rows]


@pytest.mark.parametrize("rule", ["weighted_product", "logistic"])
def test_fusion_weights_are_shown_not_to_see_the_test_part(prepared, rule):
    plan = plan_of(prepared, **FUSED, **{"late.rule": rule})
    *bases, late = plan.stages
    says = [Says(stage, len(plan.data.arrays["clip"]), seed) for seed, stage in enumerate(bases)]
    uses = list(late_fits(plan, fit_late(plan, late, says)))
    assert [use.fold for use in uses] == [fold.name for fold in plan.folds.folds] and not any(use.changed for use in uses)
    # Planted: the first fold's weights are fitted on its own test part.
    test = plan.folds.folds[0].test
    leaky = dataclasses.replace(plan, inner=((test[::2], test[1::2]), *plan.inner[1:]))
    uses = list(late_fits(leaky, fit_late(leaky, late, says)))
    assert [bool(use.changed) for use in uses] == [True, False, False]


def test_stacks_learn_from_unseen_predictions_alone(prepared, monkeypatch):
    late = plan_of(prepared, **FUSED)
    assert {(use.base, use.stack) for use in stack_uses(late)} == {("audio", "late"), ("video", "late")}
    stacked = plan_of(prepared, **FUSED | {"train.stages": ("audio", "video", "stacked"), "protocol.name": "random_k"})
    assert len(list(stack_uses(stacked))) == 2 * 3
    assert not {"stack_saw_clips"} & set(names(audit(late, prepared) + audit(stacked, prepared)))
    # Planted: the stacked stage learns from the training part, as the stages below it do.
    honest = Plan.part_clips
    monkeypatch.setattr(Plan, "part_clips", lambda self, stage, trial: honest(self, self.stages[0], trial))
    (found,) = [finding for finding in audit(stacked, prepared) if finding.stops]
    assert found.name == "stack_saw_clips" and "stacked on audio" in found.detail


def test_encoders_are_held_against_the_corpora(prepared):
    plan = plan_of(prepared)
    assert list(encoder_uses(plan)) == []
    assert set(TRAINED_ON) == set(FAMILIES)
    with_encoder = dataclasses.replace(plan, config=config(**{"model.audio.encoder": "vggish"}))
    assert [(use.encoder, use.trained_on) for use in encoder_uses(with_encoder)] == [("vggish", ("youtube8m",))]
    own = dataclasses.replace(plan, config=config(**{"model.audio.encoder": "vggish", "encoders.vggish.weights": "/w/mine.h5"}))
    assert [(use.encoder, use.trained_on) for use in encoder_uses(own)] == [("vggish (/w/mine.h5)", None)]
    drawn = dataclasses.replace(plan, config=config(**{"model.audio.encoder": "vggish", "encoders.vggish.weights": "random"}))
    assert list(encoder_uses(drawn)) == []


def predictions_of(plan, skip: int = 0):
    said = []
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    for fold in plan.folds.folds:
        rows = np.asarray([row_of[clip] for clip in fold.test][skip if fold is plan.folds.folds[0] else 0 :])
        said.append((fold, 0, rows, np.eye(4)[np.asarray(plan.classes)[rows]]))
    return to_predictions(plan, said)


def test_results_are_audited(prepared):
    plan = plan_of(prepared)
    assert audit_results(plan, predictions_of(plan)) == []
    (found,) = audit_results(plan, predictions_of(plan, skip=2))
    assert found.name == "clip_dropped" and found.count == 2 and found.stops


def test_mode_audit_looks_at_predictions_too(prepared, tmp_path, capsys):
    alone = dataclasses.replace(prepared, sets={"audio": prepared.sets["audio"]})
    own = config(workdir=str(tmp_path))
    plan = make_plan(own, alone)
    run.write_predictions_csv(tmp_path / "predictions.csv", predictions_of(plan, skip=1))
    findings = run.audit_only(own, alone)
    assert names(findings) == ["clip_dropped"]
    assert "clip_dropped (FAILS): 1 clip of the test parts without a prediction" in capsys.readouterr().out
