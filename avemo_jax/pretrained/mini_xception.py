"""mini-Xception from the Keras file that its authors publish."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avemo_jax.models.mini_xception import SIZE_PX, MiniXception
from avemo_jax.pretrained.family import Family, variables_of
from avemo_jax.pretrained.keras_files import read_keras
from avemo_jax.pretrained.separable import separable_kernels

_NORM = {
    "gamma": "params/{}/scale",
    "beta": "params/{}/bias",
    "moving_mean": "batch_stats/{}/mean",
    "moving_variance": "batch_stats/{}/var",
}


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    arrays = read_keras(path, largest_bytes).arrays
    return separable_kernels(arrays, depthwise="depthwise_kernel", pointwise="pointwise_kernel")


def _names() -> dict[str, str]:
    """Keras numbered the layers of a kind in the order of their creation, in a block its shortcut first."""
    names = {}

    def add(convolution: str, arrays: dict[str, str], norm: int, ours: str) -> None:
        names.update({f"{convolution}/{theirs}": f"params/{leaf}" for theirs, leaf in arrays.items()})
        names.update({f"batch_normalization_{norm}/{theirs}": path.format(ours) for theirs, path in _NORM.items()})

    for number in (1, 2):
        add(f"conv2d_{number}", {"kernel": f"stem/conv{number}/kernel"}, number, f"stem/norm{number}")
    for block in (1, 2, 3, 4):
        ours = f"block{block}"
        add(f"conv2d_{block + 2}", {"kernel": f"{ours}/shortcut/kernel"}, 3 * block, f"{ours}/shortcut_norm")
        for number in (1, 2):
            leaves = {f"{kind}_kernel": f"{ours}/separable{number}/{kind}" for kind in ("depthwise", "pointwise")}
            add(f"separable_conv2d_{2 * block - 2 + number}", leaves, 3 * block + number, f"{ours}/norm{number}")
    return names | {f"conv2d_7/{leaf}": f"params/classes/{leaf}" for leaf in ("kernel", "bias")}


MINI_XCEPTION = Family(
    assets=("mini_xception",),
    read=_read,
    variables=lambda: variables_of(MiniXception("global_avg"), 1, SIZE_PX, SIZE_PX, 1),
    names=_names,
)
