"""VGG16 and VGG19 from the files of keras.applications."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avemo_jax.models.vgg import VGG16, VGG19
from avemo_jax.pretrained.family import Family, variables_of
from avemo_jax.pretrained.keras_files import read_keras

_TOP = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    return read_keras(path, largest_bytes).arrays


def _names(net: type[VGG16] | type[VGG19]) -> dict[str, str]:
    """Keras calls the convolutions block1_conv1, ... and the rest fc1, fc2, predictions."""
    layers = [name for name in net.END_POINTS if name.startswith("conv")]
    theirs = {name: "block{}_conv{}".format(*name.removeprefix("conv").split("_")) for name in layers} | _TOP
    return {f"{keras}/{leaf}": f"params/{ours}/{leaf}" for ours, keras in theirs.items() for leaf in ("kernel", "bias")}


def _family(net: type[VGG16] | type[VGG19], asset: str) -> Family:
    return Family(
        assets=(asset,),
        assets_without_optional=(f"{asset}_notop",),
        read=_read,
        variables=lambda: variables_of(net("fc8"), 1, 224, 224, 3),
        names=lambda: _names(net),
        optional=tuple(f"params/{name}/" for name in _TOP),
    )


VGG16_FAMILY = _family(VGG16, "vgg16")
VGG19_FAMILY = _family(VGG19, "vgg19")
