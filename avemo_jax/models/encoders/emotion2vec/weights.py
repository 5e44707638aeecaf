"""emotion2vec from a safetensors file with the names of its owner's checkpoint, which is a pickle and is never read."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.emotion2vec.module import Emotion2Vec, Emotion2VecSize
from avemo_jax.models.encoders.wav2vec2.stem import KERNELS, SEEN_SAMPLES
from avemo_jax.pretrained.layout import WeightsLayout
from avemo_jax.pretrained.model_folder import model_files, read_model_folder, weight_and_bias

CONVERT = (
    "emotion2vec is published as a pickle, at https://huggingface.co/emotion2vec/emotion2vec_base. docs/encoders/emotion2vec.md has the "
    "five lines that make emotion2vec.safetensors of it, where torch is; set --config.encoders.emotion2vec_base.weights to that file."
)
_AUDIO = "modality_encoders.AUDIO."
_PREFIX = "d2v_model."  # of checkpoints that were tuned on classes
# What training needed and features do not: the decoder, the teacher, and the classes of tuned networks.
_NOT_ENCODER = (f"{_AUDIO}decoder.", f"{_AUDIO}encoder_mask", "_ema", "ema.", "recon_proj.", "shared_decoder.", "proj.")
_QKV = ("query", "key", "value")
_BLOCK = {"attn.proj": "attention/out", "norm1": "attention_norm", "mlp.fc1": "expand", "mlp.fc2": "contract", "norm2": "feed_forward_norm"}


def layout_of(size: Emotion2VecSize) -> WeightsLayout:
    """Return the layout of the weights of a network."""
    return WeightsLayout(
        assets=(),
        read=functools.partial(_read, size),
        variables=functools.partial(_variables, size),
        names=functools.partial(_names, size),
        files=functools.partial(model_files, convert=CONVERT),
        by_hand=CONVERT,
    )


def _read(size: Emotion2VecSize, path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    left_out = (*_NOT_ENCODER, *(f"{_PREFIX}{name}" for name in _NOT_ENCODER))
    arrays = read_model_folder(path, largest_bytes, expect={}, leave_out=left_out)
    found: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        found |= _as_ours(name.removeprefix(_PREFIX), array)
    return found


def _as_ours(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """Return an array of torch as Flax has it; queries, keys and values are one array there and three here."""
    if name == f"{_AUDIO}alibi_scale":  # (1, 1, A, 1, 1), or without its first axis
        return {name: array.reshape(-1)}
    if name == f"{_AUDIO}extra_tokens":
        return {name: array.reshape(-1, array.shape[-1])}
    if ".attn.qkv." in name and len(array) % 3 == 0:
        return {name.replace(".qkv.", f".{part}."): one.T for part, one in zip(_QKV, np.split(array, 3), strict=True)}
    return {name: array.T}


@functools.cache
def _variables(size: Emotion2VecSize) -> Mapping[str, Any]:
    values, mask = jax.ShapeDtypeStruct((1, SEEN_SAMPLES), jnp.float32), jax.ShapeDtypeStruct((1, SEEN_SAMPLES), bool)
    return jax.eval_shape(Emotion2Vec(size.end_points[-1], size).init, jax.random.key(0), values, mask)


def _names(size: Emotion2VecSize) -> dict[str, str]:
    names = {f"{_AUDIO}extra_tokens": "params/tokens", f"{_AUDIO}alibi_scale": "params/distance_scale"}
    for index in range(len(KERNELS)):
        conv = f"{_AUDIO}local_encoder.conv_layers.{index}"
        names |= {f"{conv}.0.weight": f"params/stem/conv{index + 1}/kernel"} | weight_and_bias(f"{conv}.2.1", f"stem/norm{index + 1}")
    names |= weight_and_bias(f"{_AUDIO}project_features.1", "feature_norm") | weight_and_bias(f"{_AUDIO}project_features.2", "project")
    for index in range(size.num_position_convs):
        names |= weight_and_bias(f"{_AUDIO}relative_positional_encoder.{index + 1}.0", f"positions/conv{index + 1}")
    names |= weight_and_bias(f"{_AUDIO}context_encoder.norm", "norm")
    early = [f"{_AUDIO}context_encoder.blocks.{index}" for index in range(size.num_early)]
    for number, block in enumerate([*early, *(f"blocks.{index}" for index in range(size.num_late))], start=1):
        for theirs, ours in [*_BLOCK.items(), *((f"attn.{part}", f"attention/{part}") for part in _QKV)]:
            names |= weight_and_bias(f"{block}.{theirs}", f"block{number}/{ours}")
    return names
