"""Variables out of TensorFlow checkpoints, of both of its formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avemo_jax.machine import TENSORFLOW, pip_install

PACKAGES = (TENSORFLOW,)


def checkpoint_files(path: Path) -> list[Path]:
    """Files of the checkpoint that `path` names: `model.ckpt` itself, or `model.ckpt.index` and the data beside it.

    Raises:
      FileNotFoundError: there is neither, or the data is missing.
    """
    path = Path(path)
    if path.suffix == ".index":
        path = path.with_suffix("")
    if path.is_file():
        return [path]
    index = path.with_name(f"{path.name}.index")
    data = sorted(path.parent.glob(f"{path.name}.data-?????-of-?????"))
    if not index.is_file() or not data:
        raise FileNotFoundError(
            f"there is no TensorFlow checkpoint {path}; expected a file of that name, or {index.name} and "
            f"{path.name}.data-00000-of-00001 in {path.parent}"
        )
    return [index, *data]


def read_checkpoint(path: Path, largest_bytes: int) -> dict[str, np.ndarray]:
    """Read all variables of a checkpoint, name -> array.

    Args:
      path: what `checkpoint_files` takes.
      largest_bytes: the most that all arrays may have together; what the file claims is added up before any is read.

    Raises:
      FileNotFoundError: there is no such checkpoint.
      ImportError: TensorFlow is not installed.
      ValueError: it is damaged or no checkpoint, holds anything but floating-point numbers, or claims more than `largest_bytes`.
    """
    first = checkpoint_files(path)[0]
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f"TensorFlow reads the checkpoint {path} and is not installed: {pip_install(TENSORFLOW)}, or make the features on a machine "
            "that has it"
        ) from error
    prefix = first.with_suffix("") if first.suffix == ".index" else first
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        strange = sorted(name for name, kind in types.items() if not kind.is_floating)
        if strange:
            raise ValueError(f"{path}: expected variables of floating-point numbers alone, found {', '.join(strange[:10])}")
        claimed = sum(int(np.prod(shape, dtype=np.int64)) * types[name].size for name, shape in shapes.items())
        if claimed > largest_bytes:
            raise ValueError(f"{path}: its variables claim {claimed} bytes, expected {largest_bytes} at most for this network")
        return {name: reader.get_tensor(name) for name in sorted(shapes)}
    except (tf.errors.OpError, RuntimeError, LookupError, TypeError, UnicodeDecodeError) as error:  # as its reader raises them
        raise ValueError(f"{path}: expected a whole TensorFlow checkpoint, reading it stopped with: {error}; get the file anew") from error
