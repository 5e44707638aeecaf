"""Still pictures: what is read of picture files and of rows of pixels, and what is refused."""

from __future__ import annotations

import csv
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from avemo_jax.clips import Clip
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import MediaError
from data_prep.decoding.stills import ROW_OFFSET, is_still, stream_row, stream_still
from data_prep.sets.staging import StageTask, stage_media, staged_path
from data_prep.views.still import Still

STILL_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def picture(height_px: int = 40, width_px: int = 60) -> np.ndarray:
    """Smooth and of every brightness; red rises to the right, green downwards, blue is even."""
    red, green = np.linspace(0, 255, width_px), np.linspace(0, 255, height_px)[:, None]
    return np.stack(np.broadcast_arrays(red, green, np.full((1, 1), 90.0)), axis=-1).round().astype(np.uint8)


def write(path, image: np.ndarray) -> None:
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if path.suffix.lower() == ".webp" else []  # over 100 is lossless
    path.write_bytes(cv2.imencode(path.suffix.lower(), bgr, options)[1].tobytes())


def kind_of(frames) -> str:
    with pytest.raises(MediaError) as caught:
        list(frames)
    return caught.value.kind


class TestPictureFiles:
    @pytest.mark.parametrize("suffix", [*STILL_SUFFIXES, ".TIFF", ".JPG"])
    def test_colour(self, tmp_path, suffix):
        write(tmp_path / f"KA.AN1.39{suffix}", picture())
        (frame,) = stream_still(tmp_path / f"KA.AN1.39{suffix}")
        assert frame.time_s == 0 and frame.image.shape == (40, 60, 3) and frame.image.dtype == np.uint8
        tolerance = 12 if suffix.lower().startswith(".jp") else 0
        np.testing.assert_allclose(frame.image.astype(int), picture().astype(int), atol=tolerance)

    @pytest.mark.parametrize("suffix", STILL_SUFFIXES)
    def test_grey_keeps_its_whole_range(self, tmp_path, suffix):
        gray = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
        write(tmp_path / f"a{suffix}", gray)
        (frame,) = stream_still(tmp_path / f"a{suffix}")
        np.testing.assert_allclose(frame.image.astype(int), np.repeat(gray[..., None], 3, axis=-1).astype(int), atol=3)

    @pytest.mark.parametrize("suffix", [".png", ".tiff"])
    @pytest.mark.parametrize("channels", ["grey", "colour", "transparent"])
    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 9, 10, 12, 14, 16])
    def test_sixteen_bits_keep_their_brightness_whatever_their_depth(self, tmp_path, suffix, channels, bits):
        share = np.linspace(0, 1, 256)
        levels = np.tile(np.round(share * (2**bits - 1)).astype(np.uint16), (64, 1))
        image = levels if channels == "grey" else np.stack([levels, levels, levels[:, ::-1]], axis=-1)
        if channels == "transparent":
            image = np.dstack([image, np.full(levels.shape, 2**bits - 1, np.uint16)])
        (tmp_path / f"a{suffix}").write_bytes(cv2.imencode(suffix, image)[1].tobytes())
        (frame,) = stream_still(tmp_path / f"a{suffix}")
        depth = next(depth for depth in (1, 2, 4, 8, 10, 12, 14, 16) if depth >= bits)
        expected = np.round(share * (2**bits - 1)) / (2**depth - 1) * 255
        assert frame.image.dtype == np.uint8 and frame.image.shape == (64, 256, 3)
        np.testing.assert_allclose(frame.image[0, :, -1], expected, atol=1.01)  # red is where the channels differ, blue the mirrored one
        np.testing.assert_allclose(frame.image[0, :, 0], expected if channels == "grey" else expected[::-1], atol=1.01)

    def test_hot_pixels_do_not_darken_sixteen_bits(self, tmp_path):
        gray = np.full((100, 100), 3000, np.uint16)
        gray[50, 50] = 65535
        write(tmp_path / "a.png", gray)
        (frame,) = stream_still(tmp_path / "a.png")
        assert frame.image[0, 0, 0] == 3000 >> 4 and frame.image[50, 50, 0] == 255

    @pytest.mark.parametrize("suffix", [".png", ".tiff"])
    def test_sixteen_bits_are_turned_too(self, tmp_path, suffix):
        image = Image.fromarray((np.arange(24, dtype=np.uint16) * 2700).reshape(4, 6))
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / f"a{suffix}", exif=exif)
        (frame,) = stream_still(tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(frame.image[..., 0], np.rot90(np.asarray(image) >> 8, -1))

    @pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "PNG", "TIFF"])
    @pytest.mark.parametrize("suffix", [".jpg", ".png"])
    def test_pictures_under_the_name_of_another_kind(self, tmp_path, kind, suffix):
        Image.fromarray(picture()).save(tmp_path / f"a{suffix}", format=kind, lossless=True)
        (frame,) = stream_still(tmp_path / f"a{suffix}")
        np.testing.assert_allclose(frame.image.astype(int), picture().astype(int), atol=26 if kind == "GIF" else 0)  # of 256 colours

    @pytest.mark.parametrize("name", ["S010_004_00000017.png", "a%03d.png", "a*.png", "a:b.png", "Lüge [1].png"])
    def test_names_are_taken_as_they_are(self, tmp_path, name):
        write(tmp_path / name, picture())
        write(tmp_path / "S010_004_00000018.png", 255 - picture())  # the next of a series is another picture
        (frame,) = stream_still(tmp_path / name)
        np.testing.assert_array_equal(frame.image, picture())

    def test_content_and_not_the_name_says_what_it_is(self, tmp_path):
        write(tmp_path / "a.tiff", picture())
        (tmp_path / "a.tiff").rename(tmp_path / "a.png")
        (frame,) = stream_still(tmp_path / "a.png")
        np.testing.assert_array_equal(frame.image, picture())

    @pytest.mark.parametrize("suffix", STILL_SUFFIXES)
    @pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a"])
    def test_a_still_is_known_by_its_content(self, tmp_path, suffix, name):
        write(tmp_path / f"b{suffix}", picture())
        (tmp_path / f"b{suffix}").rename(tmp_path / name)
        assert is_still(tmp_path / name)

    def test_moving_pictures_and_text_are_no_stills(self, tmp_path):
        images = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
        for name, content in [("a", b"BMW is a car, and so on\n"), ("b", b"RIFF....WAVE"), ("c", b"")]:
            (tmp_path / name).write_bytes(content)
            assert not is_still(tmp_path / name)
        images[0].save(tmp_path / "a.jpg", format="GIF", save_all=True, append_images=images[1:])
        assert not is_still(tmp_path / "a.jpg")
        assert next(stream_frames(tmp_path / "a.jpg")).image.shape == (40, 60, 3)

    @pytest.mark.parametrize("content", [b"hello" * 100, b"\xff\xd8\xff\xe0" + bytes(100), b"RIFF\x08\0\0\0WEBPVP8 "])
    def test_messages_have_no_address(self, tmp_path, content):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(MediaError, match=r"a\.jpg") as caught:
            list(stream_still(tmp_path / "a.jpg"))
        assert " object at " not in caught.value.detail and "0x" not in caught.value.detail

    def test_half_of_the_picture(self, tmp_path):
        write(tmp_path / "a.png", picture())
        (frame,) = stream_still(tmp_path / "a.png", region="right")
        np.testing.assert_array_equal(frame.image, picture()[:, 30:])

    def test_a_photograph_taken_sideways_is_turned(self, tmp_path):
        write(tmp_path / "a.jpg", picture())
        raw = (tmp_path / "a.jpg").read_bytes()
        exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)  # orientation 6: its top is at the right
        (tmp_path / "a.jpg").write_bytes(raw[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + raw[2:])
        (frame,) = stream_still(tmp_path / "a.jpg")
        np.testing.assert_allclose(frame.image.astype(int), np.rot90(picture(), -1).astype(int), atol=12)


class TestRefusedFiles:
    def test_missing_and_empty(self, tmp_path):
        assert kind_of(stream_still(tmp_path / "a.png")) == "missing"
        (tmp_path / "a.png").touch()
        assert kind_of(stream_still(tmp_path / "a.png")) == "empty"

    @pytest.mark.parametrize("content", [b"hello" * 100, b"<svg/>", b"GIF89a" + bytes(100), b"#EXTM3U\nhttp://localhost/a.png\n"])
    def test_no_picture(self, tmp_path, content):
        (tmp_path / "a.png").write_bytes(content)
        assert kind_of(stream_still(tmp_path / "a.png")) == "undecodable"

    @pytest.mark.parametrize("suffix", STILL_SUFFIXES)
    @pytest.mark.parametrize("part", [0.3, 0.9, 0.99])
    def test_cut_short(self, tmp_path, suffix, part):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        write(tmp_path / f"a{suffix}", noise)
        raw = (tmp_path / f"a{suffix}").read_bytes()
        (tmp_path / f"a{suffix}").write_bytes(raw[: int(len(raw) * part)])
        assert kind_of(stream_still(tmp_path / f"a{suffix}")) == "truncated"

    def test_flipped_bits_of_a_png(self, tmp_path):
        write(tmp_path / "a.png", picture())
        raw = bytearray((tmp_path / "a.png").read_bytes())
        raw[len(raw) // 2] ^= 4
        (tmp_path / "a.png").write_bytes(raw)
        assert kind_of(stream_still(tmp_path / "a.png")) in ("undecodable", "truncated")

    def test_absurd_sizes(self, tmp_path):
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        header = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
        raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9000))) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(raw)
        with pytest.raises(MediaError, match="an implausible picture of 9000 x 9000"):
            list(stream_still(tmp_path / "a.png"))


