"""Stages on random features: stacked on clips that no earlier stage was trained on, joined by rules fitted without the test part."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from demo_run import checkpoint_arrays
from made_sets import write_set
from small_experiment import BOTH, NUM_FOLDS, NUM_SPEAKERS, STEP, flat, only, rows_of, small_config, small_corpus

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.data.resident import ResidentSet
from avemo_jax.evaluation.predictions import aggregate_segments, read_predictions_csv
from avemo_jax.experiment import stages, trained_members
from avemo_jax.experiment.classical_stage import fit_classical_stage
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.exporting import export_model
from avemo_jax.experiment.grid_plan import GridPlan, check_experiment, make_plan
from avemo_jax.experiment.outcomes import NetworkOutcome
from avemo_jax.experiment.predictions import predict_tests
from avemo_jax.experiment.stages import restore_last, restore_stages, train_stages
from avemo_jax.inference.predict import clip_probabilities
from avemo_jax.modes.evaluate import evaluate as evaluate_run
from avemo_jax.modes.stored import stored_experiment
from avemo_jax.modes.train import train as train_grid
from avemo_jax.runs.run_directory import RunDirectory
from data_prep.views.segments import ViewSegment

pytestmark = pytest.mark.slow
STEPS = dict.fromkeys(BOTH, STEP)
TWO = {"system__streams": BOTH}
JOINED = {
    "stacked": {
        "train__stages": (*BOTH, "stacked"),
        "train__overrides": ("stacked:train.num_epochs=3",),
        "fusion__dense_units": (3,),
    },
    "weighted_product": {"train__stages": (*BOTH, "late"), "late__rule": "weighted_product"},
    "logistic": {"train__stages": (*BOTH, "late"), "late__rule": "logistic"},
}
CONFIGS = {name: TWO | fields for name, fields in JOINED.items()}
CONFIGS["fallback"] = TWO | {"train__stages": (*BOTH, "fused"), "fusion__fallback": True}
# Two widths x two learning rates: four settings in two programs.
CONFIGS["swept"] = {
    "train__stages": ("audio",),
    "sweep__fields": ("streams.audio.dense_units=(4,)|(6,)",),
    "sweep__learning_rate": (0.05, 0.01),
    "devices__profile": 1,
}
CLASSICAL = {"streams__audio__view": "functionals", "streams__audio__pooling": "mean"}
CONFIGS |= {name: CLASSICAL | {"train__stages": (name,)} for name in ("svm", "linear", "kernel")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> PreparedCorpus:
    return small_corpus(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """A function from the name of a config to its config, corpus and results.json; it trains on the first call."""
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def train(name: str):
        if name not in made:
            config = small_config(folder / name, **CONFIGS[name])
            corpus = prepared if config.system.streams == BOTH else only(prepared, "audio")
            made[name] = config, corpus, train_grid(config, corpus).to_json()
        return made[name]

    return train


@pytest.fixture
def restored(finished):
    """A function from the name of a config to its plan and the outcomes of its stages, read from its run directory."""

    def restore(name: str):
        config, corpus, _ = finished(name)
        plan = make_plan(config, corpus)
        return plan, restore_stages(plan, config.run_directory)

    return restore


@pytest.mark.parametrize("name", list(CONFIGS))
def test_evaluate_gives_the_same_bytes_and_trains_nothing(name, finished):
    config, corpus, results = finished(name)
    workdir = config.run_directory
    files = [path for path in ("predictions.csv", "metrics.jsonl", "late.json") if (workdir / path).exists()]
    before = {path: (workdir / path).read_bytes() for path in files}
    (workdir / "predictions.csv").unlink()
    again = evaluate_run(config, corpus).to_json()
    assert {path: (workdir / path).read_bytes() for path in files} == before
    for part in ("metrics", "stages", "settings", "per_fold"):
        assert again.get(part) == results.get(part)
    assert ("late.json" in files) == (name in ("weighted_product", "logistic"))


def test_the_stacked_net_trains_on_clips_that_no_stage_has_trained_on(restored, finished):
    plan, _ = restored("stacked")
    stage = plan.stages[-1]
    for trial in plan.trials:
        fold = plan.folds.folds[trial.fold]
        train, select = (set(part) for part in plan.part_clips(stage, trial))
        for earlier in plan.stages[:-1]:
            assert set(plan.part_clips(earlier, trial)[0]) == set(fold.train)
        assert train and select and not (train | select) & set(fold.train) and not (train | select) & set(fold.test)
        assert not train & select and train | select == set(fold.validation)
        (inputs,) = plan.inputs(stage, [trial])
        rows = {plan.data.clip_ids[plan.data.clip[row]] for row in inputs.train_index[: inputs.train_count]}
        assert rows == train
    epochs = {
        name: {row["epoch"] for row in rows_of(finished("stacked")[0].run_directory) if row["stage"] == name} for name in (*BOTH, "stacked")
    }
    assert epochs == {"audio": {0, 1}, "video": {0, 1}, "stacked": {0, 1, 2}}  # which train.overrides asks for


def test_the_stacked_net_does_not_change_the_base_nets(restored):
    _, (audio, video, stacked) = restored("stacked")
    for position, state in enumerate(stacked.states):
        learnt = flat(state.learner.params)
        for stream, outcome in (("audio", audio), ("video", video)):
            base = flat(outcome.states[position].best.params[stream])
            assert base and all(np.array_equal(learnt[f"{stream}/{name}"], leaf) for name, leaf in base.items())
        assert {name.split("/")[0] for name in learnt} == {"audio", "video", "fusion", "head"}


def inner_rows(plan: GridPlan, fold: int) -> list[np.ndarray]:
    return [plan.data.examples_of(part) for part in plan.inner[fold]]


@pytest.mark.parametrize("name", ["weighted_product", "logistic"])
def test_nets_of_inner_folds_predict_clips_that_they_have_not_trained_on(name, restored):
    plan, (audio, video, late) = restored(name)
    for stage in plan.stages[:-1]:
        trials = plan.grid.trials_of(stage)
        assert len(trials) == NUM_FOLDS * (1 + 2) and [trial.inner for trial in trials[:NUM_FOLDS]] == [-1] * NUM_FOLDS
        for trial in trials[NUM_FOLDS:]:
            train, select = plan.part_clips(stage, trial)
            unseen, fold = set(plan.inner[trial.fold][trial.inner]), plan.folds.folds[trial.fold]
            assert (
                unseen and not unseen & {*train, *select} and unseen | set(train) == set(fold.train) and set(select) == set(fold.validation)
            )
    # the positions that the rule is fitted on are those of the inner trials of the same fold
    for position, trial in enumerate(plan.trials):
        for index in range(2):
            assert plan.grid.trials_of(plan.stages[0])[NUM_FOLDS + 2 * position + index] == dataclasses.replace(
                trial, inner=index, number=NUM_FOLDS + 2 * position + index
            )
    assert len(audio.states) == len(video.states) == NUM_FOLDS * 3 and len(late.joiners) == NUM_FOLDS


def test_late_fusion_predicts_without_one_of_its_streams(restored, finished):
    plan, (_, video, _) = restored("weighted_product")
    lacking = dataclasses.replace(plan, data=plan.data.without("audio"))
    late = restore_last(lacking, finished("weighted_product")[0].run_directory)
    rows = [plan.test_rows(trial) for trial in plan.trials]
    for own, other in zip(late.earlier[1].probabilities([0, 1, 2], rows), video.probabilities([0, 1, 2], rows), strict=True):
        np.testing.assert_array_equal(own, other)
    assert all(np.isfinite(one).all() for one in late.probabilities([0, 1, 2], rows))
    with pytest.raises(ValueError, match="expected training clips with data in the streams"):
        lacking.inputs(plan.stages[0], plan.trials)


@pytest.mark.parametrize("name", ["weighted_product", "logistic"])
def test_late_fusion_applies_the_written_rule_to_the_predictions_of_the_stages(name, restored, finished):
    plan, (audio, video, late) = restored(name)
    written = json.loads((finished(name)[0].run_directory / "late.json").read_text())["trials"]
    assert [entry["fold"] for entry in written] == [0, 1, 2] and all(entry["rule"] == name for entry in written)
    rows = [plan.test_rows(trial) for trial in plan.trials]
    of_stages = [one.probabilities([0, 1, 2], rows) for one in (audio, video)]
    for position, joined in enumerate(late.probabilities([0, 1, 2], rows)):
        parts = [one[position] for one in of_stages]
        np.testing.assert_allclose(joined.sum(axis=1), 1)
        if name == "weighted_product":
            weights = written[position]["weights"]
            product = parts[0].astype(float) ** weights[0] * parts[1].astype(float) ** weights[1]
            np.testing.assert_allclose(joined, product / product.sum(axis=1, keepdims=True), rtol=1e-5)
        else:
            logs = np.log(np.concatenate(parts, axis=1).astype(float)) @ np.array(written[position]["coefficients"]).T
            scores = np.exp(logs + np.array(written[position]["intercept"]))
            np.testing.assert_allclose(joined, scores / scores.sum(axis=1, keepdims=True), rtol=1e-5)
    assert {entry["stage"] for entry in finished(name)[2]["stages"]} == {"audio", "video", "late"}


def poisoned(plan: GridPlan, part: str) -> GridPlan:
    """Return the plan with changed labels and features of one part of its one fold."""
    rows = plan.data.examples_of(getattr(plan.folds.folds[0], part))
    arrays = {name: np.array(values) for name, values in plan.data.arrays.items()}
    classes = np.array(plan.classes)
    for stream in BOTH:
        arrays[stream][rows] = arrays[stream][rows][:, ::-1] * -7
    arrays["label"][rows] = (arrays["label"][rows] + 1) % 4
    classes[arrays["clip"][rows]] = arrays["label"][rows]
    data = ResidentSet(plan.data.clip_ids, arrays, plan.data.times_s)
    return dataclasses.replace(plan, classes=tuple(int(one) for one in classes), data=data)


def test_the_rule_does_not_depend_on_the_test_part(prepared, tmp_path):
    """With changed features and labels of the test part the rules in late.json are the same; of the training part, it differs."""
    config = small_config(tmp_path / "run", **CONFIGS["logistic"], protocol__name="holdout_50_25_25", train__num_epochs=1)
    plan = make_plan(config, prepared)
    written = {}
    for part in (None, "test", "train"):
        folder = tmp_path / str(part)
        folder.mkdir()
        train_stages(plan if part is None else poisoned(plan, part), RunDirectory(folder))
        written[part] = json.loads((folder / "late.json").read_text())["trials"]
    assert written["test"] == written[None] != written["train"]


@pytest.mark.parametrize("name", ["weighted_product", "logistic"])
def test_an_ensemble_predicts_test_clips_as_evaluate_does(name, finished, restored, monkeypatch):
    """One member at a time, since predictions.csv has each clip once, predicted by the trial of its own fold."""
    config, corpus, _ = finished(name)
    expected = read_predictions_csv(config.run_directory / "predictions.csv")
    plan, _ = restored(name)
    for position, trial in enumerate(plan.trials):
        monkeypatch.setattr(trained_members, "chosen_trials", lambda trials, score, position=position: [position])
        member = load_ensemble(config, STEPS, 10.0, None)
        assert member.num_members == 1
        for clip_id in plan.folds.folds[trial.fold].test[:4]:
            found = clip_probabilities(list(member.predict(pieces(corpus, clip_id))))
            np.testing.assert_allclose(found, expected.probabilities[expected.clip == clip_id][0], atol=2e-6)


def pieces(corpus: PreparedCorpus, clip_id: str) -> dict[str, list]:
    return {stream: [one for one in found.examples() if one.clip_id == clip_id] for stream, found in corpus.sets.items()}


@pytest.mark.parametrize("name", ["stacked", "weighted_product", "logistic", "svm", "linear", "kernel"])
@pytest.mark.parametrize("is_exported", [False, True])
def test_an_ensemble_predicts_as_the_trials_of_its_run(name, is_exported, finished, restored, tmp_path):
    config, corpus, _ = finished(name)
    steps = dict.fromkeys(config.system.streams, STEP)
    if is_exported:
        export_model(config, steps, tmp_path / "model")
    ensemble = load_ensemble(stored_experiment(str(tmp_path / "model"), {}) if is_exported else config, steps, 10.0, None)
    assert ensemble.num_members == NUM_FOLDS
    plan, outcomes = restored(name)
    for clip in (corpus.clips[5], corpus.clips[40]):  # the first has two segments
        rows = plan.data.examples_of([clip.clip_id])
        expected = np.mean(outcomes[-1].probabilities([0, 1, 2], [rows] * 3), axis=0)
        found = [segment.probabilities for segment in ensemble.predict(pieces(corpus, clip.clip_id))]
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("missing", BOTH)
def test_clips_that_lack_a_stream_are_answered_by_the_stage_of_the_others(missing, finished, restored, tmp_path):
    config, corpus, _ = finished("fallback")
    plan, outcomes = restored("fallback")
    positions, rows = [0, 1, 2], [plan.test_rows(trial) for trial in plan.trials]
    alone = outcomes[1 - BOTH.index(missing)]
    worse = dataclasses.replace(plan, data=plan.data.without(missing))
    found = restore_last(worse, config.run_directory).probabilities(positions, rows)
    for one, expected in zip(found, alone.probabilities(positions, rows), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-6)
    whole = outcomes[-1].probabilities(positions, rows)
    assert np.abs(whole[0] - found[0]).max() > 1e-3
    for one, expected in zip(whole, outcomes[-1].whole.probabilities(positions, rows), strict=True):
        np.testing.assert_array_equal(one, expected)
    export_model(config, STEPS, tmp_path / "model")
    clip_id = corpus.clips[5].clip_id
    expected = np.mean(alone.probabilities(positions, [plan.data.examples_of([clip_id])] * 3), axis=0)
    for experiment in (config, stored_experiment(str(tmp_path / "model"), {})):
        lacking = load_ensemble(experiment, STEPS, 10.0, None).predict(pieces(corpus, clip_id) | {missing: []})
        np.testing.assert_allclose([segment.probabilities for segment in lacking], expected, atol=1e-5)


def test_a_fallback_needs_earlier_stages(tmp_path):
    with pytest.raises(ValueError, match=r"fusion\.fallback answers .* found audio; set --config\.fusion\.fallback=False"):
        check_experiment(small_config(tmp_path, fusion__fallback=True))


def test_settings_that_change_the_program_have_separate_programs_and_folders(finished, restored):
    config, _, results = finished("swept")
    workdir = config.run_directory
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["audio-0", "audio-1"]
    plan, (outcome,) = restored("swept")
    assert isinstance(outcome, NetworkOutcome) and [list(group.positions) for group in outcome.groups] == [
        list(range(6)),
        list(range(6, 12)),
    ]
    widths = [state.best.params["audio"]["dense0"]["kernel"].shape[1] for state in outcome.states]
    assert widths == [4] * 6 + [6] * 6
    assert outcome.num_params == sum(leaf.size for leaf in flat(outcome.states[-1].best.params).values())
    table = results["settings"]
    tried = [entry["tried"] for entry in table]
    assert tried == [{"streams.audio.dense_units": [width], "learning_rate": rate} for width in (4, 6) for rate in (0.05, 0.01)]
    for setting, entry in enumerate(table):
        own = [position for position, trial in enumerate(plan.trials) if trial.setting == setting]
        assert entry["validation"] == pytest.approx(np.mean([outcome.score(position) for position in own]))
        wars = []
        for position in own:
            rows = plan.test_rows(plan.trials[position])
            clips, segment_of = np.unique(plan.data.clip[rows], return_inverse=True)
            probabilities = aggregate_segments(segment_of, outcome.probabilities([position], [rows])[0], len(clips))
            wars.append((probabilities.argmax(axis=1) == np.asarray(plan.classes)[clips]).mean())
        assert entry["war"] == pytest.approx(np.mean(wars))
    chosen = [max(range(fold, 12, 3), key=lambda position: (outcome.score(position), -position)) for fold in range(3)]
    predictions = read_predictions_csv(workdir / "predictions.csv")
    probabilities = np.concatenate(outcome.probabilities(chosen, [plan.test_rows(plan.trials[position]) for position in chosen]))
    assert len(predictions.clip) == NUM_SPEAKERS * 8 and len(probabilities) == NUM_SPEAKERS * 8 + 1  # one clip has two segments


def test_a_run_says_where_its_time_went_and_profiles_its_first_program(finished):
    config, _, _ = finished("swept")
    run = RunDirectory(config.run_directory).read_json("run.json")
    assert {"plan", "train audio", "compile", "save", "restore", "evaluate"} <= set(run["seconds"])
    assert run["training_share"] == pytest.approx(run["seconds"]["train audio"] / sum(run["seconds"].values()), abs=1e-3)
    (profiled,) = (config.run_directory / "profile").iterdir()
    assert list(profiled.rglob("*.xplane.pb")) and list(profiled.rglob("perfetto_trace.json.gz"))


def test_an_ensemble_may_have_members_of_different_nets(finished, restored, monkeypatch, tmp_path):
    """Folds may choose different settings, here the narrow net in the first fold and the wide one in the others."""
    config, corpus, _ = finished("swept")
    plan, (outcome,) = restored("swept")
    chosen = [0, 7, 11]
    monkeypatch.setattr(trained_members, "chosen_trials", lambda trials, score: chosen)
    export_model(config, {"audio": STEP}, tmp_path / "model")  # the swept fields of each member go with it
    ensemble = load_ensemble(stored_experiment(str(tmp_path / "model"), {}), {"audio": STEP}, 10.0, None)
    rows = plan.data.examples_of([corpus.clips[5].clip_id])
    expected = np.mean(outcome.probabilities(chosen, [rows] * 3), axis=0)
    found = [segment.probabilities for segment in ensemble.predict(pieces(corpus, corpus.clips[5].clip_id))]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert plan.blueprint.net(plan.stages[0], plan.trials[0].fields) != plan.blueprint.net(plan.stages[0], plan.trials[7].fields)


def test_a_sweep_that_is_killed_between_programs_resumes_bit_for_bit(finished, tmp_path, monkeypatch):
    straight, corpus, _ = finished("swept")
    config = small_config(tmp_path / "run", **CONFIGS["swept"])
    trained = stages.train_group
    begun = []

    def killed(**arguments):
        begun.append(arguments["trials"][0].number)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return trained(**arguments)

    monkeypatch.setattr(stages, "train_group", killed)
    with pytest.raises(KeyboardInterrupt):
        train_grid(config, corpus)
    assert begun == [0, 6]
    monkeypatch.setattr(stages, "train_group", trained)
    train_grid(config, corpus)
    whole, resumed = straight.run_directory, tmp_path / "run"
    assert (whole / "predictions.csv").read_bytes() == (resumed / "predictions.csv").read_bytes()
    assert rows_of(resumed) == rows_of(whole)
    assert checkpoint_arrays(resumed) == checkpoint_arrays(whole)


@pytest.mark.parametrize("machine", ["svm", "linear", "kernel"])
def test_the_classical_system_is_a_system(finished, restored, machine):
    _, _, results = finished(machine)
    plan, (outcome,) = restored(machine)
    assert results["system"] == "small" and results["num_params"] == 0 and "stages" not in results
    assert results["metrics"]["uar"]["mean_of_folds"] > 0.4  # chance is 0.25
    arrays = plan.data.arrays
    means = [values[mask].mean(axis=0) for values, mask in zip(arrays["audio"], arrays["audio_mask"], strict=True)]
    np.testing.assert_allclose(outcome.features, means, rtol=1e-5)
    assert len({id(one) for one in outcome.classifiers}) == NUM_FOLDS


def test_the_classical_system_is_the_same_from_disk(finished, tmp_path):
    config, corpus, _ = finished("svm")
    train_grid(small_config(tmp_path / "run", **CONFIGS["svm"], devices__feed="stream"), corpus)
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == (config.run_directory / "predictions.csv").read_bytes()


def test_an_unfinished_stage_is_named(finished, tmp_path):
    config, corpus, _ = finished("logistic")
    plan = make_plan(config, corpus)
    with pytest.raises(FileNotFoundError, match=r"has not finished \(stage audio: nothing\)"):
        restore_stages(plan, tmp_path)


def test_a_clip_without_features_gets_the_class_frequencies(prepared, tmp_path):
    """The classical system predicts it so, and all metrics count it."""
    clips = prepared.clips

    def segments(i):
        values = np.full((2, 3), clips[i].label == "sad", np.float32) + np.random.default_rng(i).normal(size=(2, 3)).astype(np.float32)
        return [ViewSegment(values, np.full(2, clips[i].clip_id != "s0-sad-0"), np.zeros(2, np.float32), 2)]

    audio = write_set(tmp_path, clips, segments, step_shape=(3,), view="functionals")
    plan = make_plan(small_config(tmp_path / "run", **CONFIGS["svm"]), PreparedCorpus(clips, {"audio": audio}, None))
    predictions = predict_tests(plan, fit_classical_stage(plan, plan.stages[0]))
    assert len(predictions.clip) == NUM_SPEAKERS * 8
    (row,) = predictions.probabilities[predictions.clip == "s0-sad-0"]
    np.testing.assert_allclose(row, 0.25, atol=1e-6)
