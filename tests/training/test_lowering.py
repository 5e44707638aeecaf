"""The training program compiles for accelerators too, as one program and without calls of CPU libraries."""

from __future__ import annotations

import pytest

from benchmarks import made_experiment


@pytest.fixture(scope="module")
def traced():
    plan = made_experiment.plan(
        "contextual_temporal", {"audio": (2, 128), "video": (3, 64)}, num_clips=48, num_folds=3, execution="vmap_scan"
    )
    _, program, lanes = made_experiment.laid_out(plan, "fused")
    states = made_experiment.fresh_states(plan, program, lanes)
    return program._epoch.trace(program._data, lanes, states)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_an_epoch_of_all_folds_is_one_program_for_accelerators(traced, platform):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.while" in text and "custom_call" not in text  # the loop over steps is inside
