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
    # Largest difference by rounding, in features a hundred times as large as the others: from a computation in float64 the golden
    # values differ by 1.3e-5, the library's float32 on another machine by 3.9e-5, ours by 1.9e-5 at most.
    for layer in range(7):
        expected = golden[f"hidden_{layer}"]
        relative = np.abs(found[0, :200, layer] - expected) / np.abs(expected).max()
        assert relative.max() < 3e-5, f"layer {layer}"
        assert relative.mean() < 5e-7, f"layer {layer}"
