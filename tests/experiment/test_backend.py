"""Settings of XLA: the number of cores of a product (one where trials share the cores, all for large convolutions), and precision."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from packaging.requirements import Requirement

from avemo_jax.config import Experiment, parse
from avemo_jax.experiment import backend
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.features import FLAGS_BY_JAX, compiler_flags
from avemo_jax.experiment.live_features import encodes
from configs import demo

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
ONE_CORE = "--xla_cpu_multi_thread_eigen=false"


def demo_of(system: str, **devices: Any) -> Experiment:
    experiment = parse(demo.get_config(system).to_dict())
    return dataclasses.replace(experiment, devices=dataclasses.replace(experiment.devices, **devices))


@pytest.mark.parametrize(("system", "has_encoder"), [("audio", False), ("audio_video", False), ("contextual_temporal", True)])
def test_predict_encodes_on_all_cores_and_training_shares_them(system, has_encoder, monkeypatch):
    config = demo_of(system, compilation_cache=False)
    assert encodes(config) == has_encoder
    monkeypatch.setenv("XLA_FLAGS", "")
    calls: list[bool] = []
    monkeypatch.setattr(backend, "keep_freed_memory", lambda: calls.append(True))
    set_up_backend(config, encodes=encodes(config))
    assert bool(calls) == has_encoder
    assert (ONE_CORE in os.environ["XLA_FLAGS"]) != has_encoder
    assert (compiler_flags() in os.environ["XLA_FLAGS"]) == (has_encoder or not compiler_flags())
    set_up_backend(config)
    assert ONE_CORE in os.environ["XLA_FLAGS"]


def test_flags_are_of_supported_versions_of_jax():
    """An entry of FLAGS_BY_JAX is obsolete once requirements.txt no longer supports its version."""
    (supported,) = (Requirement(line.split("#")[0]) for line in REQUIREMENTS.read_text().splitlines() if re.match(r"jax\b", line))
    assert [version for version in FLAGS_BY_JAX if not supported.specifier.contains(f"{version[0]}.{version[1]}.999")] == []


@pytest.mark.parametrize(
    ("precision", "lowered"),
    [
        ("default", "precision = [DEFAULT, DEFAULT]"),
        ("bfloat16", "lhs_precision_type = bf16"),
        ("tensorfloat32", "precision = [HIGH, HIGH]"),
        ("float32", "precision = [HIGHEST, HIGHEST]"),
    ],
)
def test_products_are_compiled_in_the_configured_precision(precision, lowered, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    config = demo_of("audio", compilation_cache=False, product_precision=precision)
    try:
        set_up_backend(config)
        text = jax.jit(lambda x: x @ x).lower(np.zeros((2, 2), np.float32)).as_text()
    finally:
        jax.config.update("jax_default_matmul_precision", None)
    assert lowered in text


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match=r"product_precision must be one of .*'bfloat16'.* got 'float8'"):
        set_up_backend(demo_of("audio", product_precision="float8"))
