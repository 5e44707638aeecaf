"""Degraded media: what each degradation does to samples and frames, the same for the same clip, nothing to the other medium."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from avemo_jax.clips import Clip
from avemo_jax.degradation import Degradation, parse_degradation
from data_prep.decoding.degrading import add_noise, at_speed, degraded, drop_frames, hide, through_opus
from data_prep.decoding.media import Frame
from data_prep.sets.prepare import prepare_view

RATE_HZ = 16000


def tone(duration_s: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def frames(count: int = 20) -> list[Frame]:
    return [Frame(index / 25, np.full((40, 60, 3), index, np.uint8)) for index in range(count)]


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_has_the_power_that_was_asked_for(snr_db):
    clean = tone()
    noisy = add_noise(clean * 0.1, snr_db, np.random.default_rng(0))
    added = noisy - clean * 0.1
    assert 10 * np.log10(np.mean((clean * 0.1) ** 2) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.2)
    assert noisy.dtype == np.float32 and len(noisy) == len(clean)
    assert np.abs(add_noise(clean, -30.0, np.random.default_rng(0))).max() <= 1


def test_a_codec_keeps_length_and_time_and_loses_something():
    clean = tone(0.73)
    coded = through_opus(clean, RATE_HZ, 16)
    assert coded.shape == clean.shape and coded.dtype == np.float32
    inner = slice(2000, -2000)
    similarity = np.corrcoef(clean[inner], coded[inner])[0, 1]
    assert 0.9 < similarity < 1 - 1e-6
    hiss = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    coarse, fine = (np.mean((through_opus(hiss, RATE_HZ, rate) - hiss) ** 2) for rate in (6, 96))
    assert fine < 0.5 * coarse


def test_a_rectangle_hides_a_share_of_every_frame_at_one_place():
    hidden = list(hide(frames(), 0.25, np.random.default_rng(1)))
    covered = [(frame.image == 127).all(axis=2) for frame in hidden]
    assert all(one.mean() == pytest.approx(0.25, abs=0.02) for one in covered)
    assert all((one == covered[0]).all() for one in covered)
    assert [frame.time_s for frame in hidden] == [frame.time_s for frame in frames()]
    assert (frames()[3].image == 3).all()


def test_lost_frames_are_stood_in_for_by_the_last_that_came():
    shown = [int(frame.image[0, 0, 0]) for frame in drop_frames(frames(250), 0.9, np.random.default_rng(0))]
    assert shown[0] == 0 and len(shown) == 250
    assert all(one <= index and one in shown[: index + 1] for index, one in enumerate(shown))
    assert 0.05 < len(set(shown)) / 250 < 0.16
    assert [int(frame.image[0, 0, 0]) for frame in drop_frames(frames(), 0.0, np.random.default_rng(0))] == list(range(20))


def test_a_clip_is_always_degraded_alike_and_the_other_medium_is_left_alone():
    noise = parse_degradation("noise:10")

    def made(clip_id):
        return np.concatenate(list(degraded(noise, "audio", iter([tone(), tone()]), clip_id=clip_id, rate_hz=RATE_HZ, segment_s=1.0)))

    assert np.array_equal(made("a"), made("a")) and not np.array_equal(made("a"), made("b"))
    content = iter(frames())
    assert degraded(noise, "video", content, clip_id="a", rate_hz=0, segment_s=0.0) is content
    assert degraded(Degradation("missing", stream="audio"), "audio", content, clip_id="a", rate_hz=0, segment_s=0.0) is content


def test_conditions_are_read_and_wrong_ones_told():
    assert parse_degradation("noise: 10") == Degradation("noise", 10.0)
    assert [str(parse_degradation(text)) for text in ("codec:16", "frame_drop:0.5", "missing:video")] == [
        "codec 16 kbit/s",
        "frame drop 0.5 share",
        "no video",
    ]
    for wrong, message in (
        (
            "hiss:3",
            "holds 'hiss:3'; expected one of noise:DB, codec:KBIT/S, speed:TIMES, occlusion:SHARE, frame_drop:SHARE or missing:STREAM",
        ),
        ("occlusion:1.5", "expected the amount of occlusion in share, from 0 to 0.9"),
        ("noise:loud", "expected the amount of noise in dB"),
        ("missing:", "expected one of"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_degradation(wrong)


def test_a_degraded_view_is_a_set_of_its_own_and_is_found_again(tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", tone(), RATE_HZ)
    clips = [Clip(name, "made", "happy", name, audio=f"{name}.wav") for name in ("a", "b")]

    def prepared(degradation):
        return prepare_view(
            corpus="made",
            root=tmp_path,
            clips=clips,
            view_name="functionals",
            view_params={},
            prepared_dir=tmp_path / "prepared",
            num_workers=1,
            degradation=degradation,
        )

    clean, noisy = prepared(None), prepared(parse_degradation("noise:0"))
    assert clean.manifest.key != noisy.manifest.key
    values = [next(one.examples()).values for one in (clean, noisy)]
    assert values[0].shape == values[1].shape and not np.allclose(*values)
    assert prepared(parse_degradation("noise:0")).directory == noisy.directory
    assert prepared(parse_degradation("occlusion:0.3")).directory == clean.directory  # sound is not concerned


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_another_speed_changes_length_and_pitch_and_keeps_the_length_of_pieces(speed):
    pieces = list(at_speed([tone(), tone(), tone(0.4)], RATE_HZ, speed, 1.0))
    sound = np.concatenate(pieces)
    assert [len(one) for one in pieces[:-1]] == [RATE_HZ] * (len(pieces) - 1) and 0 < len(pieces[-1]) <= RATE_HZ
    assert len(sound) / RATE_HZ == pytest.approx(2.4 / speed, abs=1e-3) and sound.dtype == np.float32
    loudest_hz = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() * RATE_HZ / len(sound)
    assert loudest_hz == pytest.approx(440 * speed, rel=0.01)
    assert list(at_speed([], RATE_HZ, speed, 1.0)) == []
