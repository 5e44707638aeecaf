"""The layout of published weights: which files hold them and where each of their arrays belongs in our network."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.pretrained.assets import Asset


@dataclasses.dataclass(frozen=True)
class WeightsLayout:
    """How published files become the variables of one network.

    Attributes:
      assets: files that hold all of the network, the one to fetch first.
      assets_without_optional: those that lack the optional part; preferred where it is not wanted.
      files: path that a user names -> the files on disk behind it.
      read: path and the most bytes that its arrays may have together -> foreign name -> array, with names and shapes as `names` and
        `variables` have them.
      variables: () -> shapes of the variables of the whole network, to its last end point.
      names: () -> foreign name -> path of ours, "params/conv1/kernel".
      optional: beginnings of paths of ours that a file may lack, all together.
      packages: what reads the files beyond this project's requirements, as pip is asked for it.
      by_hand: where no file is published that can be read, and `assets` is empty: how a user gets one.
    """

    assets: tuple[Asset, ...]
    read: Callable[[Path, int], Mapping[str, np.ndarray]]
    variables: Callable[[], Mapping[str, Any]]
    names: Callable[[], Mapping[str, str]]
    files: Callable[[Path], list[Path]] = lambda path: [path]
    assets_without_optional: tuple[Asset, ...] = ()
    optional: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    by_hand: str = ""


@functools.cache  # tracing a large network is slow; the result is read only
def variables_of(module: nn.Module, *shape: int) -> Mapping[str, Any]:
    """Shapes of a module's variables for a float32 input of that shape, without computing anything."""
    return jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
