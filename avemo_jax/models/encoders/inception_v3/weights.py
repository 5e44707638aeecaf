"""InceptionV3 from the files of keras.applications."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.models.encoders.inception_v3.module import END_POINTS, InceptionV3
from avemo_jax.pretrained.keras_applications import keras_asset
from avemo_jax.pretrained.keras_files import read_network
from avemo_jax.pretrained.layout import WeightsLayout, variables_of
from avemo_jax.pretrained.merge import flat_shapes

LICENCE = "Apache-2.0, as converted by Keras"
_FACTS = {
    "page": "inceptionv3",
    "licence": LICENCE,
    "cite": "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567",
}
WHOLE = keras_asset(
    "inception_v3",
    has_top=True,
    md5="9a0d58056eeedaa3f26cb7ebd46da564",
    size_bytes=96_112_376,
    content="InceptionV3 trained on ImageNet, with its classes, Keras HDF5",
    **_FACTS,
)
WITHOUT_CLASSES = keras_asset(
    "inception_v3",
    has_top=False,
    md5="bcbd6486424b2319ff4ef7d526e38f63",
    size_bytes=87_910_968,
    content="InceptionV3 trained on ImageNet, without its classes, Keras HDF5",
    **_FACTS,
)
_KINDS = ("conv2d", "batch_normalization")


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    """Arrays by layer, numbered from 0.

    Keras numbers convolutions and batch norms in the order of their creation, from 1 in the published files, from 0 in later versions and
    further on in the second model of a session.
    """
    arrays = read_network(path, largest_bytes)
    first = {kind: min((number for name in arrays if (number := _number(name, kind)) is not None), default=0) for kind in _KINDS}

    def renamed(name: str) -> str:
        for kind in _KINDS:
            if (number := _number(name, kind)) is not None:
                return f"{kind}_{number - first[kind]}/{name.split('/', 1)[1]}"
        return name

    return {renamed(name): array for name, array in arrays.items()}


def _number(name: str, kind: str) -> int | None:
    match = re.fullmatch(rf"{kind}(?:_(\d+))?/.*", name)
    return None if match is None else int(match[1] or 0)


def _variables() -> Mapping[str, Any]:
    return variables_of(InceptionV3("logits"), 1, 75, 75, 3)


def _names() -> dict[str, str]:
    """Our blocks, and the convolutions in each, are in the order in which Keras creates them."""
    kernels = [path.split("/") for path in flat_shapes(_variables()) if path.endswith("conv/kernel")]
    blocks = sorted({(END_POINTS.index(block), int(conv.removeprefix("conv")), block, conv) for _, block, conv, *_ in kernels})
    names = {}
    for number, (*_, block, conv) in enumerate(blocks):
        names[f"conv2d_{number}/kernel"] = f"params/{block}/{conv}/conv/kernel"
        names[f"batch_normalization_{number}/beta"] = f"params/{block}/{conv}/norm/bias"
        names[f"batch_normalization_{number}/moving_mean"] = f"batch_stats/{block}/{conv}/norm/mean"
        names[f"batch_normalization_{number}/moving_variance"] = f"batch_stats/{block}/{conv}/norm/var"
    return names | {f"predictions/{leaf}": f"params/predictions/{leaf}" for leaf in ("kernel", "bias")}


INCEPTION_V3 = WeightsLayout(
    assets=(WHOLE,),
    assets_without_optional=(WITHOUT_CLASSES,),
    read=_read,
    variables=_variables,
    names=_names,
    optional=("params/predictions/",),
)
