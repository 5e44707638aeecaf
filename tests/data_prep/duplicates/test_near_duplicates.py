"""Copies of a recording are found however they were stored; takes of one sentence by one actor are not."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shutil
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import soundfile
import soxr
from scipy.ndimage import gaussian_filter
from shared_data import shared_data
from written_media import write_sound, write_video

from avemo_jax.clips import ROW_OFFSET, Clip
from avemo_jax.protocols.audit.folds_audit import audit_folds, items_of
from avemo_jax.protocols.audit.split_list import audit_split_list, read_split_list
from avemo_jax.protocols.folds import Fold
from data_prep.decoding.media import Frame
from data_prep.duplicates import fingerprints, matches, near_duplicates
from data_prep.duplicates.fingerprints import SOUND_RATE_HZ, PicturePrint, picture_print, sound_print
from data_prep.duplicates.matches import has_texture, picture_matches, sound_matches
from data_prep.duplicates.near_duplicates import compare_media

RATE_HZ = 16000


def voice(sentence: int, take: int, *, duration_s: float = 2.0) -> np.ndarray:
    """(S,) float32: a harmonic voice whose formants go through the sentence's targets, at the take's own pace and pitch."""
    targets = np.random.default_rng(sentence).uniform([300, 900, 2300], [900, 2200, 3000], (8, 3))
    own = np.random.default_rng([sentence, take])
    pace = np.cumsum(own.uniform(0.6, 1.4, 9))
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    at = np.interp(time_s / duration_s, (pace - pace[0]) / (pace[-1] - pace[0]), np.arange(9))
    pitch_hz = np.interp(at, np.arange(9), own.uniform(90, 150, 9))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    formants_hz = [np.interp(at, np.arange(8), targets[:, index]) for index in range(3)]
    sound = np.zeros_like(time_s)
    for harmonic in range(1, 30):
        gain = sum(np.exp(-(((harmonic * pitch_hz - formant_hz) / 150) ** 2)) for formant_hz in formants_hz)
        sound += gain * np.sin(harmonic * phase)
    sound *= np.clip(np.sin(np.pi * at) ** 2, 0.05, 1)
    sound += own.normal(size=len(sound)) * 1e-3
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def film(take: int, *, num_frames: int = 50, size_px: int = 96) -> list[np.ndarray]:
    """(H, W, 3) uint8 a frame: a head and a mouth that move the take's own way in front of the one studio."""
    studio = gaussian_filter(np.random.default_rng(0).uniform(40, 220, (size_px, size_px)), 6)
    own = np.random.default_rng(take + 1)
    paths = gaussian_filter(own.normal(size=(num_frames, 4)), (3, 0))
    paths *= np.array([6.0, 6.0, 5.0, 5.0]) / paths.std(axis=0)
    images = []
    for x, y, opening, brow in paths:
        image = np.repeat(studio[:, :, None], 3, axis=2).astype(np.uint8)
        middle = (int(48 + x), int(48 + y))
        cv2.ellipse(image, middle, (24, 30), 0, 0, 360, (200, 170, 150), -1)
        cv2.ellipse(image, (middle[0], middle[1] + 14), (9, int(abs(opening)) + 1), 0, 0, 360, (90, 20, 30), -1)
        cv2.line(image, (middle[0] - 14, middle[1] - 12 - int(brow)), (middle[0] + 14, middle[1] - 12 - int(brow)), (40, 30, 20), 3)
        images.append(image)
    return images


def sound_prints(**sounds: np.ndarray):
    return {name: sound_print(soxr.resample(sound, RATE_HZ, SOUND_RATE_HZ)) for name, sound in sounds.items()}


