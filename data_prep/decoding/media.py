"""Media as the rest of data_prep sees them: frames, the error for damaged files, and the content hash of a file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from avemo_jax.data.prepared import LOST_KINDS

LARGEST_PIXELS = 7680 * 4320
WORDS = {"audio": "sound", "video": "picture"}  # media in sentences for people

# What to do about a damaged file, at the end of a sentence that says what was expected and found.
REMEDY = "copy the file from its source again, or convert it with: ffmpeg -i OLD NEW"

Content = TypeVar("Content")


class MediaError(Exception):
    """A media file that gives no example.

    Attributes:
      kind: one of LOST_KINDS.
      detail: what is wrong, as a sentence.
    """

    def __init__(self, kind: str, detail: str):
        assert kind in LOST_KINDS, kind
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclasses.dataclass
class Findings:
    """What the decoder finds in a file besides its content.

    Attributes:
      notes: peculiarities that cost nothing or little, as sentences.
      keeps: return what precedes damage in place of raising it.
      damage: found behind something that was kept.
    """

    notes: list[str] = dataclasses.field(default_factory=list)
    keeps: bool = False
    damage: MediaError | None = None

    def note(self, sentence: str) -> None:
        """Add a note, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def guarded(content: Iterator[Content], path: Path, findings: Findings) -> Iterator[Content]:
    """Pass on decoded content; whatever is raised is damage of the file, and is kept back where `findings` says so and something precedes.

    Raises:
      MediaError: in place of all exceptions but MemoryError.
    """
    num_passed = 0
    try:
        for one in content:
            num_passed += 1
            yield one
    except MemoryError:
        raise
    except Exception as error:
        unexpected = f"{path.name}: expected a file that can be decoded, found damage: {type(error).__name__}: {error}; {REMEDY}"
        damage = error if isinstance(error, MediaError) else MediaError("undecodable", unexpected)
        if path.name not in damage.detail:
            damage = MediaError(damage.kind, f"{path.name}: {damage.detail}")
        if not (findings.keeps and num_passed and damage.kind in ("truncated", "undecodable")):
            if damage is error:
                raise
            raise damage from error
        findings.damage = damage


class Frame:
    """One picture of a film, or a still.

    Attributes:
      time_s: from the start of the clip.
      image: (H, W, 3) uint8 RGB. One given as a function is computed on first access, since views skip most frames of a film.
    """

    def __init__(self, time_s: float, image: np.ndarray | Callable[[], np.ndarray]):
        self.time_s = time_s
        self._image = image

    @functools.cached_property
    def image(self) -> np.ndarray:
        image = self._image() if callable(self._image) else self._image
        del self._image  # the decoder's picture takes half as much memory again, and some views hold many frames
        return image


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes as 64 hex digits.

    Raises:
      MediaError: missing.
    """
    _check_exists(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise MediaError("missing", f"there is no file {path}")


def num_bytes_of(path: Path) -> int:
    """Return the size of a file.

    Raises:
      MediaError: missing or empty.
    """
    _check_exists(path)
    if (num_bytes := path.stat().st_size) == 0:
        raise MediaError("empty", f"{path.name} has no bytes")
    return num_bytes


def region_of(image: np.ndarray, region: str) -> np.ndarray:
    """Return the region, one of REGIONS, of an image (H, W, C)."""
    half = image.shape[1] // 2
    return np.ascontiguousarray({"full": image, "left": image[:, :half], "right": image[:, half:]}[region])
