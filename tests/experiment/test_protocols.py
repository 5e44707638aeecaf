"""Several protocols in one grid: every fold under its own rules, results of each protocol, and the gaps between them."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
from made_sets import segment, write_set
from results_schema import check_results
from small_experiment import EMOTIONS, small_clips, small_config

from avemo_jax.comparison.entries import ComparisonError, read_run
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation import stored_predictions
from avemo_jax.evaluation.predictions import largest_difference
from avemo_jax.experiment.audit import audit
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.predictions import predict_tests_and_validation
from avemo_jax.modes.audit import audit_run
from avemo_jax.modes.evaluate import evaluate
from avemo_jax.modes.train import train as train_grid
from avemo_jax.protocols.inner import stacking_parts
from avemo_jax.training.stage import Stage

TWO = "random_k, speaker_k"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    clips = small_clips(num_speakers=8, num_takes=3)

    def segments_of(i):
        """Each speaker shows emotions in another way, which an SVM can learn of the speakers it was fitted on."""
        speaker, emotion = int(clips[i].speaker[1:]), EMOTIONS.index(clips[i].label)
        made = segment(5, 12, i)
        values = 0.1 * made.values
        values[:, (emotion + speaker) % 4] += 3
        values[:, 4 + speaker] += 3
        return [dataclasses.replace(made, values=values)]

    audio = write_set(tmp_path_factory.mktemp("two"), clips, segments_of, step_shape=(12,))
    return PreparedCorpus(clips, {"audio": audio}, None, shared_media=())


def test_folds_of_several_protocols_follow_each_other_each_under_its_own_rules(prepared):
    plan = make_plan(small_config(protocol__name=TWO), prepared)
    assert [table.protocol for table in plan.folds.tables] == ["random_k", "speaker_k"]
    assert [(table.protocol, list(folds)) for table, folds in plan.folds.spans()] == [("random_k", [0, 1, 2]), ("speaker_k", [3, 4, 5])]
    assert [trial.fold for trial in plan.trials] == list(range(6))
    alone = make_plan(small_config(protocol__name="speaker_k"), prepared)
    assert plan.folds.folds[3:] == alone.folds.folds and not plan.folds.speaker_independent
    table = plan.folds.table_of(4)
    train, _ = stacking_parts(table, plan.folds.folds[4], plan.clips, plan.classes)
    speaker = {clip.clip_id: clip.speaker for clip in plan.clips}
    assert table.protocol == "speaker_k" and len({speaker[clip] for clip in train}) == 1  # the stack is trained on one of two speakers
    with pytest.raises(ValueError, match=r"name no protocol twice, got speaker_k, speaker_k"):
        make_plan(small_config(protocol__name="speaker_k,speaker_k"), prepared)


def test_each_protocol_has_its_own_findings(prepared):
    plan = make_plan(small_config(protocol__name=TWO), prepared)
    (found,) = audit(plan, prepared)
    assert (found.name, found.protocol, found.allowed_by) == ("speaker_in_two_parts", "random_k", "protocol random_k")
    assert found.as_dict()["protocol"] == "random_k"


def test_the_gap_is_measured_and_shown(prepared, tmp_path, capsys):
    experiment = small_config(tmp_path / "run", protocol__name=TWO, train__stages=("svm",))
    results = check_results(train_grid(experiment, prepared).to_json())
    assert results["protocol"] == "speaker_k" and results["leaks"] == [] and results["speaker_independent"]
    assert [(entry["protocol"], entry["leaks"], entry["num_clips"]) for entry in results["protocols"]] == [
        ("random_k", ["speaker_in_two_parts"], 96),
        ("speaker_k", [], 96),
    ]
    pooled = [entry["metrics"]["uar"]["pooled"] for entry in results["protocols"]]
    assert [one["fold"] for one in results["calibration"]["scaled"]["temperatures"]] == ["fold1", "fold2", "fold3"]
    folds = make_plan(experiment, prepared).folds.tables[-1].folds
    assert [entry["num_train"] for entry in results["per_fold"]] == [len(fold.train) for fold in folds]
    gap = results["gaps"][0]
    assert gap["metric"] == "uar" and gap["paired"] and gap["difference"] == pytest.approx(pooled[0] - pooled[1])
    assert gap["difference"] > 0.1 and gap["ci95"][0] < gap["difference"] < gap["ci95"][1]
    for name in ("predictions.csv", "predictions-random_k.csv"):
        with (tmp_path / "run" / name).open() as stream:
            rows = list(csv.DictReader(stream))
        assert sorted(row["clip"] for row in rows) == sorted(clip.clip_id for clip in prepared.clips)
    text = capsys.readouterr().out
    assert "Gaps\n" in text and "random_k - speaker_k" in text
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<h3>Gaps</h3>" in page and "random_k - speaker_k" in page

    assert (tmp_path / "run" / "tables" / "gaps.csv").read_text().startswith("between,metric,gap,p\nrandom_k - speaker_k,UAR,")

    # A comparison takes the run's own protocol, or the one that is named, with its flagged leaks.
    for folder, protocol, leaks in (("run", "speaker_k", 0), ("run:random_k", "random_k", 1), ("run:speaker_k", "speaker_k", 0)):
        entry, _ = read_run(tmp_path / folder)
        assert entry.protocol == protocol and sum(caveat.startswith("leak") for caveat in entry.caveats) == leaks
        assert np.mean(entry.predictions.label == entry.predictions.probabilities.argmax(axis=1)) == pytest.approx(
            next(one for one in results["protocols"] if one["protocol"] == protocol)["metrics"]["war"]["pooled"]
        )
    with pytest.raises(ComparisonError, match=r"was run under random_k, speaker_k; expected one of these after the colon, got 'luna5'"):
        read_run(tmp_path / "run:luna5")

    # Evaluating again gives the same results, and the audit reads both files.
    before = (tmp_path / "run" / "predictions-random_k.csv").read_bytes()
    again = evaluate(experiment, prepared).to_json()
    assert (tmp_path / "run" / "predictions-random_k.csv").read_bytes() == before
    assert {**again, "seconds": 0} == {**results, "seconds": 0}
    lines = before.decode().splitlines(keepends=True)
    (tmp_path / "run" / "predictions-random_k.csv").write_text("".join(lines[:-1]))
    dropped = [finding for finding in audit_run(experiment, prepared) if finding.stops]
    assert [(finding.name, finding.protocol) for finding in dropped] == [("clip_dropped", "random_k")]


@dataclasses.dataclass(frozen=True)
class UniformOutcome:
    """An outcome with uniform probabilities; it records the trials that predict."""

    stage: Stage
    asked: list[int] = dataclasses.field(default_factory=list)

    def score(self, position):
        return 0.0

    def probabilities(self, positions, rows):
        self.asked.extend(positions)
        return [np.full((len(own), 4), 0.25) for own in rows]


@pytest.mark.parametrize("select", ["validation", "test"])
def test_calibration_uses_the_validation_part_whatever_selects(prepared, select, tmp_path):
    plan = make_plan(small_config(protocol__name=TWO, protocol__select=select), prepared)
    for table, span in plan.folds.spans():
        outcome = UniformOutcome(plan.stages[-1])
        tested, validated = predict_tests_and_validation(plan, outcome, tmp_path, folds=span)
        assert outcome.asked == list(span)
        for fold in table.folds:
            assert tuple(sorted(tested.clip[tested.fold == fold.name])) == fold.test
            assert tuple(sorted(validated.clip[validated.fold == fold.name])) == fold.validation
        assert len(tested.clip) == 96 and (tested.classes, set(validated.seed)) == (EMOTIONS, {0})


def test_many_predictions_are_made_in_pieces_and_lie_in_files(prepared, tmp_path, monkeypatch):
    plan = make_plan(small_config(train__seeds=(0, 1)), prepared)
    outcome = UniformOutcome(plan.stages[-1])
    expected = predict_tests_and_validation(plan, outcome, tmp_path)
    monkeypatch.setattr(stored_predictions, "MANY_ROWS", 60)
    found = predict_tests_and_validation(plan, outcome, tmp_path)
    assert all(isinstance(one, stored_predictions.StoredPredictions) for one in found)
    assert [largest_difference(*pair) for pair in zip(expected, found, strict=True)] == [0, 0]


def test_a_stacked_network_is_calibrated_on_clips_that_it_has_not_trained_on(prepared):
    plan = make_plan(small_config(protocol__name=TWO), prepared)
    stack = Stage("stack", ("audio",), part="stack")
    for trial in plan.trials:
        train, _ = plan.part_clips(stack, trial)
        found, fold = set(plan.validation_clips(stack, trial)), plan.folds.folds[trial.fold]
        assert found and found <= set(fold.validation) and not found & set(train)


def test_the_work_directory_of_several_protocols_has_no_comma():
    assert str(small_config(protocol__name=TWO).run_directory) == "runs/made-small-random_k+speaker_k"


def test_a_single_protocol_has_no_joined_folds(prepared):
    plan = make_plan(small_config(protocol__name="speaker_k"), prepared)
    assert plan.folds.joined == () and plan.folds.tables == (plan.folds,)
    assert dataclasses.replace(plan.folds).content_hash == plan.folds.content_hash
