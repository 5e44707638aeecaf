"""Published weights as the variables of an encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flax import traverse_util

from avemo_jax.placeholders import placeholder
from avemo_jax.pretrained.assets import PUBLISHED, Asset, FoundAsset, MissingAsset, find_asset, joined_sha256, sha256_of
from avemo_jax.pretrained.layout import WeightsLayout
from avemo_jax.pretrained.merge import flat_shapes, merge

Layouts = Sequence[WeightsLayout]  # of one encoder: its network, and a second file that is read where its arrays are wanted


def load_pretrained(
    layouts: Layouts, source: str, weights_dir: Path, like: Any, *, leave_out: Sequence[str] = (), leave_out_flag: str = ""
) -> tuple[dict[str, Any], str]:
    """Read published weights as the variables of an encoder.

    Args:
      layouts: of the encoder (`Encoder.weights`).
      source: "published", the encoder's asset in `weights_dir`, verified; or the path of a file of the same kind.
      weights_dir: folder of the published files.
      like: the encoder's variables or their shapes, as `init` gives them, not folded: collections "params" and, where it has
        it, "batch_stats". An encoder that ends before the published one does takes its part.
      leave_out: layers of a user's file that are not taken, see `merge`.
      leave_out_flag: how a user sets `leave_out`, for the message of a file that does not fit.

    Returns:
      The variables, a tree of numpy arrays of the structure and dtypes of `like`, and the SHA-256 of the files that they were read from.

    Raises:
      ValueError: no layouts, a file that is damaged, is not the published one, or does not fit the network, with all names.
      MissingAsset: the published file is not in `weights_dir`; the message states which file to put where.
      FileNotFoundError: there is no file `source`.
    """
    sums = []
    variables: dict[str, Any] = {}
    for layout, part in _parts(layouts, like):
        path, sha256 = _source(layout, part, source, weights_dir, is_first=layout is layouts[0])
        whole = flat_shapes(layout.variables())
        # as double precision at most, and a little for what surrounds the arrays
        largest_bytes = 8 * sum(math.prod(shape) for shape in whole.values()) + (1 << 20)
        arrays = layout.read(path, largest_bytes)
        is_own = source != PUBLISHED and layout is layouts[0]
        merged = merge(
            arrays,
            layout.names(),
            whole,
            traverse_util.unflatten_dict(part, sep="/"),
            source=str(path),
            optional=layout.optional,
            leave_out=leave_out if is_own else (),
            leave_out_flag=leave_out_flag if is_own else "",
        )
        variables |= traverse_util.flatten_dict(merged, sep="/")
        sums.append(sha256)
    return traverse_util.unflatten_dict(variables, sep="/"), joined_sha256(sums)


def weights_sha256(layouts: Layouts, source: str, weights_dir: Path, like: Any) -> str:
    """The SHA-256 that `load_pretrained` returns, without reading the weights as arrays.

    Raises:
      ValueError, MissingAsset, FileNotFoundError: as `load_pretrained`.
    """
    found = [_source(layout, part, source, weights_dir, is_first=layout is layouts[0]) for layout, part in _parts(layouts, like)]
    return joined_sha256([sha256 for _, sha256 in found])


def assets_needed(layouts: Layouts, like: Any, weights_dir: Path) -> list[Asset]:
    """The assets that `load_pretrained` with source "published" reads: those in `weights_dir`, else those to download.

    Raises:
      ValueError: no layouts, or none of the owner's files can be read.
    """
    return [_chosen(layout, part, weights_dir) for layout, part in _parts(layouts, like)]


def _parts(layouts: Layouts, like: Any) -> list[tuple[WeightsLayout, dict[str, Any]]]:
    """The layouts that are needed, each with the leaves that it fills; leaves of none go to the first, whose merge names them."""
    if not layouts:
        raise ValueError("no published weights are known for this encoder; set its weights to 'random', or add a layout to its record")
    left = traverse_util.flatten_dict(like, sep="/")
    first, *others = layouts
    parts = []
    for layout in others:
        whole = flat_shapes(layout.variables())
        part = {path: left.pop(path) for path in list(left) if path in whole}
        if part:
            parts.append((layout, part))
    return [(first, left), *parts]


def _source(layout: WeightsLayout, part: Mapping[str, Any], source: str, weights_dir: Path, *, is_first: bool) -> FoundAsset:
    """The file of a layout and its SHA-256; a user's file stands for the first layout, further ones are always the published files."""
    if source == PUBLISHED or not is_first:
        return find_asset(_chosen(layout, part, weights_dir), weights_dir)
    return FoundAsset(Path(source), sha256_of(*_existing(layout, Path(source))))


def _candidates(layout: WeightsLayout, part: Mapping[str, Any]) -> tuple[Asset, ...]:
    """Assets that hold what is wanted, the smallest first."""
    needs_all = any(path.startswith(layout.optional) for path in part) if layout.optional else True
    return layout.assets if needs_all else (*layout.assets_without_optional, *layout.assets)


def _chosen(layout: WeightsLayout, part: Mapping[str, Any], weights_dir: Path) -> Asset:
    candidates = _candidates(layout, part)
    for asset in candidates:
        try:
            find_asset(asset, weights_dir)
        except MissingAsset:
            continue
        return asset
    if not candidates:
        raise ValueError(f"no weights of this encoder are published in a format that can be read. {layout.by_hand}")
    return candidates[0]


def _existing(layout: WeightsLayout, path: Path) -> list[Path]:
    files = layout.files(path)
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"there is no file {file}; source is {PUBLISHED!r} or the path of a file of published weights")
        if what := placeholder(file):
            raise ValueError(f"{file}: expected weights, and it is {what}")
    return files