def film_print(images: Sequence[np.ndarray], rate_fps: float = 25.0):
    return picture_print(Frame(index / rate_fps, image) for index, image in enumerate(images))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One recording in seven files, takes of the same sentence beside it, a film in three files, another take, and damaged ones."""
    root = tmp_path_factory.mktemp("media")
    original = voice(0, 0)
    soundfile.write(root / "original.wav", original, RATE_HZ)
    shutil.copy(root / "original.wav", root / "bytes.wav")
    write_sound(root / "mp3.mp3", soxr.resample(original, RATE_HZ, 22050), rate_hz=22050, codec="libmp3lame")
    write_sound(root / "opus.ogg", soxr.resample(original, RATE_HZ, 24000), rate_hz=24000, codec="libopus")
    write_sound(root / "louder.flac", np.clip(2 * soxr.resample(original, RATE_HZ, 48000), -1, 1), rate_hz=48000, codec="flac")
    soundfile.write(root / "trimmed.wav", 0.25 * original[int(0.27 * RATE_HZ) : -int(0.13 * RATE_HZ)], RATE_HZ)
    soundfile.write(root / "second_half.wav", original[RATE_HZ - 1600 :], RATE_HZ)
    for take in (1, 2, 3):
        soundfile.write(root / f"take{take}.wav", voice(0, take), RATE_HZ)
    soundfile.write(root / "silence1.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(root / "silence2.wav", np.zeros(RATE_HZ + 5), RATE_HZ)
    write_video(root / "film.avi", film(0))
    write_video(root / "small.mp4", [cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA) for image in film(0)], codec="libx264")
    write_video(root / "cut.avi", film(0)[6:-4])
    write_video(root / "other_take.avi", film(1))
    (root / "damaged.wav").write_bytes(b"RIFF nothing of the kind")
    return root


def clips_of(root, *names: str) -> list[Clip]:
    """A clip a file; "trimmed.wav" is clip "trimmed"."""
    return [
        Clip(name.split(".")[0], "made", "happy", f"s{row}", **{"video" if name.endswith((".avi", ".mp4")) else "audio": name})
        for row, name in enumerate(names or sorted(path.name for path in root.iterdir()))
    ]


@pytest.fixture(scope="module")
def comparison(corpus, tmp_path_factory):
    return compare_media(clips_of(corpus), corpus, prepared_dir=tmp_path_factory.mktemp("prepared"), num_workers=2)


def test_every_copy_is_found_and_no_take_is(comparison):
    copies = ("original", "bytes", "mp3", "opus", "louder", "trimmed", "second_half")
    expected = {(*sorted(pair), "bytes" if set(pair) == {"original", "bytes"} else "sound") for pair in itertools.combinations(copies, 2)}
    expected |= {(*sorted(pair), "picture") for pair in itertools.combinations(("film", "small", "cut"), 2)}
    assert {(pair.first, pair.second, pair.how) for pair in comparison.pairs} == expected


def test_what_was_not_compared_is_named(corpus, comparison, tmp_path):
    silent = "its sound (for equal bytes alone): less than 0.24 s of it is neither silence nor a steady tone"
    film = "its sound: .* has none, or none that can be decoded|excerpts of its picture that start more than 0.64 s into it, .*"
    expected = {"damaged": "damaged.wav cannot be decoded", "silence1": silent, "silence2": silent}
    found = {clip: why for clip, why in comparison.not_compared.items() if not re.fullmatch(f"({film})(; ({film}))?", why)}
    assert found == expected and comparison.not_compared.keys() - found.keys() == {"film", "small", "cut", "other_take"}
    assert comparison.num_compared == len(clips_of(corpus)) - 1
    found = compare_media(clips_of(corpus, "absent.wav"), corpus, prepared_dir=tmp_path, num_workers=1)
    assert found.not_compared["absent"].startswith("there is no file") and found.pairs == ()


def test_a_copy_in_another_part_stops_the_run(corpus, comparison):
    """Two planted leaks in one cohort: a clip copied and re-encoded, and a film shrunk, each moved to another part."""
    clips = clips_of(corpus, "take1.wav", "take2.wav", "original.wav", "film.avi", "take3.wav", "other_take.avi", "mp3.mp3", "small.mp4")
    fold = Fold("fold1", ("original", "take1", "film"), ("take2",), ("mp3", "small", "take3", "other_take"))
    findings = audit_folds([fold], items_of(clips), each_once=False, shared_media=comparison.pairs)
    (found,) = [finding for finding in findings if finding.stops]
    assert found.name == "near_duplicate_in_two_parts" and found.count == 2
    assert "mp3 and original (fold1: test and train; sound" in found.examples[0] or "mp3 and original" in found.examples[1]
    clean = Fold("fold1", ("original", "mp3", "take1"), ("take2",), ("film", "small", "take3", "other_take"))
    assert not [one for one in audit_folds([clean], items_of(clips), each_once=False, shared_media=comparison.pairs) if one.stops]


def test_the_sound_of_a_film_is_compared_with_sounds_and_films_of_a_split_list(corpus, tmp_path):
    """One speech as a film in training; in another part as a sound of several kinds, and as films of which the picture was changed."""
    write_video(tmp_path / "film.mp4", film(0), sound=voice(0, 0), sound_codec="aac")
    write_video(tmp_path / "dubbed.mkv", film(3), sound=voice(0, 0))
    write_video(tmp_path / "mirrored.m4v", [image[:, ::-1] for image in film(0)], sound=voice(0, 0), sound_codec="aac")
    write_video(tmp_path / "honest.mp4", film(2), sound=voice(0, 1), sound_codec="aac")
    copies = ("original.wav", "mp3.mp3", "opus.ogg", "louder.flac", "dubbed.mkv", "mirrored.m4v")
    for name in ("take2.wav", *copies[:4]):
        shutil.copy(corpus / name, tmp_path)
    rows = ["path,part", "film.mp4,train", "take2.wav,valid", "honest.mp4,test", *(f"{name},test" for name in copies)]
    (tmp_path / "split.csv").write_text("\n".join(rows))
    split = read_split_list(tmp_path / "split.csv")
    found = compare_media(split.clips(), tmp_path, prepared_dir=tmp_path / "prepared", num_workers=2)
    (leak,) = [finding for finding in audit_split_list(split, shared_media=found.pairs) if finding.stops]
    assert leak.name == "near_duplicate_in_two_parts" and leak.count == len(copies)
    assert {pair.how for pair in found.pairs if "film.mp4" in (pair.first, pair.second)} == {"sound"}


def test_fingerprints_are_made_once(corpus, tmp_path, monkeypatch, caplog):
    clips = clips_of(corpus, "original.wav", "trimmed.wav", "damaged.wav")
    first = compare_media(clips, corpus, prepared_dir=tmp_path, num_workers=1)
    empty, flipped, cut = sorted((tmp_path / "fingerprints").iterdir(), key=lambda path: path.stat().st_size)
    monkeypatch.setattr(
        near_duplicates, "run_tasks", lambda function, tasks, **options: iter(()) if not tasks else pytest.fail("made anew")
    )
    assert compare_media(clips, corpus, prepared_dir=tmp_path, num_workers=1) == first
    # The name follows the content: another clip id and another path find it, other bytes do not.
    moved = [dataclasses.replace(clips[0], clip_id="elsewhere", audio="bytes.wav")]
    assert compare_media(moved, corpus, prepared_dir=tmp_path, num_workers=1).num_compared == 1
    monkeypatch.undo()
    content = flipped.read_bytes()
    half = len(content) // 2
    flipped.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    os.truncate(cut, 100)
    empty.write_bytes(b"")
    assert compare_media(clips, corpus, prepared_dir=tmp_path, num_workers=1) == first
    assert flipped.read_bytes() == content and caplog.text.count("is damaged") == 3


def test_a_read_only_folder_serves_what_it_has_and_takes_nothing(corpus, tmp_path, monkeypatch, caplog):
    def look(*names):
        clips = clips_of(corpus, *names)
        return near_duplicates.compare_media(clips, corpus, prepared_dir=tmp_path, num_workers=1, modalities=["audio"])

    first = look("take1.wav")
    before = sorted(tmp_path.rglob("*.npz"))
    monkeypatch.setattr(near_duplicates, "can_write", lambda _: False)
    found = look("take1.wav", "take2.wav")
    assert (first.num_compared, found.num_compared) == (1, 2)
    assert sorted(tmp_path.rglob("*.npz")) == before and len(before) == 1
    assert f"{tmp_path / 'fingerprints'} cannot be written, so the fingerprints of media are made but not stored" in caplog.text


def test_spans_of_one_file_are_recordings_of_their_own(corpus, tmp_path):
    whole = np.concatenate([voice(0, 0), voice(0, 1), voice(0, 0)])
    soundfile.write(tmp_path / "talk.wav", whole, RATE_HZ)
    clips = [Clip(f"u{n}", "made", "happy", "s", audio="talk.wav", start_s=2.0 * n, end_s=2.0 * n + 2) for n in range(3)]
    found = compare_media(clips, tmp_path, prepared_dir=tmp_path, num_workers=1)
    assert [(pair.first, pair.second, pair.how) for pair in found.pairs] == [("u0", "u2", "sound")]


def test_steady_and_silent_sounds_are_no_recordings_to_know_again():
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    tones = {f"tone{n}": (0.5 * np.sin(2 * np.pi * 440 * time_s + n)).astype(np.float32) for n in range(2)}
    hiss = {f"hiss{n}": np.random.default_rng(n).normal(0, 1e-5, 2 * RATE_HZ).astype(np.float32) for n in range(2)}
    assert list(sound_matches(sound_prints(**tones, **hiss))) == []
    assert not any(one.active.any() for one in sound_prints(**hiss).values())


def test_shift_and_error_are_told():
    original = voice(3, 0)
    (match,) = sound_matches(sound_prints(a=original, b=original[4800:], c=voice(3, 1)))
    assert (match.first, match.second) == ("a", "b") and match.error < 0.05
    assert match.shift_s == pytest.approx(-0.3, abs=0.013)


@pytest.mark.parametrize(("common_s", "matches"), [(0.2, False), (0.45, True), (1.25, True)])
def test_sounds_match_where_the_end_of_one_is_the_start_of_the_other(common_s, matches):
    first, second = voice(3, 0), voice(9, 1)
    joined = np.concatenate([first[-round(common_s * RATE_HZ) :], second[: len(second) - round(common_s * RATE_HZ)]])
    assert bool(list(sound_matches(sound_prints(a=first, b=joined)))) == matches


def test_sounds_match_on_a_second_that_both_hold_anywhere():
    """A second in the middle of two that differ before and after it; six tenths of it are too little to tell."""
    for common_s, is_found in ((1.3, True), (0.6, False)):
        common = voice(5, 0)[: round(common_s * RATE_HZ)]
        first, second = (np.concatenate([voice(n, 0), common, voice(n + 1, 0)]) for n in (20, 30))
        assert bool(list(sound_matches(sound_prints(a=first, b=second[4000:])))) == is_found


def test_short_sounds_match_in_full_and_shorter_ones_are_said_not_to_be_compared(tmp_path):
    """0.5 s of speech as a file of its own and in what it was cut from; takes of it; and 0.1 s, of which equal bytes alone are found."""
    whole = voice(3, 0)
    short = whole[9600:17600]
    takes = {f"take{n}": voice(3, n, duration_s=0.5) for n in range(30)} | {f"cut{n}": voice(3, n)[9600:17600] for n in (1, 2, 3)}
    found = list(sound_matches(sound_prints(whole=whole, short=short, quiet=0.1 * short, click=whole[9600:11200], **takes)))
    assert [(one.first, one.second) for one in found] == [("quiet", "short"), ("quiet", "whole"), ("short", "whole")]
    soundfile.write(tmp_path / "click.wav", whole[9600:11200], RATE_HZ)
    said = compare_media(clips_of(tmp_path), tmp_path, prepared_dir=tmp_path / "prepared", num_workers=1).not_compared
    assert said.keys() == {"click"} and said["click"].startswith("its sound (for equal bytes alone)")


def test_the_rest_of_a_long_sound_is_compared_too(monkeypatch):
    """A clip that was cut from a recording behind its first two minutes, whose beginning is much louder; in pieces it is the same."""
    clip = sound_prints(a=voice(3, 0))["a"]
    own = soxr.resample(voice(3, 0), RATE_HZ, SOUND_RATE_HZ)
    noise = np.random.default_rng(0).normal(0, 0.3, 130 * SOUND_RATE_HZ).astype(np.float32)
    noise[-8 * SOUND_RATE_HZ :] *= 1e-4
    long = np.concatenate([noise, 0.03 * own])
    whole = sound_print(long)
    (match,) = sound_matches({"clip": clip, "long": whole})
    assert match.shift_s == pytest.approx(130, abs=0.02) and not whole.goes_on
    pieces = sound_print(long[start : start + 77_777] for start in range(0, len(long), 77_777))
    assert np.array_equal(pieces.words, whole.words) and np.array_equal(pieces.active, whole.active)
    monkeypatch.setattr(fingerprints, "LONGEST_SOUND_S", 60.0)
    assert sound_print(long).goes_on and not list(sound_matches({"clip": clip, "long": sound_print(long)}))


def test_sounds_compared_in_groups_match_as_in_one(monkeypatch):
    prints = sound_prints(a=voice(3, 0), b=voice(3, 0)[4800:], c=voice(3, 1), d=voice(9, 0), e=voice(9, 0)[3000:])
    whole = list(sound_matches(prints))
    assert [(one.first, one.second) for one in whole] == [("a", "b"), ("d", "e")]
    monkeypatch.setattr(matches, "_GROUP_WORDS", 50)
    assert list(sound_matches(prints)) == whole


@pytest.mark.parametrize(("num_common", "matches"), [(5, False), (6, True)])
def test_films_match_on_half_of_the_shorter_one_or_more(num_common, matches):
    """Two films of 12 frames before one scene: the last frames of the first are the first ones of the second."""
    random = np.random.default_rng(0)
    films = [
        PicturePrint(
            scene=np.ones(256, bool),
            motion=random.integers(0, 2, (12, 64)).astype(bool),
            residual=random.integers(-9, 9, (12, 16, 16)).astype(np.int8),
            frames=np.zeros((12, 16, 16), np.uint8),
        )
        for _ in range(2)
    ]
    for values in ("motion", "residual"):
        getattr(films[1], values)[:num_common] = getattr(films[0], values)[-num_common:]
    assert bool(list(picture_matches({"a": films[0], "b": films[1]}))) == matches


def test_many_takes_of_one_sentence_are_told_apart():
    takes = sound_prints(**{f"take{n}": voice(7, n) for n in range(40)})
    assert list(sound_matches(takes)) == []


def test_stills_match_themselves_and_no_other_face():
    random = np.random.default_rng(0)
    noises = [random.normal(size=(64, 64)) for _ in range(20)]  # coarse and fine as pictures are
    pictures = [sum(width * gaussian_filter(noise, width) for width in (1, 2, 4, 8)) for noise in noises]
    faces = [np.repeat(np.clip(picture * 40 + 128, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2) for picture in pictures]
    prints = {f"face{n:02}": film_print([face]) for n, face in enumerate(faces)}
    prints["smaller"] = film_print([cv2.resize(faces[3], (48, 48), interpolation=cv2.INTER_AREA)])
    assert [(match.first, match.second) for match in picture_matches(prints)] == [("face03", "smaller")]


def test_black_and_flat_pictures_are_no_recordings_to_know_again():
    """They all have one hash: 40 of them would be 780 pairs."""
    noise = np.random.default_rng(1)
    flat = {f"flat{n}": film_print([np.full((48, 48, 3), 6 * n, np.uint8)]) for n in range(40)}
    black = {f"film{n}": film_print([noise.integers(0, 3, (48, 48, 3)).astype(np.uint8)] * 8) for n in range(3)}
    assert list(picture_matches(flat | black)) == [] and not any(map(has_texture, (flat | black).values()))


def test_picture_files_and_rows_of_pixels_are_compared_as_stills(tmp_path):
    noise = np.random.default_rng(5).normal(size=(3, 96, 96))
    pictures = [
        np.clip(sum(width * gaussian_filter(one, width) for width in (1, 2, 4, 8)) * 40 + 128, 0, 255).astype(np.uint8) for one in noise
    ]
    cv2.imwrite(str(tmp_path / "a.png"), pictures[0])
    cv2.imwrite(str(tmp_path / "b.jpg"), cv2.resize(pictures[0], (64, 64), interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(tmp_path / "c.png"), pictures[1])
    rows = [cv2.resize(one, (48, 48), interpolation=cv2.INTER_AREA) for one in (pictures[2], pictures[1], pictures[2])]
    lines = ["emotion,pixels,Usage\n", *(f"3,{' '.join(map(str, row.ravel()))},Training\n" for row in rows)]
    (tmp_path / "fer.csv").write_text("".join(lines))
    offsets = np.cumsum([len(line) for line in lines])[:3]
    clips = [Clip(name, "made", "happy", "", video=f"{name}.{kind}") for name, kind in (("a", "png"), ("b", "jpg"), ("c", "png"))]
    clips += [Clip(f"row{n}", "made", "happy", "", video="fer.csv", attributes={ROW_OFFSET: str(at)}) for n, at in enumerate(offsets)]
    found = compare_media(clips, tmp_path, prepared_dir=tmp_path, num_workers=1)
    assert {(pair.first, pair.second, pair.how) for pair in found.pairs} == {
        ("a", "b", "picture"),
        ("c", "row1", "picture"),
        ("row0", "row2", "picture"),
    }
    # Rows of one table are no spans of one file that overlap.
    fold = Fold("fold1", ("a", "b", "row0", "row2"), ("c", "row1"), ())
    assert not [one for one in audit_folds([fold], items_of(clips), each_once=False, shared_media=found.pairs) if one.stops]


def test_films_at_another_frame_rate_match_and_takes_do_not():
    prints = {
        "film": film_print(film(0)),
        "slower": film_print(film(0)[::2], 12.5),
        "take": film_print(film(2)),
    }
    assert [(match.first, match.second) for match in picture_matches(prints)] == [("film", "slower")]


def test_a_still_in_another_part_than_the_film_of_which_it_is_a_frame_stops_the_run(tmp_path):
    """A frame of which the hashes of the film know nothing, stored as a small JPEG; a frame of another take and another face beside it."""
    write_video(tmp_path / "film.avi", film(0))
    for name, image in (("frame", film(0)[23]), ("take", film(4)[23]), ("other", 255 - film(0)[23])):
        small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)[..., ::-1]
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    for film_part, still_part in (("train", "test"), ("test", "train")):
        rows = ["path,part", f"film.avi,{film_part}", *(f"{name}.jpg,{still_part}" for name in ("frame", "take", "other"))]
        (tmp_path / "split.csv").write_text("\n".join(rows))
        split = read_split_list(tmp_path / "split.csv")
        found = compare_media(split.clips(), tmp_path, prepared_dir=tmp_path / "prepared", num_workers=1)
        findings = audit_split_list(split, shared_media=found.pairs, not_compared=found.not_compared)
        (leak,) = [finding for finding in findings if finding.stops]
        assert leak.name == "near_duplicate_in_two_parts" and leak.count == 1
        assert "picture: a still and a film of which it is a frame" in leak.detail and "frame.jpg" in leak.detail
        assert "whether it is a part of a film's frame, such as a face" in found.not_compared["other.jpg"]


def test_a_still_that_looks_like_a_frame_and_may_be_of_another_moment_is_said():
    """A face that hardly moves: one of its frames, another moment of it, and another face."""
    random = np.random.default_rng(0)
    faces = [gaussian_filter(random.normal(size=(64, 64)), 4) for _ in range(2)]
    moves = [gaussian_filter(random.normal(size=(64, 64)), 4) for _ in range(31)]
    images = [128 + 40 * faces[row == 32] / faces[0].std() + 2 * (moves[min(row, 30)] / moves[0].std()) for row in range(33)]
    images = [np.repeat(np.clip(np.round(image), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2) for image in images]
    prints = {"film": film_print(images[:30])} | {f"still{n}": film_print([images[row]]) for n, row in enumerate((7, 30, 32))}
    assert [(one.second, one.is_certain) for one in picture_matches(prints)] == [("still0", True), ("still1", False)]


@pytest.mark.slow
@pytest.mark.long
def test_ravdess_has_no_two_alike_but_the_one_that_is_there_twice(tmp_path):
    root = shared_data("ravdess")
    paths = sorted(root.glob("Actor_*/*.flac"))
    clips = [Clip(path.stem, "ravdess", "x", path.stem[-2:], audio=path.relative_to(root).as_posix()) for path in paths]
    found = compare_media(clips, root, prepared_dir=tmp_path, num_workers=2)
    assert len(clips) == found.num_compared == 1440
    assert [(pair.first, pair.second, pair.how) for pair in found.pairs] == [("03-01-03-01-02-01-07", "03-01-03-01-02-02-07", "bytes")]


def test_empty_files_and_pointers_are_no_recordings(tmp_path):
    contents = (b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")
    clips = []
    for number in range(12):
        (tmp_path / f"{number}.wav").write_bytes(contents[number % 2])
        clips.append(Clip(f"{number}", "tiny", "happy", "s", audio=f"{number}.wav"))
    comparison = compare_media(clips, tmp_path, prepared_dir=tmp_path / "prepared", num_workers=1)
    assert comparison.pairs == () and len(comparison.not_compared) == 12
