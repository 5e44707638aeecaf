"""Counted products of the made-up experiment: multiplications of loops and of convolutions."""

from __future__ import annotations

import jax
import numpy as np

from benchmarks import made_experiment


def test_products_are_counted_as_they_run():
    def loop(x, w):
        return jax.lax.scan(lambda carry, _: (carry @ w, None), x, None, length=5)[0]

    jaxpr = jax.make_jaxpr(loop)(np.zeros((3, 4), np.float32), np.zeros((4, 4), np.float32)).jaxpr
    assert made_experiment.count_products(jaxpr) == 5 * 2 * 3 * 4 * 4


def test_zeros_that_a_convolution_multiplies_in_vain_are_not_counted():
    plan = made_experiment.plan("small_video", {"video": (2, 32, 32, 1)}, num_clips=48, num_folds=3)
    stage = plan.stages[0]
    assert 0 < made_experiment.product_flops(plan, stage) < made_experiment.every_product_flops(plan, stage)
