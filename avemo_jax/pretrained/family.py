"""What a family of published networks tells the loader about its files."""

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


@dataclasses.dataclass(frozen=True)
class Family:
    """How the published files of one encoder become its variables.

    Attributes:
      assets: names in `assets.ASSETS` that hold all of the network, the one to fetch first.
      assets_without_optional: those that lack the optional part; preferred where it is not wanted.
      files: path that a user names -> the files on disk behind it.
      read: path and the most bytes that its arrays may have together -> foreign name -> array, names and shapes as `names` and `variables`
        have them.
      variables: () -> shapes of the variables of the whole network, to its last end point.
      names: () -> foreign name -> path of ours, "params/conv1/kernel".
      optional: beginnings of paths of ours that a file may lack, all together.
    """

    assets: tuple[str, ...]
    read: Callable[[Path, int], Mapping[str, np.ndarray]]
    variables: Callable[[], Mapping[str, Any]]
    names: Callable[[], Mapping[str, str]]
    files: Callable[[Path], list[Path]] = lambda path: [path]
    assets_without_optional: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@functools.cache  # tracing I3D takes half a second; nobody changes what is returned
def variables_of(module: nn.Module, *shape: int) -> Mapping[str, Any]:
    """Shapes of a module's variables for a float32 input of that shape, without computing anything."""
    return jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
