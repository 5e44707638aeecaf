"""A system of three streams, from random sets to results; two of its streams are trained together before all three."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from small_experiment import BOTH, NUM_FOLDS, STEP, THREE, flat, rows_of, small_config, small_corpus

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.stages import restore_stages, train_stages
from avemo_jax.modes.evaluate import evaluate
from avemo_jax.modes.train import train
from avemo_jax.runs.run_directory import RunDirectory

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> PreparedCorpus:
    return small_corpus(tmp_path_factory.mktemp("prepared"), THREE)


@pytest.mark.long
def test_three_streams_are_trained_fused_and_evaluated(prepared, tmp_path):
    stages = (*THREE, "fused")
    experiment = small_config(tmp_path / "run", system__streams=THREE, train__stages=stages)
    results = train(experiment, prepared)
    assert [one.stage for one in results.stages] == list(stages)
    assert {row["stage"] for row in rows_of(tmp_path / "run")} == set(stages)
    predictions = (tmp_path / "run" / "predictions.csv").read_bytes()
    assert evaluate(experiment, prepared).metrics == results.metrics
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == predictions
    *_, fused = restore_stages(make_plan(experiment, prepared), tmp_path / "run")
    assert {name.split("/")[0] for name in flat(fused.states[0].best.params)} == {*THREE, "fusion", "head"}
    ensemble = load_ensemble(experiment, dict.fromkeys(THREE, STEP), 10.0, None)
    clip_id = prepared.clips[40].clip_id
    streams = {stream: [one for one in prepared.sets[stream].examples() if one.clip_id == clip_id] for stream in THREE}
    (segment,) = ensemble.predict(streams)
    rows = make_plan(experiment, prepared).data.examples_of([clip_id])
    expected = np.mean(fused.probabilities(list(range(NUM_FOLDS)), [rows] * NUM_FOLDS), axis=0)
    np.testing.assert_allclose(segment.probabilities, expected[0], atol=1e-5)


def test_two_streams_are_trained_together_and_the_last_stage_takes_them_over(prepared, tmp_path):
    """The last stage freezes the branches that it takes over, so that their weights show which stage they come from."""
    together = "+".join(BOTH)
    fields = {"system__streams": THREE, "train__stages": (*BOTH, together, "mouth", "fused"), "train__freeze_earlier": True}
    plan = make_plan(small_config(tmp_path / "run", **fields, protocol__name="holdout_50_25_25"), prepared)
    (tmp_path / "run").mkdir()
    outcomes = {one.stage.name: one for one in train_stages(plan, RunDirectory(tmp_path / "run"))}
    branches = {name: flat(outcome.states[0].best.params) for name, outcome in outcomes.items()}
    learnt = flat(outcomes["fused"].states[0].learner.params)
    for stream, source in (("audio", together), ("video", together), ("mouth", "mouth")):
        names = [name for name in learnt if name.startswith(f"{stream}/")]
        assert names and all(np.array_equal(learnt[name], branches[source][name]) for name in names)
        if source == together:
            assert any(not np.array_equal(learnt[name], branches[stream][name]) for name in names), f"{together} has not trained {stream}"
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == sorted(outcomes)
    for one, other in zip(restore_stages(plan, tmp_path / "run"), outcomes.values(), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.states[0], other.states[0])


def test_the_blueprint_knows_the_shapes_of_trained_states(prepared, tmp_path):
    """Shapes derived from those of the features alone equal those of trained states and of checkpoints."""
    experiment = small_config(
        tmp_path / "run", system__streams=THREE, train__stages=(*BOTH, "fused"), protocol__name="holdout_50_25_25", train__num_epochs=1
    )
    plan = make_plan(experiment, prepared)
    (tmp_path / "run").mkdir()
    outcomes = train_stages(plan, RunDirectory(tmp_path / "run"))
    for outcome in (*outcomes, *restore_stages(plan, tmp_path / "run")):
        expected = plan.blueprint.state_shape(outcome.stage, plan.trials[0])
        assert jax.tree.structure(outcome.states[0]) == jax.tree.structure(expected)
        shapes = [[(leaf.shape, np.dtype(leaf.dtype)) for leaf in jax.tree.leaves(one)] for one in (outcome.states[0], expected)]
        assert shapes[0] == shapes[1]
