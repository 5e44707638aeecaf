"""How the owners of each family of vision transformers write their config and name their arrays."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avemo_jax.models.encoders.vision_transformer.module import VisionDesign

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)  # compared by identity, so that names can be cached
class Family:
    """One family.

    Attributes:
      expect: design -> values that config.json must have.
      section: part of config.json that describes the network, where it describes a second one too.
      defaults: values that the owner's library does not write into that part.
      prefixes: beginnings of names that a folder has or not.
      leave_out: beginnings of names, prefixes included, that are no part of the network.
      block: beginning of the names of a block, "{}" its number from 0.
      names: path of ours, below the block's where it is in a block, -> their name; of a module without, of a leaf with its last part.
      standardise: arrays without prefixes -> those that `names` knows, where files differ from one another or join arrays.
    """

    expect: Callable[[VisionDesign], dict[str, Any]]
    section: str = ""
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    prefixes: tuple[str, ...]
    leave_out: tuple[str, ...]
    block: str
    names: Mapping[str, str]
    standardise: Callable[[Arrays], Arrays] = lambda arrays: arrays

    def name_of(self, path: str) -> str:
        """Return their name of the array at a path of ours, "params/block1/expand/kernel"."""
        own, beginning = path.removeprefix("params/"), ""
        if match := re.fullmatch(r"block(\d+)/(.*)", own):
            own, beginning = match[2], self.block.format(int(match[1]) - 1)
        if own in self.names:
            return beginning + self.names[own]
        module, _, leaf = own.rpartition("/")
        return f"{beginning}{self.names[module]}.{'bias' if leaf == 'bias' else 'weight'}"

    def without_prefix(self, name: str) -> str:
        """Return their name without the first of the prefixes that it has."""
        return next((name.removeprefix(prefix) for prefix in self.prefixes if name.startswith(prefix)), name)


def _size(design: VisionDesign) -> dict[str, Any]:
    return {
        "hidden_size": design.width,
        "num_hidden_layers": design.num_layers,
        "num_attention_heads": design.num_heads,
        "patch_size": design.patch_px,
        "image_size": design.size_px,
        "layer_norm_eps": design.epsilon,
    }


_CLIP_BLOCK = {
    "attention_norm": "layer_norm1",
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/out": "self_attn.out_proj",
    "feed_forward_norm": "layer_norm2",
    "expand": "mlp.fc1",
    "contract": "mlp.fc2",
}
# The names in the files of CLIP's authors, which FaRL's have too -> those of the transformers library.
_OPENAI = {
    "conv1.": "embeddings.patch_embedding.",
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.": "pre_layrnorm.",
    "ln_post.": "post_layernorm.",
    "transformer.resblocks.": "encoder.layers.",
}
_OPENAI_BLOCK = {
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "attn.": "self_attn.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}


def _from_openai(arrays: Arrays) -> Arrays:
    """Return arrays named as CLIP's authors do by the names of the transformers library; others are returned as they are."""
    if "conv1.weight" not in arrays:
        return arrays
    found: Arrays = {}
    for name, array in arrays.items():
        for theirs, ours in _OPENAI.items():
            name = ours + name.removeprefix(theirs) if name.startswith(theirs) else name
        if match := re.fullmatch(r"(encoder\.layers\.\d+\.)(.*)", name):
            own = match[2]
            for theirs, ours in _OPENAI_BLOCK.items():
                own = ours + own.removeprefix(theirs) if own.startswith(theirs) else own
            name = match[1] + own
        joined = re.fullmatch(r"(.*self_attn\.)in_proj_(weight|bias)", name)
        if joined and len(array) % 3 == 0:
            found |= {f"{joined[1]}{part}_proj.{joined[2]}": piece for part, piece in zip("qkv", np.split(array, 3), strict=True)}
        else:
            found[name] = array
    return found


CLIP = Family(
    expect=lambda design: _size(design) | {"model_type": "clip_vision_model", "hidden_act": "quick_gelu"},
    section="vision_config",
    defaults={
        "model_type": "clip_vision_model",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "patch_size": 32,
        "image_size": 224,
        "layer_norm_eps": 1e-5,
        "hidden_act": "quick_gelu",
    },
    prefixes=("vision_model.", "visual."),
    # the tower of texts and the projections that compare it with pictures; of FaRL, what predicts masked patches
    leave_out=(
        *("text_model.", "text_projection", "visual_projection", "logit_scale"),
        *("vision_model.embeddings.position_ids", "embeddings.position_ids", "visual.proj", "proj"),
        *("visual.lm_transformer.", "visual.ln_lm.", "visual.lm_head.", "visual.mask_token"),
    ),
    block="encoder.layers.{}.",
    names=_CLIP_BLOCK
    | {
        "embed/patches": "embeddings.patch_embedding",
        "embed/class_token": "embeddings.class_embedding",
        "embed/positions": "embeddings.position_embedding.weight",
        "first_norm": "pre_layrnorm",  # so misspelt in the library
        "norm": "post_layernorm",
    },
    standardise=_from_openai,
)

