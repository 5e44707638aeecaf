"""Still pictures as media of one frame: picture files, and rows of a table of pixels, as FER2013 is distributed.

A clip that is such a row names the table as its `video` and the row's place in bytes in its attribute `ROW_OFFSET`, so that it is
reached by one seek, and the table is hashed once for all its clips.
"""

from __future__ import annotations

import csv
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from avemo_jax.clips import ROW_OFFSET
from data_prep.decoding.media import LARGEST_PIXELS, Frame, MediaError, region_of

__all__ = ["ROW_OFFSET", "is_still", "stream_row", "stream_still"]

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_NAMES = "BMP, GIF, JPEG, PNG, TIFF or WebP"
_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_FILM_SUFFIXES = (".mjpeg", ".mjpg")  # JPEG pictures one after another begin as one does
_BMP_HEADERS = tuple(size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124))
_LARGEST_BYTES = 256 << 20
_TIFF_PLACES = (273, 279, 324, 325)  # offsets and sizes of strips, of tiles
_TIFF_INTEGERS = {3: ("H", 2), 4: ("I", 4)}
_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258  # tags of EXIF and TIFF
# Bits that sensors and files give a pixel. A picture of 16 bits is read as one of the smallest number that holds its values.
_DEPTHS_BITS = (1, 2, 4, 8, 10, 12, 14, 16)
_HOT_SHARE = 0.001  # of pixels: so few much brighter ones (hot pixels, overlays) do not set the depth
_HOT_BITS = 4  # that is 16 times as bright as all others
_ROW_SIZE_PX = 48
_LONGEST_ROW_BYTES = 16_384  # 2304 numbers of three digits, and the other columns


def is_still(path: Path) -> bool:
    """Return whether the content of a file is a still picture that `stream_still` reads; all else is read as a film."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return False
    if head.startswith(_MARKS):
        return path.suffix.lower() not in _FILM_SUFFIXES
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS
    return is_bmp or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def stream_still(path: Path, *, region: str = "full") -> Iterator[Frame]:
    """Yield the picture of a BMP, GIF, JPEG, PNG, TIFF or WebP file (the first of several), upright, at time 0.

    Whatever its pixels are (grey, 16 bits, a palette, transparent), they come as (H, W, 3) uint8 RGB. Of 16 bits the significant ones are
    used: a picture of a camera with 10 or 12 bits a pixel, or of a few levels, keeps its brightness.

    Args:
      path: the file; its content decides what it is, not its name.
      region: "full", or the "left" or "right" half of the picture.

    Raises:
      MediaError: missing, empty, truncated; undecodable (no picture, or one of an implausible size).
    """
    if not path.is_file():
        raise MediaError("missing", f"there is no file {path}")
    if path.stat().st_size > _LARGEST_BYTES:
        raise MediaError("undecodable", f"{path.name} has {path.stat().st_size} bytes, expected {_LARGEST_BYTES} at most of a picture")
    raw = path.read_bytes()
    if not raw:
        raise MediaError("empty", f"{path.name} has no bytes")
    yield Frame(0.0, region_of(_decoded(raw, path), region))


def _decoded(raw: bytes, path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    problem: Exception | None = None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(raw), formats=_FORMATS) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise MediaError("undecodable", f"{path.name}: an implausible picture of {image.width} x {image.height}")
            pixels = np.asarray(ImageOps.exif_transpose(_of_8_bits(image, raw)).convert("RGB"))
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise many kinds of exceptions on damaged files
        problem = error
    if _is_cut(raw):
        raise MediaError(
            "truncated", f"{path.name}: the picture's file ends too early ({_without_address(problem) or 'its end mark is missing'})"
        )
    if problem is not None:
        raise MediaError("undecodable", f"{path.name} is no whole {_NAMES} picture ({_without_address(problem)})") from problem
    return pixels


def _without_address(problem: Exception | None) -> str:
    """What Pillow says; not of a stream in memory, which it calls by its address."""
    return "it cannot be identified" if isinstance(problem, UnidentifiedImageError) else str(problem or "")


def _of_8_bits(image: Image.Image, raw: bytes) -> Image.Image:
    """The picture with 8 bits a channel, its orientation as the file states it."""
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode}")
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image)
    elif _has_16_bits(image, raw):  # Pillow would drop the lower 8 bits of colours, which may be all that there is
        decoded = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise ValueError("pixels of 16 bits that are not decoded")
        pixels = decoded[..., 2::-1] if decoded.ndim == 3 and decoded.shape[-1] >= 3 else decoded.reshape(*decoded.shape[:2], -1)[..., 0]
    else:
        return image
    reduced = Image.fromarray(reduce_depth(pixels))
    reduced.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    return reduced


def _has_16_bits(image: Image.Image, raw: bytes) -> bool:
    """Whether the channels of a PNG or TIFF have 16 bits each, which Pillow's mode does not say."""
    if image.format == "PNG":
        return raw[24:25] == b"\x10"
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)  # a TIFF's
    return 16 in bits if isinstance(bits, tuple) else bits == 16


