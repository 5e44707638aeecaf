"""Published weights as the variables of an encoder."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax import traverse_util

from avemo_jax.pretrained.assets import MissingAsset, find_asset, sha256_of
from avemo_jax.pretrained.face_api import FACE_EXPRESSION, FACE_LANDMARK_68
from avemo_jax.pretrained.family import Family
from avemo_jax.pretrained.i3d import I3D_FLOW, I3D_RGB
from avemo_jax.pretrained.inception_v3 import INCEPTION_V3
from avemo_jax.pretrained.merge import flat_shapes, merge
from avemo_jax.pretrained.mini_xception import MINI_XCEPTION
from avemo_jax.pretrained.vgg import VGG16_FAMILY, VGG19_FAMILY
from avemo_jax.pretrained.vggish import VGGISH, VGGISH_PCA

# Encoder -> what its variables come from: its network, and for VGGish a second file that is read where it is wanted.
ENCODERS: dict[str, tuple[Family, ...]] = {
    "vggish": (VGGISH, VGGISH_PCA),
    "inception_v3": (INCEPTION_V3,),
    "vgg16": (VGG16_FAMILY,),
    "vgg19": (VGG19_FAMILY,),
    "i3d_rgb": (I3D_RGB,),
    "i3d_flow": (I3D_FLOW,),
    "mini_xception": (MINI_XCEPTION,),
    "face_landmarks": (FACE_LANDMARK_68,),
    "face_expressions": (FACE_EXPRESSION,),
}
PUBLISHED = "published"


def load_pretrained(encoder: str, source: str, weights_dir: Path, like: Any) -> tuple[dict[str, Any], str]:
    """Read published weights as the variables of an encoder.

    Args:
      encoder: one of ENCODERS.
      source: "published", the file of the asset table in `weights_dir`, verified; or the path of a file of the same kind.
      weights_dir: folder of the published files.
      like: the encoder's variables or their shapes, as `init` gives them, not folded: collections "params" and, where it has
        it, "batch_stats". An encoder that ends before the published one does takes its part.

    Returns:
      The variables, a tree of numpy arrays of the structure and dtypes of `like`, and the SHA-256 of what they were read from.

    Raises:
      ValueError: an unknown encoder, a file that is damaged, is not the published one, or does not fit the network, with all names.
      MissingAsset: the published file is not in `weights_dir`; the message says which file to put where.
      FileNotFoundError: there is no file `source`.
    """
    sums = []
    variables: dict[str, Any] = {}
    for family, part in _parts(encoder, like):
        path, sha256 = _source(encoder, family, part, source, weights_dir)
        whole = flat_shapes(family.variables())
        # as double precision at most, and a little for what surrounds the arrays
        largest_bytes = 8 * sum(math.prod(shape) for shape in whole.values()) + (1 << 20)
        arrays = family.read(path, largest_bytes)
        merged = merge(
            arrays, family.names(), whole, traverse_util.unflatten_dict(part, sep="/"), source=str(path), optional=family.optional
        )
        variables |= traverse_util.flatten_dict(merged, sep="/")
        sums.append(sha256)
    return traverse_util.unflatten_dict(variables, sep="/"), _sum_of(sums)


def weights_sha256(encoder: str, source: str, weights_dir: Path, like: Any) -> str:
    """The SHA-256 that `load_pretrained` returns, without reading the weights as arrays.

    Raises:
      ValueError, MissingAsset, FileNotFoundError: as `load_pretrained`.
    """
    return _sum_of([_source(encoder, family, part, source, weights_dir)[1] for family, part in _parts(encoder, like)])


def assets_needed(encoder: str, like: Any, weights_dir: Path) -> list[str]:
    """Names of the assets that `load_pretrained` with source "published" reads: those that are there, else those to fetch.

    Raises:
      ValueError: an unknown encoder.
    """
    return [_chosen(family, part, weights_dir) for family, part in _parts(encoder, like)]


def _families(encoder: str) -> tuple[Family, ...]:
    if encoder not in ENCODERS:
        raise ValueError(f"no published weights are known for the encoder {encoder!r}; known: {', '.join(ENCODERS)}")
    return ENCODERS[encoder]


def _parts(encoder: str, like: Any) -> list[tuple[Family, dict[str, Any]]]:
    """Families that are needed, each with the leaves that it fills; what none knows goes to the first, which will say so."""
    left = traverse_util.flatten_dict(like, sep="/")
    first, *others = _families(encoder)
    parts = []
    for family in others:
        whole = flat_shapes(family.variables())
        part = {path: left.pop(path) for path in list(left) if path in whole}
        if part:
            parts.append((family, part))
    return [(first, left), *parts]


def _source(encoder: str, family: Family, part: Mapping[str, Any], source: str, weights_dir: Path) -> tuple[Path, str]:
    """The file of a family and its SHA-256; a file of one's own stands for the first family, what others add is published."""
    if source == PUBLISHED or family is not _families(encoder)[0]:
        return _find(family, part, weights_dir)
    return Path(source), sha256_of(*_existing(family, Path(source)))


def _sum_of(sums: list[str]) -> str:
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _candidates(family: Family, part: Mapping[str, Any]) -> tuple[str, ...]:
    """Assets that hold what is wanted, the smallest first."""
    needs_all = any(path.startswith(family.optional) for path in part) if family.optional else True
    return family.assets if needs_all else (*family.assets_without_optional, *family.assets)


def _chosen(family: Family, part: Mapping[str, Any], weights_dir: Path) -> str:
    candidates = _candidates(family, part)
    for name in candidates:
        try:
            find_asset(name, weights_dir)
        except MissingAsset:
            continue
        return name
    return candidates[0]


def _find(family: Family, part: Mapping[str, Any], weights_dir: Path) -> tuple[Path, str]:
    return find_asset(_chosen(family, part, weights_dir), weights_dir)


def _existing(family: Family, path: Path) -> list[Path]:
    files = family.files(path)
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"there is no file {file}; source is {PUBLISHED!r} or the path of a file of published weights")
    return files
