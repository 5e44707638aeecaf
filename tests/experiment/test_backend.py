"""On how many cores XLA spreads a product: one where trials share the cores, all where large convolutions run."""

from __future__ import annotations

import os

import pytest

from avemo_jax.experiment.features import compiler_flags
from avemo_jax.experiment.live_features import encodes
from avemo_jax.experiment.run import set_up_backend
from configs import demo

ONE_CORE = "--xla_cpu_multi_thread_eigen=false"


@pytest.mark.parametrize(("system", "has_encoder"), [("audio", False), ("audio_video", False), ("contextual_temporal", True)])
def test_predict_encodes_on_all_cores_and_training_shares_them(system, has_encoder, monkeypatch):
    config = demo.get_config(system).to_dict()
    config["devices"]["compilation_cache"] = False
    assert encodes(config) == has_encoder
    monkeypatch.setenv("XLA_FLAGS", "")
    set_up_backend(config, encodes=encodes(config))
    assert (ONE_CORE in os.environ["XLA_FLAGS"]) != has_encoder
    assert (compiler_flags() in os.environ["XLA_FLAGS"]) == (has_encoder or not compiler_flags())
    set_up_backend(config)
    assert ONE_CORE in os.environ["XLA_FLAGS"]