class TestRows:
    PIXELS = np.arange(2304).reshape(48, 48) % 256

    def written(self, tmp_path, rows, ending="\n"):
        """The table, and where each row begins."""
        offsets, raw = [], b""
        for row in (("emotion", "pixels", "Usage"), *rows):
            offsets.append(len(raw))
            raw += (",".join(row) + ending).encode()
        (tmp_path / "fer2013.csv").write_bytes(raw)
        return tmp_path / "fer2013.csv", offsets[1:]

    def row(self, emotion="3", shift=0, usage="Training", quoted=False):
        pixels = " ".join(str(value) for value in np.roll(self.PIXELS, shift, axis=1).ravel())
        return emotion, f'"{pixels}"' if quoted else pixels, usage

    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    @pytest.mark.parametrize("quoted", [False, True])
    def test_each_row_is_reached_by_its_offset(self, tmp_path, ending, quoted):
        path, offsets = self.written(tmp_path, [self.row(shift=shift, quoted=quoted) for shift in range(4)], ending)
        for shift in (3, 0, 2, 1):
            (frame,) = stream_row(path, offsets[shift])
            assert frame.time_s == 0 and frame.image.dtype == np.uint8
            np.testing.assert_array_equal(frame.image, np.repeat(np.roll(self.PIXELS, shift, axis=1)[..., None], 3, axis=-1))

    def test_offsets_are_those_of_the_lines(self, tmp_path):
        path, offsets = self.written(tmp_path, [self.row(), self.row()])
        with path.open("rb") as stream:
            stream.readline()
            assert stream.tell() == offsets[0]
            assert next(csv.reader([stream.readline().decode()]))[0] == "3"

    def test_last_row_without_a_line_end(self, tmp_path):
        path, offsets = self.written(tmp_path, [self.row()])
        path.write_bytes(path.read_bytes().rstrip())
        assert len(list(stream_row(path, offsets[0]))) == 1

    def test_damage(self, tmp_path):
        path, offsets = self.written(tmp_path, [self.row(), ("0", "1 2 3", "Training"), self.row(), self.row()])
        assert kind_of(stream_row(tmp_path / "other.csv", 0)) == "missing"
        assert kind_of(stream_row(path, 0)) == "undecodable"  # the header
        assert kind_of(stream_row(path, offsets[1])) == "undecodable"
        assert kind_of(stream_row(path, offsets[0] + 3000)) == "undecodable"  # inside a row
        assert kind_of(stream_row(path, 10**9)) == "truncated"
        path.write_bytes(path.read_bytes()[:-4000])
        assert kind_of(stream_row(path, offsets[3])) == "truncated"
        assert len(list(stream_row(path, offsets[2]))) == 1

    @pytest.mark.parametrize("value", ["256", "-1", "1.5", "x", "\u0663"])
    def test_what_is_no_brightness(self, tmp_path, value):
        _, pixels, usage = self.row()
        path, offsets = self.written(tmp_path, [("0", f"{value} {pixels.split(' ', 1)[1]}", usage)])
        assert kind_of(stream_row(path, offsets[0])) == "undecodable"

    def test_endless_line(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"1 " * 10_000_000)
        assert kind_of(stream_row(tmp_path / "a.csv", 0)) == "undecodable"


