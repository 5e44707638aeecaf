"""I3D from the TensorFlow checkpoints that its authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.models.encoders.i3d.module import I3D
from avemo_jax.pretrained.assets import Asset, File
from avemo_jax.pretrained.layout import WeightsLayout, variables_of
from avemo_jax.pretrained.merge import flat_shapes
from avemo_jax.pretrained.tensorflow_checkpoint import PACKAGES, checkpoint_files, read_checkpoint

LICENCE = "Apache-2.0"
_LEAVES = {
    "conv/kernel": "conv_3d/w",
    "conv/bias": "conv_3d/b",
    "norm/bias": "batch_norm/beta",
    "norm/mean": "batch_norm/moving_mean",
    "norm/var": "batch_norm/moving_variance",
}


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    """Numbers of batch norms as vectors: Sonnet may store them as (1, 1, 1, 1, C)."""
    arrays = read_checkpoint(path, largest_bytes)
    return {
        name: array.reshape(-1) if "/batch_norm/" in name and array.shape[:-1] in ((1,) * 4, (1,) * 3) else array
        for name, array in arrays.items()
    }


def _asset(stream: str, content: str) -> Asset:
    folder = f"i3d_{stream}_imagenet"
    address = f"https://github.com/google-deepmind/kinetics-i3d/raw/master/data/checkpoints/{stream}_imagenet"
    parts = ("model.ckpt.index", "model.ckpt.data-00000-of-00001")
    return Asset(
        tuple(File(f"{folder}/{part}", f"{address}/{part}") for part in parts),
        content,
        page="https://github.com/google-deepmind/kinetics-i3d",
        licence=LICENCE,
        cite="Carreira and Zisserman 2017, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, arXiv 1705.07750",
        open_name=f"{folder}/model.ckpt",
    )


def _layout(asset: Asset, scope: str, channels: int) -> WeightsLayout:
    def variables() -> Mapping[str, Any]:
        return variables_of(I3D("Logits"), 1, 8, 32, 32, channels)

    def names() -> dict[str, str]:
        """Our modules have the published names; leaves and collections are ours."""
        named = {}
        for path in flat_shapes(variables()):
            _, *modules, leaf = path.split("/")
            kind = modules.pop() if modules[-1] in ("conv", "norm") else "conv"
            named["/".join((scope, "inception_i3d", *modules, _LEAVES[f"{kind}/{leaf}"]))] = path
        return named

    return WeightsLayout((asset,), read=_read, variables=variables, names=names, files=checkpoint_files, packages=PACKAGES)


I3D_RGB = _layout(_asset("rgb", "I3D for RGB, trained on ImageNet and Kinetics, TensorFlow checkpoint"), "RGB", 3)
I3D_FLOW = _layout(_asset("flow", "I3D for optical flow, trained on ImageNet and Kinetics, TensorFlow checkpoint"), "Flow", 2)
