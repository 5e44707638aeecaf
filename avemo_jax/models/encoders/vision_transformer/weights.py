"""Vision transformers from folders as their owners publish them: config.json beside model.safetensors."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.vision_transformer.families import Family
from avemo_jax.models.encoders.vision_transformer.module import FINAL, VisionDesign, VisionTransformer
from avemo_jax.pretrained.assets import Asset
from avemo_jax.pretrained.layout import WeightsLayout
from avemo_jax.pretrained.merge import flat_shapes
from avemo_jax.pretrained.model_folder import model_files, read_json, read_model_folder

_PREPROCESSOR, _PROCESSOR = "preprocessor_config.json", "processor_config.json"


def layout_of(design: VisionDesign, family: Family, assets: tuple[Asset, ...], convert: str) -> WeightsLayout:
    """Return the layout of the weights of one vision transformer.

    Args:
      design: of the network.
      family: whose names the files have.
      assets: what is published as safetensors; () where the owner publishes pickles alone.
      convert: a sentence that says how to make safetensors of the owner's pickles.
    """
    return WeightsLayout(
        assets=assets,
        read=functools.partial(_read, design, family),
        variables=functools.partial(_variables, design),
        names=functools.partial(_names, design, family),
        files=functools.partial(model_files, convert=convert),
        by_hand=convert,
    )


def _read(design: VisionDesign, family: Family, path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    if path.is_dir():
        _check_normalisation(design, path)
    arrays = read_model_folder(
        path,
        largest_bytes,
        expect=family.expect(design),
        leave_out=family.leave_out,
        section=family.section,
        defaults=family.defaults,
    )
    arrays = family.standardise({family.without_prefix(name): array for name, array in arrays.items()})
    ours = _names(design, family)
    return {name: _as_ours(array, ours.get(name, "")) for name, array in arrays.items()}


def _check_normalisation(design: VisionDesign, folder: Path) -> None:
    """Raise ValueError where a folder states that its pictures are normalised otherwise than the encoder normalises them."""
    stated: Mapping[str, Any] = {}
    for name in (_PROCESSOR, _PREPROCESSOR):
        if (folder / name).is_file():
            content = read_json(folder / name)
            part = content.get("image_processor", content) if name == _PROCESSOR else content
            stated = {**stated, **part} if isinstance(part, dict) else stated
    if stated.get("do_normalize") is False:
        stated = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    expected = {"image_mean": design.normalisation.mean, "image_std": design.normalisation.deviation}
    for name, values in expected.items():
        found = stated.get(name)
        if found is not None and not _are_near(found, values):
            raise ValueError(
                f"{folder} was trained on pictures with {name} {found}, and this encoder normalises them with {list(values)}; choose the "
                "encoder that fits the folder"
            )


def _are_near(found: Any, values: Sequence[float]) -> bool:
    """Whether what a file states are these numbers."""
    if not isinstance(found, list) or len(found) != len(values):
        return False
    return all(isinstance(one, (int, float)) and abs(one - value) < 1e-6 for one, value in zip(found, values, strict=True))


def _as_ours(array: np.ndarray, path: str) -> np.ndarray:
    """Return an array of torch as our leaf at a path has it; of another number of axes, which does not fit, unchanged."""
    if path.endswith("patches/kernel") and array.ndim > 3:
        return np.moveaxis(array, 1, -1).reshape(len(array), -1).T  # (D, C, F, P, P) -> (F P P C, D)
    if path.endswith("kernel"):
        return array.T
    if path.endswith("class_token"):
        return array.reshape(-1)
    return array[0] if path.endswith(("positions", "registers")) and array.ndim > 2 else array


@functools.cache
def _variables(design: VisionDesign) -> Mapping[str, Any]:
    """Shapes of the variables of the whole network; its blocks are alike, so one is traced for all of them."""
    pictures = jax.ShapeDtypeStruct((1, *design.input_shape), jnp.uint8)
    one_block = VisionTransformer(FINAL, dataclasses.replace(design, num_layers=1))
    params = dict(jax.eval_shape(one_block.init, jax.random.key(0), pictures)["params"])
    return {"params": params | {f"block{number}": params["block1"] for number in range(1, design.num_layers + 1)}}


@functools.cache
def _names(design: VisionDesign, family: Family) -> dict[str, str]:
    return {family.name_of(path): path for path in flat_shapes(_variables(design))}
