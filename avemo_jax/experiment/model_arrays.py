"""The arrays of a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ANEW = "get the folder anew"
_CLASSIFIER_DTYPES = ("F64", "F32", "I64")


class Arrays:
    """The arrays of a safetensors file, read one by one after their shape was compared; a context manager."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Arrays:
        import safetensors  # late: hosts that train from scratch lack it

        try:
            self._file = safetensors.safe_open(self.path, framework="numpy").__enter__()
        except (safetensors.SafetensorError, OSError) as error:
            raise ValueError(f"{self.path}: expected a whole safetensors file, reading it stopped with: {error}; {ANEW}") from error
        self.names = frozenset(self._file.keys())
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)

    def read(self, name: str, shape: Sequence[int] | None = None) -> np.ndarray:
        """Return an array of a network in float32, after its shape was compared; without a shape, an array of a classifier as it is."""
        described = self._file.get_slice(name)
        if shape is None:
            if described.get_dtype() not in _CLASSIFIER_DTYPES:
                raise ValueError(
                    f"{self.path}: {name}: expected one of {', '.join(_CLASSIFIER_DTYPES)}, found {described.get_dtype()}; {ANEW}"
                )
            return self._file.get_tensor(name)
        if tuple(described.get_shape()) != tuple(shape) or described.get_dtype() not in ("F32", "F16"):
            raise ValueError(
                f"{self.path}: {name}: expected float32 or float16 {tuple(shape)}, found {described.get_dtype()} "
                f"{tuple(described.get_shape())}; {ANEW}"
            )
        array = self._file.get_tensor(name).astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"{self.path}: {name}: expected finite numbers; {ANEW}")
        return array
