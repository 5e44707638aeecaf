"""mini-Xception from the Keras file that its authors publish."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avemo_jax.models.encoders.mini_xception.module import SIZE_PX, MiniXception
from avemo_jax.pretrained.assets import Asset, File
from avemo_jax.pretrained.keras_files import read_network
from avemo_jax.pretrained.layout import WeightsLayout, variables_of
from avemo_jax.pretrained.separable import separable_kernels

LICENCE = "MIT"
ASSET = Asset(
    (
        File(
            "fer2013_mini_XCEPTION.102-0.66.hdf5",
            "https://github.com/oarriaga/face_classification/raw/master/trained_models/emotion_models/fer2013_mini_XCEPTION.102-0.66.hdf5",
            sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
            size_bytes=872_856,
        ),
    ),
    "mini-Xception trained on FER2013, Keras HDF5",
    page="https://github.com/oarriaga/face_classification",
    licence=LICENCE,
    cite="Arriaga et al. 2017, Real-time Convolutional Neural Networks for Emotion and Gender Classification, arXiv 1710.07557",
)
_NORM = {
    "gamma": "params/{}/scale",
    "beta": "params/{}/bias",
    "moving_mean": "batch_stats/{}/mean",
    "moving_variance": "batch_stats/{}/var",
}


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    arrays = read_network(path, largest_bytes)
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


MINI_XCEPTION = WeightsLayout(
    assets=(ASSET,),
    read=_read,
    variables=lambda: variables_of(MiniXception("global_avg"), 1, SIZE_PX, SIZE_PX, 1),
    names=_names,
)
