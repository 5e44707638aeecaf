"""One time line for sound and picture: late starts, gaps and cuts keep them in step, and what is missing is said."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from written_media import chirp, numbered_images, write_sound, write_streams

from data_prep.decoding import containers, time_line
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, MediaError
from data_prep.decoding.sound import stream_audio

RATE_HZ = 16000
# name, codec of the sound, whether its samples come back as they were
CONTAINERS = [
    ("a.mkv", "pcm_s16le", True),
    ("a.mov", "pcm_s16le", True),
    ("a.mp4", "aac", False),
    ("a.ts", "aac", False),
    ("a.flv", "pcm_s16le", True),
    ("a.webm", "libopus", False),
    ("a.asf", "pcm_s16le", True),
]


def picture_codec(name: str) -> str:
    return {"webm": "libvpx", "flv": "flv", "ts": "mpeg2video"}.get(name.split(".")[1], "mjpeg")


def rate_of(name: str) -> int:
    return 48000 if name.endswith("webm") else 44100 if name.endswith("flv") else RATE_HZ


def decoded(path: Path, rate_hz: int = RATE_HZ, **arguments) -> tuple[np.ndarray, Findings]:
    findings = Findings()
    (samples,) = stream_audio(path, rate_hz=rate_hz, findings=findings, **arguments)
    return samples, findings


def level(samples: np.ndarray, start_s: float, end_s: float, rate_hz: int) -> float:
    return float(np.abs(samples[round(start_s * rate_hz) : round(end_s * rate_hz)]).max(initial=0))


def film(path: Path, **arguments) -> int:
    rate_hz = rate_of(path.name)
    write_streams(
        path, images=numbered_images(75), sound=chirp(3, rate_hz), rate_hz=rate_hz, picture_codec=picture_codec(path.name), **arguments
    )
    return rate_hz


class TestOffsets:
    @pytest.mark.parametrize(("name", "codec", "is_exact"), CONTAINERS)
    def test_late_sound_stays_late(self, tmp_path, name, codec, is_exact):
        rate_hz = film(tmp_path / name, sound_codec=codec, sound_start_s=0.8)
        samples, _ = decoded(tmp_path / name, rate_hz)
        assert level(samples, 0, 0.7, rate_hz) < 0.01 < 0.3 < level(samples, 0.84, 0.9, rate_hz)
        assert len(samples) / rate_hz == pytest.approx(3.8, abs=0.05)
        if is_exact:
            onset = int(np.argmax(np.abs(samples) > 0.002))
            assert onset / rate_hz == pytest.approx(0.8, abs=0.002)
            expected = np.round(chirp(3, rate_hz) * 32767).astype(np.float32) / 32768
            shift = onset - int(np.argmax(np.abs(expected) > 0.002))
            np.testing.assert_array_equal(samples[shift : shift + len(expected)], expected)

    @pytest.mark.parametrize(("name", "codec", "is_exact"), CONTAINERS)
    def test_a_late_picture_stays_late(self, tmp_path, name, codec, is_exact):
        rate_hz = film(tmp_path / name, sound_codec=codec, picture_start_s=0.8)
        times_s = [frame.time_s for frame in stream_frames(tmp_path / name)]
        assert len(times_s) == 75 and times_s[0] == pytest.approx(0.8, abs=0.07)  # the codec's priming comes first in TS
        samples, _ = decoded(tmp_path / name, rate_hz)
        assert level(samples, 0.05, 0.3, rate_hz) > 0.3

    @pytest.mark.parametrize(("name", "codec"), [*(one[:2] for one in CONTAINERS), ("a.nut", "pcm_s16le")])
    def test_a_file_that_starts_late_starts_at_0(self, tmp_path, name, codec):
        """Recordings of broadcasts, and cuts without decoding, keep the time stamps of what they were cut from."""
        rate_hz = film(tmp_path / name, sound_codec=codec, picture_start_s=1.5, sound_start_s=1.5)
        times_s = [frame.time_s for frame in stream_frames(tmp_path / name)]
        assert len(times_s) == 75 and times_s[0] == pytest.approx(0, abs=0.1)  # the codec's priming
        samples, _ = decoded(tmp_path / name, rate_hz)
        assert level(samples, 0.05, 0.3, rate_hz) > 0.3 and len(samples) / rate_hz == pytest.approx(3, abs=0.1)

    def test_the_end_of_a_matroska_file_that_starts_late_is_missed(self, tmp_path):
        film(tmp_path / "a.mkv", sound_codec="pcm_s16le", picture_start_s=1.5, sound_start_s=1.5)
        raw = (tmp_path / "a.mkv").read_bytes()
        (tmp_path / "a.mkv").write_bytes(raw[: len(raw) * 2 // 3])
        with pytest.raises(MediaError, match="truncated: "):
            decoded(tmp_path / "a.mkv")

    @pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
    def test_a_span_is_counted_on_the_time_line(self, tmp_path, name):
        film(tmp_path / name, sound_start_s=0.8)
        samples, _ = decoded(tmp_path / name)
        span, _ = decoded(tmp_path / name, start_s=0.5, end_s=1.5)
        np.testing.assert_array_equal(span, samples[8000:24000])
        pieces = list(stream_audio(tmp_path / name, rate_hz=RATE_HZ, segment_s=0.5))
        np.testing.assert_array_equal(np.concatenate(pieces), samples)


class TestGaps:
    @pytest.mark.parametrize(("name", "codec", "is_exact"), [one for one in CONTAINERS if one[0] != "a.mov"])  # MOV's PCM has no gaps
    @pytest.mark.parametrize("lost_s", [(1.0, 1.6), (1.0, 1.06)])
    def test_lost_sound_is_silence_and_said(self, tmp_path, name, codec, is_exact, lost_s):
        rate_hz = film(tmp_path / f"whole_{name}", sound_codec=codec)
        film(tmp_path / name, sound_codec=codec, lost_s=lost_s)
        whole, _ = decoded(tmp_path / f"whole_{name}", rate_hz)
        samples, findings = decoded(tmp_path / name, rate_hz)
        assert len(samples) == pytest.approx(len(whole), abs=0.002 * rate_hz)
        assert any("no sound was sent for" in note for note in findings.notes)
        start, end = round(2.0 * rate_hz), round(2.5 * rate_hz)
        shifts = range(-32, 33)
        nearest = min(float(np.abs(samples[start + shift : end + shift] - whole[start:end]).max()) for shift in shifts)
        assert nearest < (1e-6 if is_exact else 0.02)
        assert not is_exact or level(samples, (lost_s[0] + lost_s[1]) / 2, (lost_s[0] + lost_s[1]) / 2 + 0.002, rate_hz) == 0

    @pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.flv"])
    def test_lost_pictures_are_said(self, tmp_path, name):
        film(tmp_path / name, lost="picture", lost_s=(1.0, 1.04) if name != "a.flv" else (2.4, 3.0))
        findings = Findings()
        assert len(list(stream_frames(tmp_path / name, findings=findings))) < 75
        assert findings.notes

    def test_a_whole_film_gives_no_note(self, tmp_path):
        for name, codec, _ in CONTAINERS:
            rate_hz = film(tmp_path / name, sound_codec=codec)
            findings = Findings()
            assert len(list(stream_frames(tmp_path / name, findings=findings))) == 75
            assert decoded(tmp_path / name, rate_hz)[1].notes == findings.notes == [], name

    def test_a_time_stamp_of_ten_hours_fills_nothing(self, tmp_path):
        film(tmp_path / "a.mkv", sound_start_s=36000.0)
        with pytest.raises(MediaError, match=r"undecodable: a\.mkv: no sound for 36000 s"):
            decoded(tmp_path / "a.mkv")
        film(tmp_path / "b.mkv", picture_start_s=36000.0)
        with pytest.raises(MediaError, match=r"undecodable: b\.mkv: no picture for 36000 s"):
            list(stream_frames(tmp_path / "b.mkv"))


class TestPromises:
    @pytest.mark.parametrize("name", ["a.flv", "a.mkv", "a.mov"])
    def test_streams_of_unequal_length_are_whole(self, tmp_path, name):
        rate_hz = rate_of(name)
        codecs = {"picture_codec": picture_codec(name), "rate_hz": rate_hz}
        write_streams(tmp_path / name, images=numbered_images(75), sound=chirp(1.5, rate_hz), **codecs)
        samples, findings = decoded(tmp_path / name, rate_hz)
        assert len(samples) / rate_hz == pytest.approx(1.5, abs=0.01) and "the sound ends at 1.5" in findings.notes[0]
        write_streams(tmp_path / name, images=numbered_images(40), sound=chirp(3, rate_hz), **codecs)
        findings = Findings()
        assert len(list(stream_frames(tmp_path / name, findings=findings))) == 40 and "the picture ends at 1.6" in findings.notes[0]

    def test_an_edit_list_that_begins_later_hides_what_precedes(self, tmp_path):
        write_streams(
            tmp_path / "a.mp4", images=numbered_images(75), sound=chirp(3, RATE_HZ), sound_codec="aac", picture_codec="mpeg4",
            picture_start_s=-1.0, sound_start_s=-1.0,
        )  # fmt: skip
        frames = list(stream_frames(tmp_path / "a.mp4"))
        assert len(frames) == 50 and abs(frames[0].image[:, :40].mean() - 65) < 4
        samples, findings = decoded(tmp_path / "a.mp4")
        assert len(samples) / RATE_HZ == pytest.approx(2.0, abs=0.03) and findings.notes == []

    @pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF, 32002, 32044])
    def test_size_fields_of_pipes_and_killed_recorders(self, tmp_path, size):
        soundfile.write(tmp_path / "a.wav", chirp(1, RATE_HZ), RATE_HZ)
        raw = bytearray((tmp_path / "a.wav").read_bytes())
        raw[40:44] = struct.pack("<I", size)
        (tmp_path / "a.wav").write_bytes(raw)
        samples, findings = decoded(tmp_path / "a.wav")
        assert len(samples) == RATE_HZ and len(findings.notes) == (32000 < size < 40000)

    def test_a_wav_that_counts_fewer_samples_than_follow_says_so(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", chirp(1, RATE_HZ), RATE_HZ)
        raw = bytearray((tmp_path / "a.wav").read_bytes())
        raw[40:44] = struct.pack("<I", 16000)
        (tmp_path / "a.wav").write_bytes(raw)
        samples, findings = decoded(tmp_path / "a.wav")
        assert len(samples) == 8000 and findings.notes == ["16000 bytes follow the sound that the header declares; they are not read"]
        raw[40:44] = struct.pack("<I", 32000)
        (tmp_path / "a.wav").write_bytes(bytes(raw) + b"LIST" + struct.pack("<I", 4) + b"INFO")
        assert decoded(tmp_path / "a.wav")[1].notes == []

    @pytest.mark.parametrize("part", [0.99, 0.95])
    def test_a_little_less_than_promised_is_a_note(self, tmp_path, part):
        soundfile.write(tmp_path / "a.wav", chirp(2, RATE_HZ), RATE_HZ)
        raw = (tmp_path / "a.wav").read_bytes()
        (tmp_path / "a.wav").write_bytes(raw[: int(part * len(raw))])
        samples, findings = decoded(tmp_path / "a.wav")
        assert len(samples) == pytest.approx(2 * part * RATE_HZ, rel=0.01) and "are not in the file" in findings.notes[0]

    def test_fewer_frames_than_an_avi_counts(self, tmp_path):
        write_streams(tmp_path / "a.avi", images=numbered_images(75))
        raw = bytearray((tmp_path / "a.avi").read_bytes())
        for number, kind in ((78, None), (100, "truncated")):
            place = raw.index(b"strh") + 8 + 32
            raw[place : place + 4] = struct.pack("<I", number)
            (tmp_path / "b.avi").write_bytes(raw)
            findings = Findings(keeps=True)
            assert len(list(stream_frames(tmp_path / "b.avi", findings=findings))) == 75
            assert (findings.damage.kind if findings.damage else None) == kind
            assert kind or findings.notes

    @pytest.mark.parametrize("name", ["a.avi", "a.flv"])
    def test_a_cut_picture_takes_nothing_from_the_damaged_packets_of_the_sound(self, tmp_path, name):
        noise = np.random.default_rng(0).integers(-40, 40, (25, 48, 96, 3))
        images = [np.clip(image + added, 0, 255).astype(np.uint8) for image, added in zip(numbered_images(25), noise, strict=True)]
        rate_hz = rate_of(name)
        write_streams(tmp_path / name, images=images, sound=chirp(1, rate_hz), rate_hz=rate_hz, picture_codec=picture_codec(name))
        raw = (tmp_path / name).read_bytes()
        num_cut_pictures = 0
        for num_cut in range(10, 12_000, 300):
            (tmp_path / name).write_bytes(raw[:-num_cut])
            picture, sound = Findings(keeps=True), Findings(keeps=True)
            list(stream_frames(tmp_path / name, findings=picture))
            list(stream_audio(tmp_path / name, rate_hz=rate_hz, findings=sound))
            num_cut_pictures += picture.damage is not None
            assert not any("-" in note or "marked as damaged" in note for note in picture.notes + sound.notes), num_cut
        assert num_cut_pictures


class TestEnds:
    """What was decoded, what the packets say and what the header says, of a film of 25 frames/s."""

    @pytest.mark.parametrize(
        ("line", "reached_s", "kind"),
        [
            ({"promised_s": 4.0}, 3.0, "truncated"),
            ({"promised_s": 4.0}, 3.7, None),
            ({"promised_s": 20.0}, 19.4, "truncated"),  # a tenth, but never more than half a second
            ({"promised_s": 0.5}, 0.35, "truncated"),  # but two and a half frames at least
            ({"promised_s": 4.0, "is_estimate": True}, 2.0, None),
            ({"promised_s": 4.0, "packets_s": 4.0}, 3.0, None),  # the other stream goes on to the end
            ({"promised_s": 4.0, "packets_s": 4.0, "own_promised_s": 4.0}, 3.0, "truncated"),
            ({"last_packet_s": 3.96, "packets_s": 4.0}, 3.0, "undecodable"),  # packets that gave no frame
            ({"last_packet_s": 3.96, "packets_s": 4.0}, 3.8, None),
            ({"last_packet_s": 3.96, "packets_s": 4.0, "promised_s": 4.0, "own_promised_s": 4.0}, 4.0, None),
        ],
    )
    @pytest.mark.parametrize(("medium", "word"), [("video", "picture"), ("audio", "sound")])
    def test_what_is_missing_is_damage_or_a_note(self, line, reached_s, kind, medium, word):
        made, findings = time_line.TimeLine(interval_s=0.04, **line), Findings()
        if kind:
            with pytest.raises(MediaError, match=rf"{kind}: a\.mkv: the {word} (ends at|was decoded to) {reached_s:.2f} s"):
                made.check_end(Path("a.mkv"), medium, reached_s, findings)
        else:
            made.check_end(Path("a.mkv"), medium, reached_s, findings)
            assert bool(findings.notes) == (line.get("packets_s", line.get("promised_s")) > reached_s + 0.2)


class TestWhatPrecedesDamage:
    @pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.mp3", "a.mka", "a.ogg"])
    def test_is_kept_on_demand(self, tmp_path, name):
        if name in ("a.flac", "a.wav"):
            soundfile.write(tmp_path / name, chirp(4, 44100), 44100)
        else:
            write_sound(tmp_path / name, chirp(4, 44100), rate_hz=44100, codec={"mp3": "mp3", "mka": "aac", "ogg": "flac"}[name[2:]])
        raw = (tmp_path / name).read_bytes()
        whole, _ = decoded(tmp_path / name)
        (tmp_path / name).write_bytes(raw[: len(raw) * 6 // 10])
        with pytest.raises(MediaError, match="truncated"):
            decoded(tmp_path / name)
        findings = Findings(keeps=True)
        (samples,) = stream_audio(tmp_path / name, rate_hz=RATE_HZ, findings=findings)
        assert findings.damage is not None and findings.damage.kind == "truncated"
        assert 1.2 < len(samples) / RATE_HZ < 3.5
        np.testing.assert_allclose(samples[:16000], whole[:16000], atol=1e-6)

    def test_nothing_before_damage_is_an_error(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(b"RIFF")
        with pytest.raises(MediaError):
            list(stream_audio(tmp_path / "a.wav", rate_hz=RATE_HZ, findings=Findings(keeps=True)))


class TestAnythingThatIsRaised:
    @pytest.mark.parametrize("error", [AttributeError("no codec"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), KeyError("x")])
    @pytest.mark.parametrize("where", ["chosen_stream", "_read_header", "_count"])
    def test_is_damage_of_the_file(self, tmp_path, monkeypatch, error, where):
        film(tmp_path / "a.mkv")

        def fail(*_):
            raise error

        monkeypatch.setattr(time_line, where, fail)
        for stream in (stream_audio(tmp_path / "a.mkv", rate_hz=8000), stream_frames(tmp_path / "a.mkv")):
            with pytest.raises(MediaError, match=r"undecodable: a\.mkv|truncated: a\.mkv"):
                list(stream)

    def test_a_codec_that_ffmpeg_does_not_know(self, tmp_path):
        film(tmp_path / "a.mkv")
        raw = (tmp_path / "a.mkv").read_bytes()
        (tmp_path / "a.mkv").write_bytes(raw.replace(b"A_PCM/INT/LIT", b"A_XXX/YYY/ZZZ").replace(b"V_MJPEG", b"V_XXXXX"))
        for stream in (stream_audio(tmp_path / "a.mkv", rate_hz=8000), stream_frames(tmp_path / "a.mkv")):
            with pytest.raises(MediaError, match=r"undecodable: a\.mkv: its (sound|picture) has a codec that FFmpeg cannot decode"):
                list(stream)

    def test_a_picture_that_grows_on_the_way(self, tmp_path, monkeypatch):
        for size_px in (32, 320):
            write_streams(tmp_path / f"{size_px}.mjpeg", images=numbered_images(3, size_px, size_px), container_format="mjpeg")
        (tmp_path / "a.mjpeg").write_bytes(b"".join((tmp_path / f"{size_px}.mjpeg").read_bytes() for size_px in (32, 320)))
        assert len(list(stream_frames(tmp_path / "a.mjpeg"))) == 6
        monkeypatch.setattr(time_line, "LARGEST_PIXELS", 64 * 64)
        findings = Findings(keeps=True)
        assert len(list(stream_frames(tmp_path / "a.mjpeg", findings=findings))) == 3
        assert findings.damage is not None and findings.damage.kind == "undecodable"
        found = "found a value that the format does not allow behind 3 frames of 32 x 32 px, such as a picture of more than 4096 pixels"
        assert f"a.mjpeg: expected its picture to be decoded to the end, {found}; copy the file" in findings.damage.detail

    def test_a_file_that_grows_while_it_is_read(self, tmp_path):
        """Its last picture is not whole when the decoder comes to it, and another program goes on writing."""
        write_streams(tmp_path / "a.mjpeg", images=numbered_images(3, 32, 32), container_format="mjpeg")
        raw = (tmp_path / "a.mjpeg").read_bytes()
        (tmp_path / "a.mjpeg").write_bytes(raw[: len(raw) // 2])
        with pytest.raises(MediaError, match=r"truncated: .* found damaged data, .*; copy the file") as raised:
            list(stream_frames(tmp_path / "a.mjpeg"))
        assert "bytes when it was opened" not in raised.value.detail
        frames = stream_frames(tmp_path / "a.mjpeg")
        next(frames)
        with (tmp_path / "a.mjpeg").open("ab") as stream:
            stream.write(bytes(100))
        about = (
            f"the file had {len(raw) // 2} bytes when it was opened and has {len(raw) // 2 + 100} now: read it when nothing writes to it"
        )
        with pytest.raises(MediaError, match=about):
            list(frames)

    @pytest.mark.parametrize("said", [*containers._MEANINGS, "Bug in FFmpeg"])
    def test_no_text_of_an_error_number_stands_alone(self, said):
        found = containers.reason(av.error.ArgumentError(22, said))
        assert said not in found or found == f"what FFmpeg calls {said!r}"
