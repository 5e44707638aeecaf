"""The published weights of Whisper-base: every layer equals the transformers library's on a clip of RAVDESS."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.pretrained.load import load_pretrained


@pytest.mark.golden
def test_every_layer_equals_the_golden_one(tmp_path):
    folder = shared_data("models", "whisper_base")
    golden = np.load(folder / "golden.npz")
    spec = EncoderSpec("whisper_base", layers="all")
    variables, _ = load_pretrained(spec.record.weights, str(folder), tmp_path, spec.variable_shapes((80,), "float32"))
    mel = np.full((1, 3000, 80), golden["mel_fill"], np.float32)
    mel[0, :800] = golden["mel"].T
    found, _ = jax.jit(spec.module().apply)(variables, mel, np.ones((1, 3000), bool))
    for layer in range(7):
        expected = golden[f"hidden_{layer}"]
        np.testing.assert_allclose(found[0, :200, layer], expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=f"layer {layer}")
