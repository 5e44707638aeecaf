"""TensorFlow checkpoints as their publishers wrote them, for the tests that read them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], *, version: int) -> Path:
    """Write variables under their own names, as tf.train.Saver does; version 1 is one file, 2 an index and data.

    Returns:
      What readers are given: the path.
    """
    tf = pytest.importorskip("tensorflow")
    names = sorted(arrays)
    tensors = [tf.constant(arrays[name]) for name in names]
    if version == 1:
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=tensors)
    else:
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    return path