def reduce_depth(pixels: np.ndarray) -> np.ndarray:
    """Return pixels of 16 bits as ones of 8, by the significant bits: the smallest usual depth that holds all values.

    Args:
      pixels: (H, W) or (H, W, C) uint16. Values to 4095, as a camera with 12 bits writes them, lose 4 bits and not 8; pixels brighter than
        all others by 16 times and rarer than one in a thousand are clipped.

    Returns:
      (H, W) or (H, W, C) uint8.
    """
    if pixels.dtype != np.uint16:
        return pixels.astype(np.uint8)
    brightest, nearly = int(pixels.max(initial=0)), int(np.quantile(pixels, 1 - _HOT_SHARE, method="lower"))
    if 0 < nearly << _HOT_BITS <= brightest:
        brightest = nearly
    bits = next(depth for depth in _DEPTHS_BITS if brightest < 1 << depth)
    clipped = np.minimum(pixels, (1 << bits) - 1).astype(np.uint32)
    return (clipped >> (bits - 8) if bits >= 8 else clipped * 255 // ((1 << bits) - 1)).astype(np.uint8)


def _is_cut(raw: bytes) -> bool:
    """Whether the end of a file is missing, by the marks of its format."""
    if raw.startswith(b"\x89PNG"):
        return b"IEND\xaeB`\x82" not in raw
    if raw.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in raw[max(raw.rfind(b"\xff\xda"), 0) :]  # the end mark behind the start of the last scan
    if raw[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_end(raw) > len(raw)
    if raw.startswith(b"RIFF"):
        return int.from_bytes(raw[4:8], "little") + 8 > len(raw)
    if raw.startswith(b"BM"):
        return int.from_bytes(raw[2:6], "little") > len(raw)
    return False


def _tiff_end(raw: bytes) -> int:
    """Where a TIFF's list of tags, and the strips or tiles that it names, end; as far as they can be read."""
    order = "<" if raw.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", raw, 4)
        (num_tags,) = struct.unpack_from(f"{order}H", raw, start)
        ends = {}
        for number in range(num_tags):
            tag, kind, count, value = struct.unpack_from(f"{order}HHII", raw, start + 2 + 12 * number)
            if tag not in _TIFF_PLACES or kind not in _TIFF_INTEGERS or count > len(raw):
                continue
            code, size = _TIFF_INTEGERS[kind]
            place = start + 2 + 12 * number + 8 if count * size <= 4 else value
            ends[tag] = struct.unpack_from(f"{order}{count}{code}", raw, place)
    except struct.error:
        return len(raw) + 1
    offsets = ends.get(273, ends.get(324, ()))
    sizes = ends.get(279, ends.get(325, ()))
    return max((offset + size for offset, size in zip(offsets, sizes, strict=False)), default=0)


def stream_row(path: Path, offset: int) -> Iterator[Frame]:
    """Yield the picture in one row of a table of pixels, FER2013's: a column of 2304 numbers, 48 x 48 grey, among others.

    Args:
      path: the CSV file.
      offset: where the row begins, in bytes from the start of the file.

    Raises:
      MediaError: missing; truncated (the file ends inside the row or before it); undecodable (it is no row of such pixels).
    """
    if not path.is_file():
        raise MediaError("missing", f"there is no file {path}")
    with path.open("rb") as stream:
        stream.seek(offset)
        row = stream.readline(_LONGEST_ROW_BYTES)
        is_last = not row.endswith(b"\n") and not stream.read(1)
    where = f"{path.name}: the row at byte {offset}"
    cells = next(csv.reader([row.decode("latin-1")]), [])
    numbers = max((cell.split() for cell in cells), key=len, default=[])
    if len(numbers) != _ROW_SIZE_PX**2:
        kind = "truncated" if is_last else "undecodable"
        raise MediaError(kind, f"{where} has {len(numbers)} pixels, expected {_ROW_SIZE_PX**2}")
    if not all(number.isascii() and number.isdigit() and int(number) < 256 for number in numbers):
        raise MediaError("undecodable", f"{where} has pixels that are no numbers from 0 to 255")
    gray = np.array(numbers, np.uint8).reshape(_ROW_SIZE_PX, _ROW_SIZE_PX)
    yield Frame(0.0, np.repeat(gray[..., None], 3, axis=-1))