class TestStaging:
    def staged(self, tmp_path, clip):
        return stage_media(StageTask(clip, Still(size_px=48), tmp_path, staged_path(tmp_path / "staging", clip.clip_id)))

    def test_a_picture_and_a_row_give_an_example_each(self, tmp_path):
        image = picture(48, 48)
        write(tmp_path / "a.png", image)
        (example,) = self.staged(tmp_path, Clip("a", "jaffe", "happy", "KA", video="a.png")).examples()
        np.testing.assert_array_equal(example.values, image[None])
        assert example.mask.tolist() == [True] and example.times_s.tolist() == [0]
        rows = TestRows()
        _, offsets = rows.written(tmp_path, [rows.row(shift=1), rows.row(shift=2)])
        clip = Clip("fer-2", "fer2013", "happy", "unknown", video="fer2013.csv", attributes={ROW_OFFSET: str(offsets[1])})
        (example,) = self.staged(tmp_path, clip).examples()
        np.testing.assert_array_equal(example.values[0, :, :, 0], np.roll(rows.PIXELS, 2, axis=1))

    def test_damage_is_reported(self, tmp_path):
        write(tmp_path / "a.png", picture())
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-20])
        staged = self.staged(tmp_path, Clip("a", "jaffe", "happy", "KA", video="a.png"))
        assert staged.num_segments == 0 and staged.damage.kind == "truncated"
