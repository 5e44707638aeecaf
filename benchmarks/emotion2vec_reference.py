"""The outputs of every layer of emotion2vec with random weights, by the code of its owners: what our network is compared with.

    python -m venv funasr-env && funasr-env/bin/pip install funasr torch torchaudio
    PYTHONPATH=. funasr-env/bin/python -m benchmarks.emotion2vec_reference --write tests/models/encoders/emotion2vec_golden.npz
    PYTHONPATH=. funasr-env/bin/python -m benchmarks.emotion2vec_reference --write FOLDER/base.npz --size base
    python -m benchmarks.emotion2vec_reference --compare FOLDER/base.npz

The first command writes the file that a test reads. The third, in the environment of this project, prints the largest difference of each
layer at the published size. Weights are drawn from the name of each array and are not stored. Source: funasr.models.emotion2vec of
https://pypi.org/project/funasr, MIT licence.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {
    "small": {"width": 24, "num_early": 1, "num_late": 2, "num_heads": 6, "num_tokens": 3, "stem_channels": 16, "position_groups": 4},
    "base": {},
}
_BASE = {"width": 768, "num_early": 4, "num_late": 8, "num_heads": 12, "num_tokens": 10, "stem_channels": 512, "position_groups": 16}
_AUDIO = "modality_encoders.AUDIO."
_NUM_SAMPLES = {"small": 9_123, "base": 48_000}


def random_arrays(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return an array for each name of the owner's checkpoint, drawn from its name; those of many axes keep the scale of activations."""
    return {name: _drawn(name, shape) for name, shape in shapes.items()}


def _drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("alibi_scale"):
        return rng.uniform(-1, 2, shape).astype(np.float32)
    deviation = 0.3 if len(shape) < 2 else 1.5 / np.sqrt(np.prod(shape[1:]))
    is_scale = len(shape) == 1 and name.endswith(".weight")
    return (rng.normal(0, deviation, shape) + is_scale).astype(np.float32)


def samples(num_samples: int) -> np.ndarray:
    """Return random sound (S,) float32 away from zero mean and unit variance."""
    return np.random.default_rng(0).normal(0.02, 0.1, num_samples).astype(np.float32)


def owners_network(size: Mapping[str, int]) -> Any:
    """Return the network of the owner's code, in evaluation mode, with the weights of `random_arrays`."""
    import torch
    from funasr.models.emotion2vec.model import Emotion2vec

    none = dict.fromkeys(("encoder_dropout", "attention_dropout", "activation_dropout", "post_mlp_drop", "dropout_input", "layerdrop"), 0.0)
    drop_path = {"start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0}
    stem = size["stem_channels"]
    audio = {
        "feature_encoder_spec": f"[({stem}, 10, 5)] + [({stem}, 3, 2)] * 4 + [({stem}, 2, 2)] * 2",
        "extractor_mode": "layer_norm",
        "conv_pos_depth": 5,
        "conv_pos_width": 95,
        "conv_pos_groups": size["position_groups"],
        "conv_pos_pre_ln": False,
        "prenet_depth": size["num_early"],
        "prenet_layerdrop": 0.0,
        "prenet_dropout": 0.0,
        "model_depth": size["num_late"],
        "local_grad_mult": 1.0,
        "num_extra_tokens": size["num_tokens"],
        "init_extra_token_zero": True,
        "use_alibi_encoder": True,
        "alibi_scale": 1.0,
        "learned_alibi": False,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": False,
        "num_alibi_heads": size["num_heads"],
        "alibi_max_pos": None,
        "decoder": None,
        **drop_path,
    }
    conf = {
        "embed_dim": size["width"],
        "depth": size["num_late"],
        "num_heads": size["num_heads"],
        "mlp_ratio": 4.0,
        "norm_eps": 1e-5,
        "norm_affine": True,
        "layer_norm_first": False,
        "end_of_block_targets": False,
        "modalities": {"audio": audio},
        **none,
        **drop_path,
    }
    model = Emotion2vec(model_conf=conf).eval()
    arrays = random_arrays({name: tuple(one.shape) for name, one in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(one) for name, one in arrays.items()})
    return model


def owners_layers(model: Any, sound: np.ndarray) -> list[np.ndarray]:
    """Return what the first block takes and what every block gives, (T, D) each, of sound (S,), without the learned tokens."""
    import torch

    encoder, found = model.modality_encoders["AUDIO"], []
    for module in (encoder.context_encoder.norm, *encoder.context_encoder.blocks, *model.blocks):
        module.register_forward_hook(lambda _, inputs, output: found.append(output[0] if isinstance(output, tuple) else output))
    with torch.no_grad():
        source = torch.from_numpy(sound)
        model.extract_features(torch.nn.functional.layer_norm(source, source.shape)[None])
    return [one[0, encoder.modality_cfg.num_extra_tokens :].numpy() for one in found]


def write(path: Path, size_name: str) -> None:
    """Write the layers and the shapes of the owner's arrays."""
    model = owners_network(_BASE | SIZES[size_name])
    layers = owners_layers(model, samples(_NUM_SAMPLES[size_name]))
    shapes = json.dumps({name: list(one.shape) for name, one in model.state_dict().items()})
    np.savez_compressed(path, layers=np.stack(layers), num_samples=_NUM_SAMPLES[size_name], shapes=np.array(shapes))
    print(f"{path}: {len(layers)} layers of {layers[0].shape}, {sum(one.numel() for one in model.parameters()):,} numbers")


def write_weights(golden: Mapping[str, np.ndarray], folder: Path) -> Path:
    """Write the weights of a file that `write` has made, as the owner's checkpoint has them, and return the safetensors file."""
    from safetensors.numpy import save_file

    shapes = {name: tuple(shape) for name, shape in json.loads(str(golden["shapes"])).items()}
    save_file(random_arrays(shapes), folder / "emotion2vec.safetensors")
    return folder / "emotion2vec.safetensors"


def our_layers(golden: Mapping[str, np.ndarray], folder: Path, size_name: str) -> np.ndarray:
    """Return our (L, T, D) for the weights and the sound of a file that `write` has made, through a safetensors file in a folder."""
    import jax

    from avemo_jax.models.encoders.emotion2vec.module import Emotion2Vec, Emotion2VecSize
    from avemo_jax.models.encoders.emotion2vec.weights import layout_of
    from avemo_jax.pretrained.load import load_pretrained

    size = Emotion2VecSize(**SIZES[size_name])
    layout = layout_of(size)
    variables, _ = load_pretrained((layout,), str(write_weights(golden, folder)), folder, layout.variables())
    sound = samples(int(golden["num_samples"]))[None]
    found, _ = jax.jit(Emotion2Vec(size.end_points[-1], size, layers=size.end_points).apply)(variables, sound, np.ones(sound.shape, bool))
    return np.moveaxis(np.asarray(found[0]), 1, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="file for the outputs of the owner's code")
    parser.add_argument("--compare", type=Path, help="file that --write --size base has made")
    parser.add_argument("--size", choices=SIZES, default="small")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write, arguments.size)
    if arguments.compare:
        golden = np.load(arguments.compare)
        ours = our_layers(golden, arguments.compare.parent, "base")
        for number, (found, expected) in enumerate(zip(ours, golden["layers"], strict=True)):
            print(f"layer {number}: largest difference {np.abs(found - expected).max() / np.abs(expected).max():.1e} of the largest value")


if __name__ == "__main__":
    main()
