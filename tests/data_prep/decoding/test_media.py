"""Decoding: right samples and pictures, and every kind of damage by its name."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image
from shared_data import shared_data
from written_media import chirp, numbered_images, write_sound, write_video

from data_prep.decoding import films, sound, time_line
from data_prep.decoding.containers import MediaInfo, probe
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Frame, MediaError, content_sha256
from data_prep.decoding.sound import stream_audio


def whole(path: Path, **arguments) -> np.ndarray:
    (samples,) = stream_audio(path, **arguments)
    return samples


def kind_of(stream) -> str:
    with pytest.raises(MediaError) as caught:
        for _ in stream:
            pass
    assert caught.value.detail
    return caught.value.kind


def brightness(frame: Frame) -> float:
    return float(frame.image.mean())


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """4 s at 25 frames/s with a chirp of 4 s at 16 kHz."""
    path = tmp_path_factory.mktemp("media") / "clip.avi"
    write_video(path, numbered_images(100), sound=chirp(4, 16000))
    return path


class TestAudio:
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "aiff_named.wav"])
    def test_lossless_samples_come_back_exactly(self, tmp_path, name):
        sound = np.round(chirp(1, 16000) * 32767) / 32768
        soundfile.write(tmp_path / name, sound, 16000, format="AIFF" if "aiff" in name else None)
        np.testing.assert_array_equal(whole(tmp_path / name, rate_hz=16000), sound.astype(np.float32))

    def test_sound_of_a_video_comes_back_exactly(self, clip):
        expected = np.round(chirp(4, 16000) * 32767).astype(np.float32) / 32768
        np.testing.assert_array_equal(whole(clip, rate_hz=16000), expected)

    @pytest.mark.parametrize(("name", "codec"), [("a.mp3", "mp3"), ("a.m4a", "aac"), ("a.mka", "aac")])
    def test_lossy_sound_is_near(self, tmp_path, name, codec):
        write_sound(tmp_path / name, chirp(2, 44100), rate_hz=44100, codec=codec)
        got = whole(tmp_path / name, rate_hz=44100)
        expected = chirp(2, 44100)
        shift = np.argmax(np.correlate(np.pad(got, (0, 4000))[: len(expected)], expected[:20000], "valid"))
        got = got[shift : shift + 80000]
        assert np.abs(got[4000:-4000] - expected[: len(got)][4000:-4000]).max() < 0.05

    def test_channels_are_averaged(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.stack([np.full(8000, 0.5), np.full(8000, -0.25)], 1), 8000)
        np.testing.assert_allclose(whole(tmp_path / "a.wav", rate_hz=8000), 0.125, atol=1e-4)

    def test_channels_that_change_on_the_way(self, tmp_path):
        for layout in ("mono", "stereo"):
            write_sound(tmp_path / f"{layout}.aac", chirp(1, 16000), rate_hz=16000, codec="aac", layout=layout)
        (tmp_path / "a.aac").write_bytes(b"".join((tmp_path / f"{layout}.aac").read_bytes() for layout in ("mono", "stereo")))
        mono, stereo, both = (whole(tmp_path / f"{name}.aac", rate_hz=16000) for name in ("mono", "stereo", "a"))
        assert len(both) == len(mono) + len(stereo)
        np.testing.assert_array_equal(both[: len(mono)], mono)
        np.testing.assert_allclose(both[len(mono) + 2048 :], stereo[2048:], atol=1e-3)  # by then the decoder has settled

    def test_resampling_equals_soxr_in_one_piece(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", chirp(7, 24414), 24414, subtype="FLOAT")
        expected = soxr.resample(chirp(7, 24414), 24414, 16000, quality="HQ")
        np.testing.assert_array_equal(whole(tmp_path / "a.wav", rate_hz=16000), expected)

    @pytest.mark.parametrize("block_samples", [1000, 4096, 1 << 20])
    @pytest.mark.parametrize("name", ["a.flac", "a.mka"])
    def test_segments_do_not_depend_on_blocks(self, tmp_path, monkeypatch, name, block_samples):
        if name == "a.flac":
            soundfile.write(tmp_path / name, chirp(5.3, 44100), 44100)
        else:
            write_sound(tmp_path / name, chirp(5.3, 44100), rate_hz=44100, codec="aac")
        expected = whole(tmp_path / name, rate_hz=16000)
        monkeypatch.setattr(sound, "_BLOCK_SAMPLES", block_samples)
        pieces = list(stream_audio(tmp_path / name, rate_hz=16000, segment_s=2.0))
        assert [len(piece) for piece in pieces] == [32000, 32000, len(expected) - 64000]
        np.testing.assert_array_equal(np.concatenate(pieces), expected)
        span = whole(tmp_path / name, rate_hz=44100, start_s=1.25, end_s=3.5)
        np.testing.assert_array_equal(span, whole(tmp_path / name, rate_hz=44100)[55125:154350])

    @pytest.mark.parametrize("name", ["a.wav", "clip.avi"])
    def test_span(self, tmp_path, clip, name):
        path = clip
        if name == "a.wav":
            path = tmp_path / name
            soundfile.write(path, chirp(4, 16000), 16000)
        expected = whole(path, rate_hz=16000)
        np.testing.assert_array_equal(whole(path, rate_hz=16000, start_s=1.5, end_s=2.25), expected[24000:36000])

    def test_span_deep_inside_is_sought(self, tmp_path):
        write_video(tmp_path / "long.avi", numbered_images(1000, 16, 16), sound=chirp(40, 16000))
        expected = whole(tmp_path / "long.avi", rate_hz=16000)
        np.testing.assert_array_equal(whole(tmp_path / "long.avi", rate_hz=16000, start_s=31.5, end_s=33.0), expected[504000:528000])


class TestFrames:
    def test_times_and_pictures(self, clip):
        frames = list(stream_frames(clip))
        np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(100) / 25, atol=1e-6)
        assert frames[0].image.shape == (48, 96, 3) and frames[0].image.dtype == np.uint8
        np.testing.assert_allclose([frame.image[:, :40].mean() for frame in frames], 40 + np.arange(100), atol=2)

    def test_a_picture_is_converted_when_it_is_looked_at(self, clip, monkeypatch):
        converted = []
        monkeypatch.setattr(films, "_picture", lambda *rest, picture=films._picture: converted.append(1) or picture(*rest))
        frames = list(stream_frames(clip))
        assert not converted
        assert frames[3].image is frames[3].image and len(converted) == 1

    def test_lossless_pictures_come_back_exactly(self, tmp_path):
        images = list(np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3), dtype=np.uint8))
        write_video(tmp_path / "a.mkv", images, codec="ffv1")
        for frame, image in zip(stream_frames(tmp_path / "a.mkv"), images, strict=True):
            np.testing.assert_array_equal(frame.image, image)

    def test_halves(self, clip):
        left, right = (next(stream_frames(clip, region=region)) for region in ("left", "right"))
        assert left.image.shape == right.image.shape == (48, 48, 3)
        assert abs(brightness(left) - 40) < 3 and abs(brightness(right) - 200) < 3

    def test_unknown_region(self, clip):
        with pytest.raises(ValueError, match="region must be one of"):
            next(stream_frames(clip, region="top"))

    def test_span_has_its_own_clock(self, clip):
        frames = list(stream_frames(clip, start_s=1.0, end_s=1.2))
        np.testing.assert_allclose([frame.time_s for frame in frames], [0, 0.04, 0.08, 0.12, 0.16], atol=1e-6)
        assert abs(frames[0].image[:, :40].mean() - 65) < 2

    @pytest.mark.parametrize("name", ["long.avi", "long.mp4", "long.mkv", "long.mpg"])
    def test_span_deep_inside_is_sought(self, tmp_path, monkeypatch, name):
        codec = "mpeg1video" if name.endswith("mpg") else "mpeg4"
        write_video(tmp_path / name, numbered_images(1000, 16, 32), codec=codec)
        expected = [frame for frame in stream_frames(tmp_path / name) if 31.5 - 1e-6 <= frame.time_s < 31.8 - 1e-6]
        converted = []
        monkeypatch.setattr(
            time_line,
            "_stamped",
            lambda frames, *rest, stamped=time_line._stamped: stamped(map(lambda f: converted.append(1) or f, frames), *rest),
        )
        got = list(stream_frames(tmp_path / name, start_s=31.5, end_s=31.8))
        assert 7 <= len(got) <= 8 and len(converted) < 150  # a reader from the beginning decodes 795
        for ours, theirs in zip(got, expected, strict=True):
            assert ours.time_s == pytest.approx(theirs.time_s - 31.5, abs=1e-3)
            np.testing.assert_array_equal(ours.image, theirs.image)

    def test_file_that_cannot_be_entered_in_the_middle_is_read_from_its_beginning(self, tmp_path, monkeypatch):
        write_video(tmp_path / "a.avi", numbered_images(400, 16, 32))
        expected = [brightness(frame) for frame in stream_frames(tmp_path / "a.avi")][300:305]
        decoded, calls = time_line._decoded, []

        def fails_at_first(*arguments):
            calls.append(arguments)
            if len(calls) == 1:
                raise MediaError("undecodable", "no key frame")
            yield from decoded(*arguments)

        monkeypatch.setattr(time_line, "_decoded", fails_at_first)
        assert [brightness(frame) for frame in stream_frames(tmp_path / "a.avi", start_s=12.0, end_s=12.2)] == expected
        assert len(calls) == 2

    def test_turned_picture_stands_upright(self, tmp_path):
        write_video(tmp_path / "a.mp4", numbered_images(3, 32, 64), rotation=90)  # counter-clockwise: left goes down
        image = next(stream_frames(tmp_path / "a.mp4")).image
        assert image.shape == (64, 32, 3) and image[60].mean() < 60 < 180 < image[3].mean()


class TestDamage:
    def test_missing(self, tmp_path):
        for stream in (stream_audio(tmp_path / "no.wav", rate_hz=8000), stream_audio(tmp_path / "no.mp4", rate_hz=8000)):
            assert kind_of(stream) == "missing"
        assert kind_of(stream_frames(tmp_path / "no.mp4")) == "missing"
        with pytest.raises(MediaError, match=r"missing: there is no file .*no\.mp4"):
            content_sha256(tmp_path / "no.mp4")

    def test_no_bytes(self, tmp_path):
        for name in ("a.wav", "a.mp4"):
            (tmp_path / name).touch()
            assert kind_of(stream_audio(tmp_path / name, rate_hz=8000)) == "empty"
            assert kind_of(stream_frames(tmp_path / name)) == "empty"

    @pytest.mark.parametrize("name", ["a.mp4", "a.wav", "a.avi", "a:b.flv"])
    @pytest.mark.parametrize("text", ["hello, I am no video\n" * 100, "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n"])
    def test_text(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        assert kind_of(stream_audio(tmp_path / name, rate_hz=8000)) == "undecodable"
        assert kind_of(stream_frames(tmp_path / name)) == "undecodable"

    def test_no_picture_and_no_sound(self, tmp_path):
        write_sound(tmp_path / "a.m4a", chirp(1, 16000), rate_hz=16000, codec="aac")
        assert kind_of(stream_frames(tmp_path / "a.m4a")) == "no_video"
        write_video(tmp_path / "a.avi", numbered_images(5))
        assert kind_of(stream_audio(tmp_path / "a.avi", rate_hz=8000)) == "no_audio"

    def test_header_without_samples(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
        assert kind_of(stream_audio(tmp_path / "a.wav", rate_hz=16000)) == "empty"

    @pytest.mark.parametrize("value", [np.nan, np.inf, 3e4])
    def test_values_that_are_no_sound(self, tmp_path, value):
        sound = chirp(1, 16000)
        sound[8000] = value
        soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
        assert kind_of(stream_audio(tmp_path / "a.wav", rate_hz=16000)) == "undecodable"

    @pytest.mark.parametrize("rate_hz", [3, 2_000_000])
    def test_implausible_rate(self, tmp_path, rate_hz):
        soundfile.write(tmp_path / "a.wav", chirp(0.1, 16000), 16000)
        raw = bytearray((tmp_path / "a.wav").read_bytes())
        raw[24:28] = struct.pack("<I", rate_hz)
        (tmp_path / "a.wav").write_bytes(raw)
        assert kind_of(stream_audio(tmp_path / "a.wav", rate_hz=16000)) == "undecodable"

    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.mka", "a.mp3"])
    @pytest.mark.parametrize("part", [0.3, 0.8])
    def test_sound_cut_short(self, tmp_path, name, part):
        if name.endswith(("mka", "mp3")):
            write_sound(tmp_path / name, chirp(5, 44100), rate_hz=44100, codec={"a.mka": "aac", "a.mp3": "mp3"}[name])
        else:
            soundfile.write(tmp_path / name, chirp(5, 44100), 44100)
        raw = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(raw[: int(len(raw) * part)])
        assert kind_of(stream_audio(tmp_path / name, rate_hz=16000)) == "truncated"

    @pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv"])
    @pytest.mark.parametrize("part", [0.3, 0.7])
    def test_video_cut_short(self, tmp_path, name, part):
        noise = np.random.default_rng(0).integers(0, 60, (75, 64, 64, 3), dtype=np.uint8)
        write_video(tmp_path / name, list(noise))
        raw = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(raw[: int(len(raw) * part)])
        assert kind_of(stream_frames(tmp_path / name)) == "truncated"

    def test_mp4_without_its_index_is_undecodable(self, tmp_path):
        write_video(tmp_path / "a.mp4", numbered_images(10))
        raw = (tmp_path / "a.mp4").read_bytes()
        (tmp_path / "a.mp4").write_bytes(raw[:40])
        assert kind_of(stream_frames(tmp_path / "a.mp4")) == "undecodable"

    def test_flipped_bits_in_the_middle(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 60, (75, 64, 64, 3), dtype=np.uint8)
        write_video(tmp_path / "a.avi", list(noise))
        raw = bytearray((tmp_path / "a.avi").read_bytes())
        middle = len(raw) // 2
        raw[middle : middle + 2000] = bytes(255 - value for value in raw[middle : middle + 2000])
        (tmp_path / "a.avi").write_bytes(raw)
        assert kind_of(stream_frames(tmp_path / "a.avi")) == "undecodable"

    @pytest.mark.parametrize("span", [(3.0, 6.0), (20.0, 21.0)])
    def test_span_beyond_the_end(self, tmp_path, clip, span):
        soundfile.write(tmp_path / "a.wav", chirp(4, 16000), 16000)
        start_s, end_s = span
        assert kind_of(stream_audio(tmp_path / "a.wav", rate_hz=16000, start_s=start_s, end_s=end_s)) == "truncated"
        assert kind_of(stream_audio(clip, rate_hz=16000, start_s=start_s, end_s=end_s)) == "truncated"
        assert kind_of(stream_frames(clip, start_s=start_s, end_s=end_s)) == "truncated"

    def test_error_says_kind_and_file_and_survives_a_process_boundary(self):
        error = MediaError("truncated", "a.wav: the sound ends early")
        assert str(error) == "truncated: a.wav: the sound ends early"
        again = type(error)(*error.args)
        assert (again.kind, again.detail) == (error.kind, error.detail)


class TestProbe:
    def test_video_with_sound(self, clip):
        info = probe(clip)
        assert info == MediaInfo(4.0, True, True, 16000, 25.0, 96, 48)

    def test_sound_alone(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", chirp(1, 24414), 24414)
        assert probe(tmp_path / "a.wav") == MediaInfo(1.0, True, False, 24414, None, None, None)

    def test_content_hash(self, tmp_path):
        (tmp_path / "a").write_bytes(b"abc")
        assert content_sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


class TestRealClips:
    @pytest.mark.parametrize(("name", "num_frames", "num_samples"), [("ANG", 67, 100224), ("HAP", 56, 84096), ("NEU", 61, 91008)])
    def test_crema_d(self, name, num_frames, num_samples):
        path = shared_data("crema_d", f"1001_DFA_{name}_XX.flv")  # its first stream is a data stream
        frames = list(stream_frames(path))
        assert len(frames) == num_frames and frames[0].image.shape == (360, 480, 3)
        assert len(whole(path, rate_hz=44100)) == num_samples

    @pytest.mark.parametrize("name", ["brbk7n", "lbax4n", "lbbc2a", "lwbsza", "sbwe5n"])
    def test_grid(self, name):
        path = shared_data("grid", f"{name}.mpg")
        frames = list(stream_frames(path))
        assert len(frames) == 75 and frames[0].image.shape == (288, 360, 3)
        np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(75) / 25, atol=1e-6)
        assert len(whole(path, rate_hz=44100)) == 131328

    @pytest.mark.parametrize("part", [0.4, 0.7, 0.95])
    def test_crema_d_cut_short(self, tmp_path, part):
        raw = shared_data("crema_d", "1001_DFA_ANG_XX.flv").read_bytes()
        (tmp_path / "a.flv").write_bytes(raw[: int(len(raw) * part)])
        assert kind_of(stream_frames(tmp_path / "a.flv")) == "truncated"
        assert kind_of(stream_audio(tmp_path / "a.flv", rate_hz=16000)) == "truncated"

    def test_grid_cut_short_is_noticed_by_its_broken_last_picture(self, tmp_path):
        raw = shared_data("grid", "brbk7n.mpg").read_bytes()
        (tmp_path / "a.mpg").write_bytes(raw[: len(raw) // 2])
        assert kind_of(stream_frames(tmp_path / "a.mpg")) == "truncated"


def test_an_animated_gif_is_a_film_with_the_times_of_its_frames(tmp_path):
    images = [Image.fromarray(np.full((48, 64, 3), 30 + 20 * number, np.uint8)) for number in range(4)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 200, 50, 100])
    frames = list(stream_frames(tmp_path / "a.gif"))
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.3, 0.35])
    assert [int(frame.image.mean()) for frame in frames] == pytest.approx([30, 50, 70, 90], abs=2)
