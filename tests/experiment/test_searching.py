"""A search within an experiment: each fold is searched by itself, all are trained together, and then the chosen settings are trained."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_schema import check_results
from small_experiment import BOTH, NUM_FOLDS, STEP, only, rows_of, small_config, small_corpus
from tqdm import tqdm

from avemo_jax.data.resident import ResidentSet
from avemo_jax.experiment import searching
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.grid_plan import GridPlan, check_experiment, make_plan
from avemo_jax.experiment.searching import Trainer, search, with_chosen
from avemo_jax.experiment.stages import restore_stages, train_stages
from avemo_jax.modes.evaluate import evaluate as evaluate_run
from avemo_jax.modes.search import join_search
from avemo_jax.modes.train import train as train_grid
from avemo_jax.reporting.side_tables import side_tables
from avemo_jax.runs.preemption import Preempted, StopRequest
from avemo_jax.runs.run_directory import RunDirectory, open_run

SPACE = ("learning_rate=1e-3..1e-1 log", "mixup_alpha=0.0|0.4")
SEARCHED: dict[str, Any] = {
    "train__stages": ("audio",),
    "train__seeds": (0, 1),
    "search__space": SPACE,
    "search__num_settings": 5,
    "search__batch": 2,
    "devices__compilation_cache": False,  # the tests have one for all
}
pytestmark = pytest.mark.slow
ADDRESS = "postgresql+psycopg://me:s3cret@host/db"  # no server has this address: the tests open a file in its place
TOGETHER = {"devices__execution": "vmap_scan"}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def corpus(both):
    return only(both, "audio")


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """A finished run whose five settings a fold were searched side by side, in rounds of two, two and one: config and results."""
    folder = tmp_path_factory.mktemp("runs")
    config = small_config(folder / "run", **SEARCHED, **TOGETHER, search__storage=ADDRESS)
    compiled, opened = [], []
    with pytest.MonkeyPatch.context() as patch:
        program_of, open_storage = searching.program_of, searching.open_storage
        patch.setattr(searching, "program_of", lambda *arguments: compiled.append(program_of(*arguments)) or compiled[-1])
        patch.setattr(searching, "open_storage", lambda one: opened.append(one) or open_storage(f"sqlite:///{folder / 'other.db'}"))
        patch.setattr("sys.argv", ["run.py", f"--config.search.storage={ADDRESS}"])
        results = train_grid(config, corpus)
    assert opened == [ADDRESS]
    return config, results, compiled


def found_in(workdir: Path | str) -> dict[str, Any]:
    return json.loads((Path(workdir) / "search.json").read_text())


def searched(plan: GridPlan, folder: Path) -> dict[str, Any]:
    """Return the content of search.json of a search without the training of the grid."""
    folder.mkdir(exist_ok=True)
    search(plan, RunDirectory(folder), {})
    return found_in(folder)


def test_rounds_of_any_size_are_one_compiled_program(finished):
    _, _, (program,) = finished
    assert program._epoch._cache_size() == 1 and program._init._cache_size() == 1


def test_a_round_is_cut_to_memory_and_finds_the_same(corpus, tmp_path, monkeypatch):
    sizes: list[int] = []
    train_group = searching.train_group
    monkeypatch.setattr(searching, "train_group", lambda **given: sizes.append(len(given["trials"])) or train_group(**given))
    found = {}
    for memory_gib in (0.0, 1e-6):
        fields = SEARCHED | {"search__num_settings": 2, "train__seeds": (0,), "devices__memory_gib": memory_gib}
        found[memory_gib] = searched(make_plan(small_config(tmp_path / "run", **fields), corpus), tmp_path / str(memory_gib))
    assert sizes == [2 * NUM_FOLDS] + [1] * 2 * NUM_FOLDS  # two settings of each fold
    assert found[0.0] == found[1e-6]


def test_the_grid_is_trained_with_the_setting_that_each_fold_chose(finished, corpus):
    config, _, _ = finished
    workdir = Path(config.workdir)
    found = found_in(workdir)
    assert found["space"] == list(SPACE) and found["stage"] == "audio"
    plan = with_chosen(make_plan(config, corpus), workdir)
    assert len(plan.trials) == NUM_FOLDS * 2
    (outcome,) = restore_stages(plan, workdir)
    for fold in found["folds"]:
        assert [one["setting"] for one in fold["settings"]] == [0, 1, 2, 3, 4]
        best = max(fold["settings"], key=lambda one: (one["validation"], -one["setting"]))
        assert best["setting"] == fold["chosen"]
        own = [position for position, trial in enumerate(plan.trials) if trial.fold == fold["index"]]
        for position in own:
            assert {name: plan.trials[position].hyper[name] for name in best["tried"]} == best["tried"]
        # Trained again with the same seeds, its mean score over them is that of the search.
        assert np.mean([outcome.score(position) for position in own]) == pytest.approx(best["validation"])
    assert len({trial.hyper["learning_rate"] for trial in plan.trials}) == NUM_FOLDS
    assert {row["trial"] for row in rows_of(workdir)} == set(range(NUM_FOLDS * 2))  # only those of the grid


def test_results_and_report_show_the_chosen_settings(finished):
    config, results, _ = finished
    written = check_results(results.to_json())
    found = found_in(config.workdir)
    for entry, fold in zip(written["search"], found["folds"], strict=True):
        values = [one["validation"] for one in fold["settings"]]
        assert (entry["fold"], entry["num_settings"], entry["num_failed"]) == (fold["fold"], 5, 0)
        assert entry["validation"] == max(values) and entry["median_validation"] == sorted(values)[2]
    (table,) = [table for table in side_tables(results) if table.name == "search"]
    assert table.header == ["fold", "learning_rate", "mixup_alpha", "validation score", "median score", "settings"]
    assert [row[0] for row in table.rows] == [fold["fold"] for fold in found["folds"]]
    assert "search selected by the score of its own validation part" in (Path(config.workdir) / "report.html").read_text()


def test_evaluate_and_predict_take_the_chosen_settings(finished, corpus):
    config, results, _ = finished
    workdir = Path(config.workdir)
    before = {name: (workdir / name).read_bytes() for name in ("predictions.csv", "search.json", "metrics.jsonl")}
    again = evaluate_run(config, corpus)
    assert {name: (workdir / name).read_bytes() for name in before} == before
    assert again.search == results.search and again.metrics == results.metrics
    ensemble = load_ensemble(config, {"audio": STEP}, 10.0, None)
    assert ensemble.num_members == NUM_FOLDS * 2


def test_a_stop_ends_the_search_between_rounds_and_time_left_counts_from_the_start(corpus, tmp_path):
    stop, bar = StopRequest(), tqdm(total=15, file=io.StringIO())
    trainer = Trainer(make_plan(small_config(tmp_path / "run", **SEARCHED), corpus), stop, bar)
    trainer.finished(6)  # by an earlier start, or by others
    trainer.finished(9)
    assert (bar.initial, bar.n) == (6, 9)
    stop.signal_number = signal.SIGTERM
    with pytest.raises(Preempted):
        trainer.finished(9)


def test_an_unfinished_search_is_named(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"search in .* has not finished \(no search.json\)"):
        with_chosen(make_plan(small_config(tmp_path / "run", **SEARCHED), corpus), tmp_path)


def poisoned(plan: GridPlan, part: str, fold: int) -> GridPlan:
    """Return the plan with changed labels and features of one part of a fold."""
    rows = plan.data.examples_of(getattr(plan.folds.folds[fold], part))
    arrays = {name: np.array(values) for name, values in plan.data.arrays.items()}
    arrays["audio"][rows] = arrays["audio"][rows][..., ::-1] * -7
    arrays["label"][rows] = (arrays["label"][rows] + 1) % 4
    return dataclasses.replace(plan, data=ResidentSet(plan.data.clip_ids, arrays, plan.data.times_s))


def test_a_search_does_not_depend_on_the_test_part(corpus, tmp_path):
    """The labels and features of a fold's test part, on which other folds train and validate, are changed; the fold's search is not."""
    changed = {"search__num_settings": 12, "search__batch": 6, "search__space": SPACE[:1], "train__seeds": (0,), "train__num_epochs": 1}
    config = small_config(tmp_path / "run", **SEARCHED | changed)
    plan = make_plan(config, corpus)
    validated = {clip for fold in plan.folds.folds[1:] for clip in fold.validation}
    assert set(plan.folds.folds[0].test) & validated
    straight = searched(plan, tmp_path / "straight")
    tested, validation = (searched(poisoned(plan, part, 0), tmp_path / part) for part in ("test", "validation"))
    assert tested["folds"][0] == straight["folds"][0]  # the same search, run twice by one process each
    assert tested["folds"][1] != straight["folds"][1]
    assert validation["folds"][0] != straight["folds"][0]


def test_a_field_that_changes_the_program_is_searched_too(corpus, tmp_path):
    fields = {"search__space": ("learning_rate=1e-3..1e-1 log", "streams.audio.dense_units=(4,)|(6,)"), "search__num_settings": 3}
    fields |= {"train__seeds": (0,), "train__num_epochs": 1}
    planned = make_plan(small_config(tmp_path / "run", **SEARCHED | fields, search__sampler="random"), corpus)
    searched(planned, tmp_path / "run")
    plan = with_chosen(planned, tmp_path / "run")
    chosen = [
        next(one["tried"] for one in fold["settings"] if one["setting"] == fold["chosen"]) for fold in found_in(tmp_path / "run")["folds"]
    ]
    widths = {"(4,)": (4,), "(6,)": (6,)}
    for trial in plan.trials:
        assert trial.fields == (("streams.audio.dense_units", widths[chosen[trial.fold]["streams.audio.dense_units"]]),)
        assert plan.blueprint.net(plan.stages[0], trial.fields).streams[0][1].dense_units == trial.fields[0][1]


def test_a_joined_system_is_searched_through_all_its_stages(both, tmp_path):
    """A setting holds in every stage, also in the trials of inner folds, and its score is that of the joined predictions."""
    fields = {"system__streams": BOTH, "train__stages": (*BOTH, "late"), "search__num_settings": 2, "train__seeds": (0,)}
    fields |= {"train__num_epochs": 1, "search__space": SPACE[:1]}
    planned = make_plan(small_config(tmp_path / "run", **SEARCHED | fields), both)
    found = searched(planned, tmp_path / "run")
    plan = with_chosen(planned, tmp_path / "run")
    outcome = train_stages(plan, RunDirectory(tmp_path / "run"))[-1]
    assert found["stage"] == outcome.stage.name == "late"
    for position, fold in enumerate(found["folds"]):
        assert outcome.score(position) == pytest.approx(max(one["validation"] for one in fold["settings"]))


def test_no_password_is_written(finished):
    """The address was used with its password, but neither the files of the run nor the storage contain it."""
    config, _, _ = finished
    workdir = Path(config.workdir)
    paths = [path for path in workdir.parent.rglob("*") if path.is_file()]
    assert {"config.json", "run.json", "search.json", "report.html", "other.db"} <= {path.name for path in paths}
    assert not [path for path in paths if b"s3cret" in path.read_bytes()]
    assert found_in(workdir)["storage"] == "postgresql+psycopg://me:***@host/db"
    with open_run(workdir, config):  # counts as the same config, although the stored one has no password
        pass


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"search__space": ("learning_rate=1",)}, "search.space holds"),
        ({"search__space": ("streams.audio.poolin=mean|last",)}, "no field streams.audio.poolin"),
        ({"search__space": ("train.num_epochs=3|4",)}, "search.space cannot try train.num_epochs"),
        ({"search__space": ("streams.audio.context_units=1|2",)}, "expected a value of type tuple"),
        ({"sweep__momentum": (0.8, 0.9)}, r"search.space and sweep.momentum are both set"),
        ({"search__num_settings": 0}, r"search\.num_settings must be at least 1 .* got 0"),
        ({"search__batch": 0}, r"search\.batch must be at least 1 .* got 0"),
        ({"search__sampler": "grid"}, r"search\.sampler must be one of \('tpe', 'random'\), got 'grid'"),
        ({"search__lease_s": 0.0}, r"search\.lease_s must be above 0"),
        ({"train__stages": ("svm",)}, "search.space searches fields of networks"),
        ({"search__space": ("streams.audio.encoder=none|vggish",)}, "a sweep, search or train.overrides changes the frozen encoder"),
    ],
)
def test_a_search_that_does_not_fit_is_refused_before_anything_is_prepared(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        check_experiment(small_config(tmp_path / "run", **SEARCHED | fields))


def test_joining_a_search_needs_a_search_and_a_server(corpus, tmp_path):
    for fields, message in (
        ({"search__space": ()}, "nothing to search: --config.search.space is empty"),
        ({}, "SQLite supports only one; start a server"),
        ({"search__storage": f"sqlite:///{tmp_path / 's.db'}"}, "SQLite supports only one; start a server"),
    ):
        with pytest.raises(ValueError, match=message):
            join_search(small_config(tmp_path / "run", **SEARCHED | fields), corpus)
    assert not (tmp_path / "run").exists()
