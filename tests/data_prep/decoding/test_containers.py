"""Content chooses the demuxer, never the name; no file leads to another one; the track and its channels are read by their marks."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from written_media import chirp, numbered_images, write_sound, write_streams

from data_prep.decoding import containers
from data_prep.decoding.channels import mono_weights
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, MediaError
from data_prep.decoding.orientation import shown
from data_prep.decoding.sound import stream_audio

RATE_HZ = 16000
ONE = 1 << 16


def decoded(path: Path) -> tuple[np.ndarray, list[str]]:
    findings = Findings()
    (samples,) = stream_audio(path, rate_hz=RATE_HZ, findings=findings)
    return samples, findings.notes


class TestContent:
    @pytest.mark.parametrize(
        ("ending", "codec"),
        [(".m4a", "aac"), (".webm", "libopus"), (".mp3", "mp3"), (".flac", "flac"), (".ogg", "flac"), (".mka", "aac"), (".aac", "aac")],
    )
    @pytest.mark.parametrize("name", ["a.wav", "a.mp4", "%03d*?.jpg", "no ending"])
    def test_sound_of_any_kind_under_any_name(self, tmp_path, ending, codec, name):
        rate_hz = 48000 if codec == "libopus" else RATE_HZ
        write_sound(tmp_path / f"b{ending}", chirp(1, rate_hz), rate_hz=rate_hz, codec=codec)
        expected, _ = decoded(tmp_path / f"b{ending}")
        (tmp_path / f"b{ending}").rename(tmp_path / name)
        samples, notes = decoded(tmp_path / name)
        np.testing.assert_array_equal(samples, expected)
        assert len(samples) / RATE_HZ == pytest.approx(1, abs=0.1) and not any("damage" in note for note in notes)

    @pytest.mark.parametrize("codec", ["mp3", "adpcm_ima_wav", "adpcm_ms", "pcm_alaw", "pcm_mulaw", "pcm_s24le", "pcm_f32le", "pcm_u8"])
    def test_any_codec_in_wav(self, tmp_path, codec):
        write_sound(tmp_path / "a.wav", chirp(1, RATE_HZ), rate_hz=RATE_HZ, codec=codec)
        samples, notes = decoded(tmp_path / "a.wav")
        assert len(samples) / RATE_HZ == pytest.approx(1, abs=0.1) and notes == []

    def test_a_name_that_is_no_utf8(self, tmp_path):
        path = Path(str(tmp_path / "k\udcf6nig.wav"))
        soundfile.write(tmp_path / "a.wav", chirp(1, RATE_HZ), RATE_HZ)
        (tmp_path / "a.wav").rename(path)
        assert len(decoded(path)[0]) == RATE_HZ

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.wav", "clip.m3u8", "clip.txt", "img%d.ppm", "img*.ppm", "clip.sdp", "a:b.mkv"])
    @pytest.mark.parametrize(
        "text",
        [
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n#EXT-X-ENDLIST\n",
            "#EXTM3U\n#EXTINF:10,\nfile:{folder}/other.wav\n",
            "ffconcat version 1.0\nfile other.wav\n",
            "ffconcat version 1.0\nfile '{folder}/other.wav'\n",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n",
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>',
        ],
    )
    def test_a_list_of_other_files_is_no_medium(self, tmp_path, monkeypatch, name, text):
        monkeypatch.chdir(tmp_path)  # where a name without a folder is looked for
        soundfile.write(tmp_path / "other.wav", chirp(1, RATE_HZ), RATE_HZ)
        write_streams(tmp_path / "other.ts", sound=chirp(1, RATE_HZ), sound_codec="aac")
        (tmp_path / "img1.ppm").write_bytes(cv2.imencode(".ppm", numbered_images(1)[0])[1].tobytes())
        (tmp_path / name).write_text(text.format(folder=tmp_path))
        for stream in (stream_audio(tmp_path / name, rate_hz=RATE_HZ), stream_frames(tmp_path / name)):
            with pytest.raises(MediaError, match="undecodable: "):
                list(stream)

    def test_without_whitelists_a_list_leads_to_its_file(self, tmp_path, monkeypatch):
        """So it is the whitelists that refuse it in the tests here."""
        monkeypatch.chdir(tmp_path)
        soundfile.write("other.wav", chirp(1, RATE_HZ), RATE_HZ)
        (tmp_path / "clip.mp4").write_text("ffconcat version 1.0\nfile other.wav\n")
        monkeypatch.setattr(containers, "_OPTIONS", {})
        assert len(decoded(tmp_path / "clip.mp4")[0]) == RATE_HZ

    def test_the_demuxers_alone_refuse_a_list(self, tmp_path, monkeypatch):
        soundfile.write(tmp_path / "other.wav", chirp(1, RATE_HZ), RATE_HZ)
        (tmp_path / "clip.mp4").write_text(f"ffconcat version 1.0\nfile 'file:{tmp_path}/other.wav'\n")
        monkeypatch.setitem(containers._OPTIONS, "protocol_whitelist", "file")
        monkeypatch.setitem(containers._OPTIONS, "safe", "0")
        with pytest.raises(MediaError, match="undecodable: "):
            decoded(tmp_path / "clip.mp4")

    @pytest.mark.parametrize(
        "text", ["ffconcat version 1.0\nfile 'file:{folder}/other.wav'\n", "#EXTM3U\n#EXTINF:10,\nfile:{folder}/other.ts\n#EXT-X-ENDLIST\n"]
    )
    def test_the_protocols_alone_refuse_a_list(self, tmp_path, monkeypatch, text):
        soundfile.write(tmp_path / "other.wav", chirp(1, RATE_HZ), RATE_HZ)
        write_streams(tmp_path / "other.ts", sound=chirp(1, RATE_HZ), sound_codec="aac")
        (tmp_path / "clip.m3u8").write_text(text.format(folder=tmp_path))
        for name, value in (("format_whitelist", f"{containers._DEMUXERS},concat,hls"), ("safe", "0"), ("extension_picky", "0")):
            monkeypatch.setitem(containers._OPTIONS, name, value)
        with pytest.raises(MediaError, match="undecodable: "):
            decoded(tmp_path / "clip.m3u8")

    def test_a_pattern_that_is_no_file_is_missing(self, tmp_path):
        (tmp_path / "img1.ppm").write_bytes(cv2.imencode(".ppm", numbered_images(1)[0])[1].tobytes())
        with pytest.raises(MediaError, match="missing"):
            list(stream_frames(tmp_path / "img%d.ppm"))
        (tmp_path / "img%d.ppm").write_bytes(cv2.imencode(".ppm", np.full((8, 8, 3), 9, np.uint8))[1].tobytes())
        (frame,) = stream_frames(tmp_path / "img%d.ppm")
        assert frame.image.shape == (8, 8, 3) and frame.image.max() == 9


class TestTracks:
    def write(self, path: Path, marks: list[tuple[str, int]]) -> None:
        """Tones of 400 Hz, 800 Hz ... as tracks with a language and a disposition."""
        with av.open(str(path), "w") as container:
            streams = []
            for language, disposition in marks:
                stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
                stream.metadata["language"], stream.disposition = language, disposition
                streams.append(stream)
            for number, stream in enumerate(streams):
                tone = np.sin(2 * np.pi * 400 * (number + 1) * np.arange(RATE_HZ) / RATE_HZ)
                frame = av.AudioFrame.from_ndarray((8000 * tone).astype(np.int16)[None], format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE_HZ, 0
                container.mux([*stream.encode(frame), *stream.encode(None)])

    @pytest.mark.parametrize(
        ("marks", "track"),
        [
            ([("eng", 0), ("fra", Disposition.default)], 2),
            ([("eng", Disposition.default), ("fra", Disposition.default)], 1),
            ([("eng", Disposition.default | Disposition.comment), ("eng", 0)], 2),
            ([("eng", Disposition.visual_impaired), ("eng", 0), ("deu", Disposition.default)], 3),
            ([("eng", 0), ("fra", 0)], 1),
        ],
    )
    def test_the_marks_decide_and_the_choice_is_said(self, tmp_path, marks, track):
        self.write(tmp_path / "a.mkv", marks)
        samples, notes = decoded(tmp_path / "a.mkv")
        assert np.argmax(np.abs(np.fft.rfft(samples))) == 400 * track
        languages = ", ".join(language for language, _ in marks)
        assert len(notes) == 1 and f"{len(marks)} sound tracks ({languages}); track {track}" in notes[0]


class TestChannels:
    @pytest.mark.parametrize("layout", ["5.1", "5.1(side)", "3.0", "7.1", "5.0", "6.1", "4.0", "3.1"])
    def test_speech_in_the_centre_keeps_its_level(self, tmp_path, layout):
        roles = [channel.name for channel in av.AudioLayout(layout).channels]
        sound = np.zeros((len(roles), RATE_HZ), np.float32)
        sound[roles.index("FC")] = chirp(1, RATE_HZ)
        write_streams(tmp_path / "a.wav", sound=sound, layout=layout)
        samples, notes = decoded(tmp_path / "a.wav")
        np.testing.assert_allclose(samples, chirp(1, RATE_HZ), atol=1e-4)
        assert len(notes) == 1 and "the centre keeps its level" in notes[0]

    @pytest.mark.parametrize(
        ("layout", "weights"),
        [
            ("mono", [1]),
            ("stereo", [0.5, 0.5]),
            ("downmix", [0.5, 0.5]),
            ("2.1", [0.5, 0.5, 0]),
            ("quad", [0.5, 0.5, 0.353553, 0.353553]),
            ("5.1", [0.707107, 0.707107, 1, 0, 0.5, 0.5]),
            ("6 channels", [0.707107, 0.707107, 1, 0, 0.5, 0.5]),
            ("4 channels", [0.25] * 4),
        ],
    )
    def test_weights(self, layout, weights):
        np.testing.assert_allclose(mono_weights(layout)[0], weights, atol=1e-6)

    @pytest.mark.parametrize(("gain", "is_said"), [(-1.0, True), (-0.8, True), (1.0, False), (0.0, False), (-0.3, False)])
    def test_stereo_in_opposite_phase_is_said(self, tmp_path, gain, is_said):
        soundfile.write(tmp_path / "a.wav", np.stack([chirp(1, RATE_HZ), gain * chirp(1, RATE_HZ)], 1), RATE_HZ)
        assert any("opposite phase" in note for note in decoded(tmp_path / "a.wav")[1]) == is_said


class TestOrientation:
    IMAGE = np.arange(6).reshape(2, 3, 1)  # 0 1 2 / 3 4 5

    @pytest.mark.parametrize(
        ("matrix", "expected"),
        [
            ((1, 0, 0, 1), [[0, 1, 2], [3, 4, 5]]),
            ((-1, 0, 0, 1), [[2, 1, 0], [5, 4, 3]]),  # mirrored
            ((1, 0, 0, -1), [[3, 4, 5], [0, 1, 2]]),
            ((-1, 0, 0, -1), [[5, 4, 3], [2, 1, 0]]),
            ((0, 1, -1, 0), [[3, 0], [4, 1], [5, 2]]),  # clockwise
            ((0, -1, 1, 0), [[2, 5], [1, 4], [0, 3]]),
            ((0, 1, 1, 0), [[0, 3], [1, 4], [2, 5]]),  # transposed
            ((0, -1, -1, 0), [[5, 2], [4, 1], [3, 0]]),
            ((0.9, 0.1, -0.1, 0.9), [[0, 1, 2], [3, 4, 5]]),
        ],
    )
    def test_the_eight_ways(self, matrix, expected):
        a, b, c, d = (round(value * ONE) for value in matrix)
        np.testing.assert_array_equal(shown(self.IMAGE, np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30]))[..., 0], expected)

    @pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0)])
    def test_a_film_is_shown_by_its_matrix(self, tmp_path, matrix):
        image = np.zeros((64, 128, 3), np.uint8)
        image[:32, :64], image[:32, 64:], image[32:, :64] = 60, 120, 180
        write_streams(tmp_path / "a.mp4", images=[image] * 3, picture_codec="mpeg4")
        raw = (tmp_path / "a.mp4").read_bytes()
        a, b, c, d = (ONE * value for value in matrix)
        identity, wanted = (np.array([*rows, 0, 0, 1 << 30], ">i4").tobytes() for rows in ((ONE, 0, 0, 0, ONE, 0), (a, b, 0, c, d, 0)))
        place = raw.index(identity, raw.index(b"tkhd"))
        (tmp_path / "a.mp4").write_bytes(raw[:place] + wanted + raw[place + len(wanted) :])
        expected = shown(image, np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30]))
        got = next(stream_frames(tmp_path / "a.mp4")).image
        assert got.shape == expected.shape and np.abs(got[8::16, 8::16].astype(int) - expected[8::16, 8::16]).max() < 8
