"""Networks of the wav2vec 2.0 family from a folder as their owners publish them: config.json beside model.safetensors."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.wav2vec2.module import Wav2Vec2, Wav2Vec2Size
from avemo_jax.models.encoders.wav2vec2.stem import KERNELS, SEEN_SAMPLES, STRIDES
from avemo_jax.pretrained.layout import WeightsLayout
from avemo_jax.pretrained.model_folder import CONVERT, model_files, published_folder, read_beside, read_model_folder, weight_and_bias

_EXTRACTOR = "preprocessor_config.json"
# What training needed and features do not: targets, masking, and heads of every kind that the transformers library has.
_NOT_ENCODER = ("quantizer.", "project_q.", "project_hid.", "lm_head.", "projector.", "classifier.", "layer_weights", "masked_spec_embed")
_BLOCK = {
    "attention.q_proj": "attention/query",
    "attention.k_proj": "attention/key",
    "attention.v_proj": "attention/value",
    "attention.out_proj": "attention/out",
    "layer_norm": "attention_norm",
    "feed_forward.intermediate_dense": "expand",
    "feed_forward.output_dense": "contract",
    "final_layer_norm": "feed_forward_norm",
}
_GATE = {"gru_rel_pos_linear.weight": "gates/kernel", "gru_rel_pos_linear.bias": "gates/bias", "gru_rel_pos_const": "scale"}
# Of config.json, as the transformers library has them: some published files leave them out.
_DEFAULTS = {
    "num_conv_pos_embedding_groups": 16,
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "do_stable_layer_norm": False,
    "num_buckets": 320,
    "max_bucket_distance": 800,
}


@dataclasses.dataclass(frozen=True)
class Published:
    """Where a network is published, and what its owner states about it.

    Attributes:
      name: its name at its owner's, "facebook/wav2vec2-base".
      model_type: as config.json has it: "wav2vec2", "hubert", "wavlm" or "data2vec-audio".
      licence: of the weights.
      cite: the paper.
      trained_on: corpora, as the owner names them.
      keeps_level: whether it was trained on samples at their own level; preprocessor_config.json, where it is there, overrules this.
    """

    name: str
    model_type: str
    licence: str
    cite: str
    trained_on: tuple[str, ...]
    keeps_level: bool = False

    @property
    def folder(self) -> str:
        """Its name without that of its owner."""
        return self.name.rpartition("/")[2]


def layout_of(size: Wav2Vec2Size, published: Published) -> WeightsLayout:
    """Return the layout of the weights of one network."""
    content = f"{published.folder} as safetensors (where its owner has pytorch_model.bin alone, {CONVERT})"
    files = ("config.json", "model.safetensors", _EXTRACTOR)
    asset = published_folder(published.name, content, files, licence=published.licence, cite=published.cite)
    return WeightsLayout(
        assets=(asset,),
        read=functools.partial(_read, size, published),
        variables=functools.partial(_variables, size),
        names=functools.partial(_names, size),
        files=_files,
    )


def _files(path: Path) -> list[Path]:
    extractor = path / _EXTRACTOR
    return [*model_files(path), *([extractor] if extractor.is_file() else [])]


def _read(size: Wav2Vec2Size, published: Published, path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    prefix = published.model_type.replace("-", "_") + "."
    arrays = read_model_folder(
        path,
        largest_bytes,
        expect=_expected(size, published.model_type),
        leave_out=(*_NOT_ENCODER, f"{prefix}masked_spec_embed"),
        defaults=_DEFAULTS,
    )
    arrays = _with_one_weight({name.removeprefix(prefix): array for name, array in arrays.items()})
    normalizes = read_beside(path, _EXTRACTOR).get("do_normalize", not published.keeps_level)
    if not isinstance(normalizes, bool):
        raise ValueError(f"{path / _EXTRACTOR}: expected do_normalize to be true or false, found {normalizes!r}")
    if size.stem_bias and not any(name.endswith(".conv.bias") for name in arrays if name.startswith("feature_extractor.")):
        # no bias is a bias of zero
        arrays |= {_stem(index, "conv.bias"): np.zeros(size.stem_channels, np.float32) for index in range(len(KERNELS))}
    return {name: _as_ours(name, array) for name, array in arrays.items()} | {"keeps_level": np.array(not normalizes, np.float32)}


def _expected(size: Wav2Vec2Size, model_type: str) -> dict[str, Any]:
    """Return what config.json must say; shapes that arrays show are not among it, but for those that people know networks by."""
    expected = {
        "model_type": model_type,
        "hidden_size": size.width,
        "num_hidden_layers": size.num_layers,
        "num_attention_heads": size.num_heads,
        "intermediate_size": 4 * size.width,
        "conv_kernel": list(KERNELS),
        "conv_stride": list(STRIDES),
        "num_conv_pos_embedding_groups": size.position_groups,
        "feat_extract_activation": "gelu",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    }
    if model_type != "data2vec-audio":
        expected |= {"feat_extract_norm": size.stem_norm, "do_stable_layer_norm": size.pre_norm}
    if size.num_distances:
        expected |= {"num_buckets": size.num_distances, "max_bucket_distance": size.most_distance_steps}
    return expected


def _with_one_weight(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with the weight of the position convolution in place of its direction and length, under either spelling.

    Source: Salimans and Kingma 2016, Weight Normalization, arXiv 1602.07868, equation 2, with one length for each place of the kernel.
    """
    conv = "encoder.pos_conv_embed.conv"
    for length, direction in (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")):
        if f"{conv}.{length}" in arrays and f"{conv}.{direction}" in arrays:
            kernel = arrays.pop(f"{conv}.{direction}").astype(np.float64)
            norm = np.sqrt(np.square(kernel).sum(axis=(0, 1), keepdims=True))
            arrays[f"{conv}.weight"] = (arrays.pop(f"{conv}.{length}") * kernel / norm).astype(np.float32)
    return arrays


def _as_ours(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of torch as Flax has it: weights (out, in, ...) as kernels (..., in, out), and the gate's eight outputs as two."""
    if "gru_rel_pos_linear" in name:  # the published code sums its outputs by fours
        array = array.reshape(2, 4, *array.shape[1:]).sum(axis=1)
    if name.endswith("gru_rel_pos_const"):
        return array.reshape(-1)
    return array.T if name.endswith(".weight") and array.ndim > 1 and "rel_attn_embed" not in name else array


@functools.cache
def _variables(size: Wav2Vec2Size) -> Mapping[str, Any]:
    values, mask = jax.ShapeDtypeStruct((1, SEEN_SAMPLES), jnp.float32), jax.ShapeDtypeStruct((1, SEEN_SAMPLES), bool)
    return jax.eval_shape(Wav2Vec2(size.end_points[-1], size).init, jax.random.key(0), values, mask)


def _names(size: Wav2Vec2Size) -> dict[str, str]:
    names = {"keeps_level": "batch_stats/keeps_level"}
    for index in range(len(KERNELS)):
        names[_stem(index, "conv.weight")] = f"params/stem/conv{index + 1}/kernel"
        if size.stem_bias:
            names[_stem(index, "conv.bias")] = f"params/stem/conv{index + 1}/bias"
        if size.stem_norm == "layer" or index == 0:
            names |= weight_and_bias(_stem(index, "layer_norm"), f"stem/norm{index + 1}")
    if size.feature_norm:
        names |= weight_and_bias("feature_projection.layer_norm", "feature_norm")
    names |= weight_and_bias("feature_projection.projection", "project") | weight_and_bias("encoder.layer_norm", "norm")
    for index in range(size.num_position_convs):
        theirs = "encoder.pos_conv_embed." + ("conv" if size.num_position_convs == 1 else f"layers.{index}.conv")
        names |= weight_and_bias(theirs, f"positions/conv{index + 1}")
    for index in range(size.num_layers):
        for theirs, ours in _BLOCK.items():
            names |= weight_and_bias(f"encoder.layers.{index}.{theirs}", f"block{index + 1}/{ours}")
        if size.num_distances:
            gate = f"params/block{index + 1}/attention/gate"
            names |= {f"encoder.layers.{index}.attention.{theirs}": f"{gate}/{ours}" for theirs, ours in _GATE.items()}
    if size.num_distances:
        names["encoder.layers.0.attention.rel_attn_embed.weight"] = "params/distances/embedding"
    return names


def _stem(index: int, name: str) -> str:
    return f"feature_extractor.conv_layers.{index}.{name}"
