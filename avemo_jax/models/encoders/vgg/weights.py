"""VGG16 and VGG19 from the files of keras.applications."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avemo_jax.models.encoders.vgg.module import VGG16, VGG19
from avemo_jax.pretrained.assets import Asset
from avemo_jax.pretrained.keras_applications import keras_asset
from avemo_jax.pretrained.keras_files import read_network
from avemo_jax.pretrained.layout import WeightsLayout, variables_of

LICENCE = "CC BY 4.0 (Visual Geometry Group), as converted by Keras"
_TOP = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    return read_network(path, largest_bytes)


def _names(net: type[VGG16] | type[VGG19]) -> dict[str, str]:
    """Keras calls the convolutions block1_conv1, ... and the rest fc1, fc2, predictions."""
    layers = [name for name in net.END_POINTS if name.startswith("conv")]
    theirs = {name: "block{}_conv{}".format(*name.removeprefix("conv").split("_")) for name in layers} | _TOP
    return {f"{keras}/{leaf}": f"params/{ours}/{leaf}" for ours, keras in theirs.items() for leaf in ("kernel", "bias")}


def _asset(network: str, has_top: bool, md5: str, size_bytes: int) -> Asset:
    return keras_asset(
        network,
        has_top=has_top,
        md5=md5,
        size_bytes=size_bytes,
        content=f"{network.upper()} trained on ImageNet, {'all layers' if has_top else 'convolutions alone'}, Keras HDF5",
        page="vgg",
        licence=LICENCE,
        cite="Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556",
    )


def _layout(net: type[VGG16] | type[VGG19], whole: Asset, without_top: Asset) -> WeightsLayout:
    return WeightsLayout(
        assets=(whole,),
        assets_without_optional=(without_top,),
        read=_read,
        variables=lambda: variables_of(net("fc8"), 1, 224, 224, 3),
        names=lambda: _names(net),
        optional=tuple(f"params/{name}/" for name in _TOP),
    )


VGG16_LAYOUT = _layout(
    VGG16,
    _asset("vgg16", True, "64373286793e3c8b2b4e3219cbf3544b", 553_467_096),
    _asset("vgg16", False, "6d6bbae143d832006294945121d1f1fc", 58_889_256),
)
VGG19_LAYOUT = _layout(
    VGG19,
    _asset("vgg19", True, "cbe5617147190e668d6c5d5026f83318", 574_710_816),
    _asset("vgg19", False, "253f8cb515780f3b799900260a226db6", 80_134_624),
)
