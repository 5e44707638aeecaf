"""Vision transformers of random weights: tiny designs of every family, and model folders as the transformers library writes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from avemo_jax.models.encoders.vision_transformer.module import VisionDesign
from avemo_jax.models.encoders.vision_transformer.published import PUBLISHED, Published

SIZE_PX = 16  # of a tiny design: four patches, of DINOv2 nine


def tiny(name: str) -> Published:
    """Return a published network with its design reduced to two blocks of 16 numbers."""
    design = PUBLISHED[name].design
    small: dict[str, Any] = {
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "patch_px": 8,
        "size_px": 24 if design.interpolation else SIZE_PX,
    }
    if design.num_frames > 1:
        small |= {"num_frames": 4}
    return dataclasses.replace(PUBLISHED[name], design=dataclasses.replace(design, **small))


def write_folder(folder: Path, name: str, design: VisionDesign) -> Any:
    """Write a network of random weights as its owner would, and return it as a module of the transformers library.

    MARLIN, which the library does not have, is a VideoMAE whose arrays are given MARLIN's names.
    """
    whole, vision = _model(name, design)
    _fill(whole)
    whole.save_pretrained(folder)
    if name == "marlin_base":
        _as_marlin(folder, design, vision)
    return vision.eval()


def _model(name: str, design: VisionDesign) -> tuple[Any, Any]:
    """Return the network with what else its owner's folder holds, and the part that is the encoder."""
    import transformers

    transformers.logging.set_verbosity_error()
    size = {
        "hidden_size": design.width,
        "num_hidden_layers": design.num_layers,
        "num_attention_heads": design.num_heads,
        "image_size": design.size_px,
        "patch_size": design.patch_px,
        "layer_norm_eps": design.epsilon,
    }
    hidden = {"intermediate_size": 4 * design.width}
    if name.startswith(("clip", "farl")):
        text = transformers.CLIPTextConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=20)
        vision = transformers.CLIPVisionConfig(**size, **hidden)
        whole = transformers.CLIPModel(transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict()))
        return whole, whole.vision_model
    if name.startswith("dinov2_registers"):
        whole = transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**size))
        return whole, whole
    if name.startswith("dinov2"):
        whole = transformers.Dinov2Model(transformers.Dinov2Config(**size))
        return whole, whole
    if name.startswith("vit"):
        whole = transformers.ViTForImageClassification(transformers.ViTConfig(**size, **hidden))
        return whole, whole.vit
    frames = {"num_frames": design.num_frames, "tubelet_size": design.tubelet_frames, "use_mean_pooling": False}
    whole = transformers.VideoMAEForPreTraining(transformers.VideoMAEConfig(**size, **hidden, **frames, decoder_num_hidden_layers=1))
    return whole, whole.videomae


def _fill(model: Any) -> None:
    """Fill a module with numbers that reveal a forgotten bias, norm or scale, where the library begins with zeros and ones."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for array in model.parameters():
        deviation = 0.3 if array.ndim < 2 else array[0].numel() ** -0.5
        array.data = torch.randn(array.shape, generator=generator) * deviation + (0.5 if array.ndim < 2 else 0)


def rename(folder: Path, renamed: Any) -> None:
    """Rewrite the arrays of a folder as `renamed` returns them."""
    file = folder / "model.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in renamed(load_file(file)).items()}, file)


def _as_marlin(folder: Path, design: VisionDesign, vision: Any) -> None:
    import json

    def renamed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {"marlin.encoder.pos_embedding.emb": vision.embeddings.position_embeddings.numpy()}
        block = {
            "layernorm_before": "norm1",
            "attention.output.dense": "attn.proj",
            "layernorm_after": "norm2",
            "intermediate.dense": "mlp.layers.0.linear",
            "output.dense": "mlp.layers.1.linear",
            "attention.attention.q_bias": "attn.q_bias",
            "attention.attention.v_bias": "attn.v_bias",
        }
        for number in range(design.num_layers):
            theirs, ours = f"videomae.encoder.layer.{number}.", f"marlin.encoder.blocks.{number}."
            parts = [arrays[f"{theirs}attention.attention.{part}.weight"] for part in ("query", "key", "value")]
            found[f"{ours}attn.qkv.weight"] = np.concatenate(parts)
            for name, own in block.items():
                for leaf in ("",) if name.endswith("_bias") else (".weight", ".bias"):
                    found[f"{ours}{own}{leaf}"] = arrays[f"{theirs}{name}{leaf}"]
        for leaf in ("weight", "bias"):
            found[f"marlin.encoder.patch_embedding.projection.{leaf}"] = arrays[f"videomae.embeddings.patch_embeddings.projection.{leaf}"]
            found[f"marlin.encoder.norm.{leaf}"] = arrays[f"videomae.layernorm.{leaf}"]
        return found | {"marlin.enc_dec_proj.weight": np.ones((2, 2), np.float32)}

    rename(folder, renamed)
    config = {
        "model_type": "marlin",
        "encoder_embed_dim": design.width,
        "encoder_depth": design.num_layers,
        "encoder_num_heads": design.num_heads,
        "patch_size": design.patch_px,
        "img_size": design.size_px,
        "n_frames": design.num_frames,
        "tubelet_size": design.tubelet_frames,
    }
    (folder / "config.json").write_text(json.dumps(config))
