"""Adaptation of a finished run: what is given is named everywhere, and nothing else of the test speakers is used."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json

import numpy as np
import pytest
from made_sets import segment, write_set
from small_experiment import EMOTIONS, small_clips, small_config

from avemo_jax.clips import SharedMedia
from avemo_jax.comparison.compare import read_entries
from avemo_jax.comparison.entries import ComparisonError
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.adapting import choose_weights, enrolments_of
from avemo_jax.experiment.classical_stage import statistics_with_copies
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.speaker_models import ProbabilitySource, with_own_statistics
from avemo_jax.experiment.stages import restore_last
from avemo_jax.modes.adapt import adapt_run
from avemo_jax.modes.train import train as train_grid
from avemo_jax.reporting.board import board_tables, read_board
from avemo_jax.reporting.tables import table_text

SHARED = SharedMedia("s0-happy-0", "s0-happy-1", "bytes", "equal")
SETTINGS = {"adaptation__num_labelled": (3, 1), "adaptation__num_draws": 3, "adaptation__num_tested": 1}


def config(folder, **fields):
    return small_config(folder, **{"train__stages": ("linear",)} | SETTINGS | fields)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> PreparedCorpus:
    """Speakers whose features are shifted along the very direction that tells emotions apart; take 0 to 2 say "a", the others "b"."""
    clips = small_clips(num_speakers=6, num_takes=5)
    clips = tuple(dataclasses.replace(clip, sentence="a" if clip.clip_id[-1] in "012" else "b") for clip in clips)

    def sound(i):
        made = segment(3, 4, i)
        shift = 3.0 * np.random.default_rng(int(clips[i].speaker[1:])).normal(size=4)
        values = 1.5 * made.values + shift.astype(np.float32)
        values[:, EMOTIONS.index(clips[i].label)] += 1.5
        return [dataclasses.replace(made, values=values)]

    audio = write_set(tmp_path_factory.mktemp("adapt"), clips, sound, step_shape=(4,))
    return PreparedCorpus(clips, {"audio": audio}, None, shared_media=(SHARED,))


@pytest.fixture(scope="module")
def adapted(prepared, tmp_path_factory):
    own = config(tmp_path_factory.mktemp("linear") / "run")
    train_grid(own, prepared)
    return own, adapt_run(own, prepared)


def rows_of(own, protocol: str) -> list[dict[str, str]]:
    with (own.run_directory / "adaptation" / f"predictions-{protocol}.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_condition_is_named_and_measured_on_the_same_clips(adapted):
    own, panel = adapted
    names = [f"speaker_k{statistics}+labelled{number}" for statistics in ("", "+own_statistics") for number in (0, 1, 3)]
    assert [one["protocol"] for one in panel["conditions"]] == [*names, *(f"{name}+other_sentences" for name in names)]
    given = {one["protocol"].removeprefix("speaker_k"): one["findings"] for one in panel["conditions"]}
    assert given["+labelled0"] == [] and given["+labelled3"] == ["adapted_to_speaker"]
    assert given["+own_statistics+labelled0"] == ["transductive"]
    assert given["+own_statistics+labelled1"] == ["transductive", "adapted_to_speaker"]
    first, *others = ([(row["clip"], row["draw"]) for row in rows_of(own, name)] for name in names)
    assert all(one == first for one in others)
    # Of five clips a class three are labelled at most; two clips of one recording are always tested.
    assert len(first) == 3 * (6 * 4 * 2) and {("s0-happy-0", str(draw)) for draw in range(3)} <= set(first)
    assert panel["conditions"][2]["labelled_clips"] == {"mean": 12.0, "lowest": 12, "highest": 12}
    uar = {one["protocol"].removeprefix("speaker_k"): one["metrics"]["uar"]["pooled"] for one in panel["conditions"]}
    assert uar["+labelled3"] > uar["+labelled0"] + 0.1 and uar["+own_statistics+labelled0"] > uar["+labelled0"] + 0.1
    difference = panel["conditions"][2]["difference"]["uar"]
    assert difference["difference"] == pytest.approx(uar["+labelled3"] - uar["+labelled0"])
    # Of other sentences, each draw labels those of one sentence and tests those of the other one.
    first, *others = ([(row["clip"], row["draw"]) for row in rows_of(own, f"{name}+other_sentences")] for name in names)
    assert all(one == first for one in others) and all(
        len({clip[-1] in "012" for clip, other in first if (clip.split("-")[0], other) == (speaker, draw)}) == 1
        for speaker in {clip.split("-")[0] for clip, _ in first}
        for draw in "012"
    )
    assert json.loads((own.run_directory / "adaptation.json").read_text()) == panel


def test_without_labelled_clips_the_answers_are_those_of_the_run(adapted):
    own, _ = adapted
    with (own.run_directory / "predictions.csv").open() as stream:
        of_run = {row["clip"]: row for row in csv.DictReader(stream)}
    for row in rows_of(own, "speaker_k+labelled0"):
        assert all(row[name] == of_run[row["clip"]][name] for name in ("predicted", "label", "fold", "p_sad"))


def test_report_board_and_comparison_keep_them_apart(adapted):
    own, _ = adapted
    folder = own.run_directory
    page = (folder / "report.html").read_text()
    assert '<h2 id="adaptation">' in page and "with own statistics (transductive)" in page and "adapted_to_speaker" in page
    assert "adapted_to_speaker" in (folder / "tables" / "adaptation.csv").read_text()
    assert (folder / "adaptation.svg").read_text().startswith("<svg") and (folder / "adaptation_other_sentences.svg").is_file()
    results = json.loads((folder / "results.json").read_text())
    assert results["protocol"] == "speaker_k" and results["leaks"] == []
    rows, _ = read_board([folder])
    found = {row.protocol: (row.speakers, tuple(row.leaks)) for row in rows}
    assert found["speaker_k"] == ("new", ()) and found["speaker_k+labelled3"] == ("adapted to", ("adapted_to_speaker",))
    assert len(rows) == 1 + 2 * 5  # the run on the tested clips without adaptation is no row of its own
    of_runs, by_protocol = board_tables(rows, folder)
    assert "speaker_k+own_statistics+labelled3" in table_text(of_runs) and by_protocol.header == ["system", "speaker_k", "missing"]
    text = f"theirs={folder}/adaptation/predictions-speaker_k+labelled3.csv;seed=draw"
    with pytest.raises(ComparisonError, match="were given clips of the test speakers"):
        read_entries([str(folder)], [text], lambda corpus, stem: None)
    entries, _ = read_entries([str(folder)], [f"{text};leaks=adapted_to_speaker"], lambda corpus, stem: None)
    assert entries[1].caveats == ("leak: adapted_to_speaker",)


def test_weights_are_chosen_without_the_test_part(adapted, prepared):
    own, panel = adapted
    plan = make_plan(own, prepared)
    stage, settings = plan.stages[-1], dataclasses.replace(own.adaptation, num_labelled=(0, 1, 3))
    is_tested = np.isin([clip.clip_id for clip in plan.clips], plan.folds.folds[0].test)
    wrong = dataclasses.replace(plan, classes=tuple(int(one) for one in np.where(is_tested, 0, plan.classes)))
    found = statistics_with_copies(plan, stage)
    shifted = dataclasses.replace(found, features=np.where(is_tested[found.clip, None], -7.0, found.features))
    shared = frozenset((SHARED.first, SHARED.second))
    expected = {
        one["num_labelled"]: next((of["weight"], of["is_chosen"]) for of in one["weights"] if of["fold"] == plan.folds.folds[0].name)
        for one in panel["conditions"]
        if one["own_statistics"] and not one["other_sentences"]
    }
    assert any(weight for weight, _ in expected.values()) and all(is_chosen for _, is_chosen in expected.values())
    for changed, statistics in ((wrong, found), (plan, shifted)):
        source = with_own_statistics(changed, stage, statistics)
        draw = functools.partial(enrolments_of, changed, settings=settings, always_tested=shared, other_sentences=False)
        assert choose_weights(changed, source.to_choose_on(0), settings.num_labelled, draw) == expected


def test_with_one_training_speaker_the_weight_is_fixed(prepared, tmp_path):
    plan = make_plan(config(tmp_path / "run"), prepared)
    of_s0, of_s1 = ([clip.clip_id for clip in plan.clips if clip.speaker == speaker] for speaker in ("s0", "s1"))
    own = {"train": tuple(clip for clip in of_s0 if clip[-1] != "4"), "validation": tuple(clip for clip in of_s0 if clip[-1] == "4")}
    fold = dataclasses.replace(plan.folds.folds[0], **own, test=tuple(of_s1))
    plan = dataclasses.replace(plan, folds=dataclasses.replace(plan.folds, folds=(fold, *plan.folds.folds[1:])))
    source = with_own_statistics(plan, plan.stages[-1], statistics_with_copies(plan, plan.stages[-1]))
    assert [one.speaker for one in source.of_tests(0)] == ["s1"] and not list(source.to_choose_on(0))
    assert choose_weights(plan, [], (0, 1), dict) == {0: (0.0, False), 1: (300.0, False)}


@pytest.mark.parametrize("stage", ["svm", pytest.param("audio", marks=pytest.mark.long)])  # a network shows no more
def test_other_systems_are_adapted_by_their_probabilities(prepared, tmp_path, capsys, stage):
    own = config(tmp_path / "run", train__stages=(stage,), train__num_epochs=6)
    train_grid(own, prepared)
    panel = adapt_run(own, prepared)
    assert panel["machine"] == "probabilities" and [one["num_labelled"] for one in panel["conditions"]] == 2 * [0, 1, 3]
    assert "own statistics: the system would have to be trained with them" in capsys.readouterr().out
    plan = make_plan(own, prepared)
    source = ProbabilitySource(plan, restore_last(plan, own.run_directory))
    validation = {clip.speaker for clip in plan.clips if clip.clip_id in plan.folds.folds[0].validation}
    assert {one.speaker for one in source.to_choose_on(0)} == validation


def test_protocols_that_share_speakers_are_refused(prepared, tmp_path):
    own = config(tmp_path / "run", protocol__name="random_k", protocol__allow_leaks=("same_bytes_in_two_parts",))
    train_grid(own, prepared)
    with pytest.raises(ValueError, match="random_k trains on the speakers that it tests"):
        adapt_run(own, prepared)
