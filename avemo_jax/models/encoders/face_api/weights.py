"""The nets of face-api.js from its quantised shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avemo_jax.models.encoders.face_api.module import SIZE_PX, FaceExpressions, FaceLandmarks68
from avemo_jax.pretrained.assets import Asset, File
from avemo_jax.pretrained.layout import WeightsLayout, variables_of
from avemo_jax.pretrained.merge import flat_shapes
from avemo_jax.pretrained.separable import separable_kernels
from avemo_jax.pretrained.tensorflow_js import manifest_files, read_shards

LICENCE = "MIT"
_LEAVES = {"kernel": "filters", "bias": "bias", "depthwise": "depthwise_filter", "pointwise": "pointwise_filter"}


def _asset(name: str, content: str, manifest: tuple[str, int], shard: tuple[str, int]) -> Asset:
    """An asset of a manifest and a shard, a SHA-256 and a size in bytes each."""
    address = "https://github.com/justadudewhohacks/face-api.js/raw/master/weights"
    return Asset(
        (
            File(f"{name}-weights_manifest.json", f"{address}/{name}-weights_manifest.json", manifest[0], size_bytes=manifest[1]),
            File(f"{name}-shard1", f"{address}/{name}-shard1", shard[0], size_bytes=shard[1]),
        ),
        content,
        page="https://github.com/justadudewhohacks/face-api.js",
        licence=LICENCE,
        cite="Muehler, face-api.js",
    )


LANDMARKS_ASSET = _asset(
    "face_landmark_68_model",
    "68 face landmarks, quantised shards",
    ("d30f6cc341009ea4f8223876959289b96576fc54a2615f92da9741ab9c5f0bbc", 7_889),
    ("4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b", 356_840),
)
EXPRESSIONS_ASSET = _asset(
    "face_expression_model",
    "Facial expressions in seven classes, quantised shards",
    # no published sum was found for this manifest: that of the copy which the parity tests were made with
    ("960cbe959fe0328965dd18662d839f197df6e27607da4f726cd0c826e47fc936", 6_384),
    ("9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d", 329_468),
)


def _read(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    return separable_kernels(read_shards(path, largest_bytes), depthwise="depthwise_filter", pointwise="pointwise_filter")


def _layout(net: type[FaceLandmarks68] | type[FaceExpressions], asset: Asset) -> WeightsLayout:
    def variables():
        return variables_of(net(net.END_POINTS[-1]), 1, SIZE_PX, SIZE_PX, 3)

    def names() -> dict[str, str]:
        """Their blocks are dense0 to dense3, the last layer fc."""
        named = {}
        for path in flat_shapes(variables()):
            _, block, *rest = path.split("/")
            if block == "output":
                named["fc/weights" if rest == ["kernel"] else "fc/bias"] = path
            else:
                named[f"{block.replace('block', 'dense')}/{rest[0]}/{_LEAVES[rest[1]]}"] = path
        return named

    return WeightsLayout(assets=(asset,), files=manifest_files, read=_read, variables=variables, names=names)


FACE_LANDMARK_68 = _layout(FaceLandmarks68, LANDMARKS_ASSET)
FACE_EXPRESSION = _layout(FaceExpressions, EXPRESSIONS_ASSET)
