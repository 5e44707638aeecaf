"""Whisper's encoder from a folder as its owner publishes it: config.json beside model.safetensors."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.whisper.module import Whisper, WhisperSize
from avemo_jax.pretrained.layout import WeightsLayout
from avemo_jax.pretrained.model_folder import model_files, published_folder, read_model_folder, weight_and_bias

LICENCE = "MIT"
_CITE = "Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, arXiv 2212.04356"
# The rest of the network: it writes text.
_NOT_ENCODER = ("model.decoder.", "decoder.", "proj_out.")
_BLOCK = {
    "self_attn_layer_norm": "attention_norm",
    "self_attn.q_proj": "attention/query",
    "self_attn.k_proj": "attention/key",
    "self_attn.v_proj": "attention/value",
    "self_attn.out_proj": "attention/out",
    "final_layer_norm": "feed_forward_norm",
    "fc1": "expand",
    "fc2": "contract",
}


def layout_of(size: WhisperSize, published_as: str) -> WeightsLayout:
    """Return the layout of the weights of one size; `published_as` is its name at the owner's, "whisper-base"."""
    content, files = f"Whisper, {published_as}, safetensors", ("config.json", "model.safetensors")
    asset = published_folder(f"openai/{published_as}", content, files, licence=LICENCE, cite=_CITE)
    return WeightsLayout(
        assets=(asset,),
        read=functools.partial(_read, size),
        variables=functools.partial(_variables, size),
        names=functools.partial(_names, size),
        files=model_files,
    )


def _read(size: WhisperSize, path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    arrays = read_model_folder(
        path,
        largest_bytes,
        expect={
            "model_type": "whisper",
            "d_model": size.width,
            "encoder_layers": size.num_layers,
            "encoder_attention_heads": size.num_heads,
            "num_mel_bins": size.num_mels,
        },
        leave_out=_NOT_ENCODER,
    )
    return {name.removeprefix("model.").removeprefix("encoder."): _as_kernel(name, array) for name, array in arrays.items()}


def _as_kernel(name: str, array: np.ndarray) -> np.ndarray:
    """Return a weight of torch, (out, in, ...), as a kernel of Flax, (..., in, out)."""
    return array.T if name.endswith(".weight") and array.ndim > 1 and "embed_positions" not in name else array


@functools.cache
def _variables(size: WhisperSize) -> Mapping[str, Any]:
    values, mask = jax.ShapeDtypeStruct((1, 2, size.num_mels), jnp.float32), jax.ShapeDtypeStruct((1, 2), bool)
    return jax.eval_shape(Whisper(size.end_points[-1], size).init, jax.random.key(0), values, mask)


def _names(size: WhisperSize) -> dict[str, str]:
    names = {"embed_positions.weight": "params/positions"} | weight_and_bias("layer_norm", "norm")
    for conv in ("conv1", "conv2"):
        names |= weight_and_bias(conv, conv)
    for number in range(size.num_layers):
        for theirs, ours in _BLOCK.items():
            names |= weight_and_bias(f"layers.{number}.{theirs}", f"block{number + 1}/{ours}")
        del names[f"layers.{number}.self_attn.k_proj.bias"]
    return names
