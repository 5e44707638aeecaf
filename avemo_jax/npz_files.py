"""npz files of strangers, read as plain arrays."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_npz(path: Path, largest_bytes: int, *, what: str = "an npz file") -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by name; nothing is unpickled, and no more than `largest_bytes` of arrays are read.

    Args:
      what: what is expected, for the message.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no npz file, damaged or larger, or holds objects that would have to be unpickled.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            num_bytes = sum(one.file_size for one in archive.infolist())
        if num_bytes > largest_bytes:
            raise ValueError(f"its arrays claim {num_bytes} bytes, expected {largest_bytes} at most")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: expected {what}, reading it stopped with: {error}; get the file anew") from error
