"""Tables of stages, settings and searches, and none for a plain run."""

from __future__ import annotations

import dataclasses

from compared_systems import CLASSES, FACTS, some_predictions

from avemo_jax.evaluation.results import FoldResult, RunResults, SearchResult, SettingResult, StageResult
from avemo_jax.evaluation.summary import summarise
from avemo_jax.reporting.side_tables import side_tables
from avemo_jax.reporting.tables import table_text

METRICS = {"uar": 0.5, "war": 0.25, "macro_f1": 0.4, "weighted_f1": 0.3, "ece": 0.1}


def plain() -> RunResults:
    return summarise(some_predictions(), FACTS, num_resamples=20)


def test_stages_and_settings_are_rows():
    tried = {"streams.audio.context_units": [256], "learning_rate": 0.1}
    settings = (
        SettingResult(setting=0, tried=tried, validation=0.75, metrics=METRICS),
        SettingResult(setting=1, tried=tried | {"streams.audio.context_units": [256, 256]}, validation=None, metrics=METRICS),
    )
    recall = {name: 0.25 * place for place, name in enumerate(CLASSES)}
    stages = (
        StageResult(stage="audio", num_params=1234, metrics=METRICS),  # of an earlier version
        StageResult(stage="fused", num_params=2, metrics=METRICS, per_class_recall=recall),
    )
    first, by_class, second = side_tables(dataclasses.replace(plain(), stages=stages, settings=settings))
    assert by_class.header == ["class", "fused"] and [row[1] for row in by_class.cells] == ["0.0", "25.0", "50.0", "75.0"]
    assert first.cells[0] == ["audio", "1,234", "50.0", "25.0", "40.0", "30.0", "10.0"]
    assert second.header[:3] == ["context_units", "learning_rate", "validation score"]
    assert second.cells[1][:4] == ["(256, 256)", "0.1", "failed", "50.0"]
    lines = table_text(second).splitlines()
    assert lines[0] == "Settings" and len({len(line) for line in lines[1:4]}) == 1


def test_a_search_is_a_row_a_fold():
    found = SearchResult(
        fold="fold1", num_settings=5, num_failed=2, setting=3, tried={"learning_rate": 0.012345}, validation=0.5, median_validation=0.25
    )
    (table,) = side_tables(dataclasses.replace(plain(), search=(found,)))
    assert table.cells == [["fold1", "0.0123", "0.500", "0.250", "5, 2 failed"]]


def test_across_corpora_is_a_matrix_of_means_over_seeds():
    plain_results = plain()
    folds = [
        FoldResult(fold=fold, seed=seed, num_clips=4, metrics=METRICS | {"uar": uar})
        for fold, seed, uar in (("tess", 0, 0.25), ("ravdess", 0, 0.5), ("tess", 1, 0.75), ("ravdess", 1, 0.7))
    ]
    changed = dataclasses.replace(plain_results, protocol="cross_corpus", corpus="tess+ravdess", per_fold=tuple(folds))
    (table,) = side_tables(changed)
    assert table.header == ["trained on", "metric", "tested on ravdess", "tested on tess"]
    assert table.cells[0] == ["tess", "UAR", "60.0", "-"] and table.cells[2] == ["ravdess", "UAR", "-", "50.0"]


def test_a_plain_run_has_none():
    assert side_tables(plain()) == []