_EMBEDDINGS = {
    "embed/patches": "embeddings.patch_embeddings.projection",
    "embed/class_token": "embeddings.cls_token",
    "embed/positions": "embeddings.position_embeddings",
    "embed/registers": "embeddings.register_tokens",
    "norm": "layernorm",
}
_ATTENTION = {
    "attention/query": "attention.attention.query",
    "attention/key": "attention.attention.key",
    "attention/value": "attention.attention.value",
    "attention/out": "attention.output.dense",
}
_VIT = (
    _EMBEDDINGS
    | _ATTENTION
    | {
        "attention_norm": "layernorm_before",
        "feed_forward_norm": "layernorm_after",
        "expand": "intermediate.dense",
        "contract": "output.dense",
    }
)
VIT = Family(
    expect=lambda design: _size(design) | {"model_type": "vit", "hidden_act": "gelu"},
    prefixes=("vit.",),
    leave_out=("classifier.", "pooler.", "vit.pooler.", "embeddings.mask_token", "vit.embeddings.mask_token", "decoder."),
    block="encoder.layer.{}.",
    names=_VIT,
)


def _dinov2(model_type: str) -> Family:
    return Family(
        expect=lambda design: (
            _size(design)
            | {"model_type": model_type, "hidden_act": "gelu", "mlp_ratio": 4, "use_swiglu_ffn": False}
            | ({"num_register_tokens": design.num_registers} if design.num_registers else {})
        ),
        prefixes=(f"{model_type}.",),
        leave_out=("classifier.", "embeddings.mask_token", f"{model_type}.embeddings.mask_token"),
        block="encoder.layer.{}.",
        names=_EMBEDDINGS
        | _ATTENTION
        | {
            "attention_norm": "norm1",
            "attention_scale/scale": "layer_scale1.lambda1",
            "feed_forward_norm": "norm2",
            "feed_forward_scale/scale": "layer_scale2.lambda1",
            "expand": "mlp.fc1",
            "contract": "mlp.fc2",
        },
    )


DINOV2, DINOV2_REGISTERS = _dinov2("dinov2"), _dinov2("dinov2_with_registers")


def _frames(design: VisionDesign) -> dict[str, Any]:
    return _size(design) | {"num_frames": design.num_frames, "tubelet_size": design.tubelet_frames}


def _videomae_names(arrays: Arrays) -> Arrays:
    """Return the biases of queries and values, and the norm behind the mean of fine-tuned networks, by the names of the plain network."""
    renames = {"attention.q_bias": "attention.query.bias", "attention.v_bias": "attention.value.bias"}
    found: Arrays = {}
    for name, array in arrays.items():
        for theirs, ours in renames.items():
            name = name.replace(theirs, ours)
        found[re.sub(r"^fc_norm\.", "layernorm.", name)] = array
    return found


VIDEOMAE = Family(
    expect=lambda design: _frames(design) | {"model_type": "videomae", "hidden_act": "gelu"},
    prefixes=("videomae.",),
    leave_out=("decoder.", "encoder_to_decoder.", "mask_token", "classifier."),
    block="encoder.layer.{}.",
    names=_VIT,
    standardise=_videomae_names,
)


def _marlin_split(arrays: Arrays) -> Arrays:
    """Return arrays with the joined projections to queries, keys and values apart, and their biases beside them."""
    found: Arrays = {}
    for name, array in arrays.items():
        if name.endswith("attn.qkv.weight") and len(array) % 3 == 0:
            beginning = name.removesuffix("qkv.weight")
            found |= {f"{beginning}{part}.weight": piece for part, piece in zip("qkv", np.split(array, 3), strict=True)}
        else:
            found[re.sub(r"attn\.([qv])_bias$", r"attn.\1.bias", name)] = array
    return found


MARLIN = Family(
    expect=lambda design: {
        "model_type": "marlin",
        "encoder_embed_dim": design.width,
        "encoder_depth": design.num_layers,
        "encoder_num_heads": design.num_heads,
        "patch_size": design.patch_px,
        "img_size": design.size_px,
        "n_frames": design.num_frames,
        "tubelet_size": design.tubelet_frames,
    },
    prefixes=("marlin.encoder.", "encoder."),
    leave_out=("marlin.decoder.", "marlin.enc_dec_proj.", "decoder.", "enc_dec_proj."),
    block="blocks.{}.",
    names={
        "embed/patches": "patch_embedding.projection",
        "embed/positions": "pos_embedding.emb",
        "norm": "norm",
        "attention_norm": "norm1",
        "attention/query": "attn.q",
        "attention/key": "attn.k",
        "attention/value": "attn.v",
        "attention/out": "attn.proj",
        "feed_forward_norm": "norm2",
        "expand": "mlp.layers.0.linear",
        "contract": "mlp.layers.1.linear",
    },
    standardise=_marlin_split,
)
