"""I3D from the TensorFlow checkpoints that its authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.models.i3d import I3D
from avemo_jax.pretrained.family import Family, variables_of
from avemo_jax.pretrained.merge import flat_shapes
from avemo_jax.pretrained.tensorflow_checkpoint import checkpoint_files, read_checkpoint

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


def _family(stream: str, scope: str, channels: int) -> Family:
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

    return Family((f"i3d_{stream}",), read=_read, variables=variables, names=names, files=checkpoint_files)


I3D_RGB = _family("rgb", "RGB", 3)
I3D_FLOW = _family("flow", "Flow", 2)
