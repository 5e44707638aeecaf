"""Copies of a film and of its sound as people make them, in another part of a split list than the original, for `benchmarks.leak_audit`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile
import soxr

from avemo_jax.identity import FILM_SUFFIXES, SOUND_SUFFIXES, media_suffix
from avemo_jax.protocols.audit.split_list import audit_split_list, read_split_list
from data_prep.corpora import synthetic
from data_prep.decoding.films import stream_frames
from data_prep.decoding.sound import stream_audio
from data_prep.duplicates.near_duplicates import compare_media

RATE_HZ = 16000
FILM, OTHER_TAKE, OTHER_ACTOR = "film.mp4", "take.mp4", "actor.mp4"


def copied_media(folder: Path, *, num_workers: int = 2) -> Iterator[tuple[str, bool]]:
    """Yield each copy, and whether the audit finds it; then other takes, and whether they raise no alarm."""
    for name, actor, take in ((FILM, 1, 0), (OTHER_TAKE, 1, 2), (OTHER_ACTOR, 2, 0)):
        synthetic.write_clip(folder / name, actor=actor, emotion="happy", take=take, seed=0)
    copies = write_copies(folder)
    clean = (OTHER_TAKE, "take.wav", "actor.wav", "take.jpg", "actor.jpg")
    for name in clean[1:3]:
        write_media(folder / name, sound=sound_of((folder / name).with_suffix(".mp4")))
    for name in clean[3:]:
        write_still(folder / name, images_of((folder / name).with_suffix(".mp4"))[12])
    rows = ["path,part", f"{FILM},train", f"{OTHER_ACTOR},validation", *(f"{name},test" for name in (*copies, *clean))]
    (folder / "media.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    split = read_split_list(folder / "media.csv")
    found = compare_media(split.clips(), folder, prepared_dir=folder / "prepared", num_workers=num_workers)
    for name, what in copies.items():
        pairs = [pair for pair in found.pairs if {pair.first, pair.second} == {FILM, name}]
        yield what, any(finding.stops for finding in audit_split_list(split, shared_media=pairs))
    for name in clean:
        yield f"no copy: {name}", not any({pair.first, pair.second} == {FILM, name} for pair in found.pairs)


def real_media(root: Path, num_files: int) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Return the counts of copies of real media that were found, and of pairs of others without an alarm; and what went wrong."""
    files = [path for path in sorted(root.rglob("*")) if media_suffix(path.name) in (*FILM_SUFFIXES, *SOUND_SUFFIXES)]
    files = files[:: max(1, len(files) // num_files)][:num_files]
    with tempfile.TemporaryDirectory() as folder:
        alarms, planted = copies_of_real_media(Path(folder), files)
        outcomes = list(planted)
    num_media, num_of_one = len(files) + len(outcomes), 1 + len(outcomes) // max(1, len(files))
    num_pairs = (num_media * (num_media - 1) - len(files) * num_of_one * (num_of_one - 1)) // 2
    counts = {
        "copies of real media": (sum(found for _, found in outcomes), len(outcomes)),
        "clean pairs of real media": (num_pairs - len(alarms), num_pairs),
    }
    return counts, [*alarms, *(f"{what}: not found" for what, found in outcomes if not found)]


def copies_of_real_media(folder: Path, files: Sequence[Path], *, num_workers: int = 2) -> tuple[list[str], Iterator[tuple[str, bool]]]:
    """Compare films or sounds of a corpus, each with copies of itself in another part.

    Args:
      folder: for the copies and the fingerprints.
      files: of one folder, no two of one recording.

    Returns:
      The pairs of files that are called one recording, which are false alarms; and each copy with whether it is found.
    """
    planted: dict[str, tuple[str, str]] = {}
    for number, path in enumerate(files):
        shutil.copy(path, folder / path.name)
        sound = sound_of(path)
        loudest = int(np.convolve(sound**2, np.ones(RATE_HZ // 2), "valid").argmax())
        excerpt = sound[loudest : loudest + RATE_HZ // 2]
        noise = np.random.default_rng(number).normal(scale=0.01, size=125 * RATE_HZ).astype(np.float32)
        write_media(folder / f"{number}.mp3", sound=excerpt, codec="libmp3lame", rate_hz=22050)
        write_media(folder / f"{number}.ogg", sound=np.concatenate([noise, sound]), codec="libopus", rate_hz=24000)
        planted |= {f"{number}.mp3": (path.name, "0.5 s as MP3"), f"{number}.ogg": (path.name, "behind 125 s of noise as Opus")}
        if media_suffix(path.name) in FILM_SUFFIXES:
            images = images_of(path)
            write_still(folder / f"{number}.jpg", half(images[len(images) // 2]))
            planted[f"{number}.jpg"] = (path.name, "its middle frame as JPEG of half the size")
    names = [path.name for path in files]
    rows = ["path,part", *(f"{name},train" for name in names), *(f"{name},test" for name in planted)]
    (folder / "real.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    clips = read_split_list(folder / "real.csv").clips()
    pairs = compare_media(clips, folder, prepared_dir=folder / "prepared", num_workers=num_workers).pairs
    source = {name: name for name in names} | {name: of for name, (of, _) in planted.items()}
    alarms = [f"{pair.first} and {pair.second}: {pair.detail}" for pair in pairs if source[pair.first] != source[pair.second]]
    found = {frozenset((pair.first, pair.second)) for pair in pairs}
    return alarms, ((f"{of}, {what}", frozenset((of, name)) in found) for name, (of, what) in planted.items())


def write_copies(folder: Path) -> dict[str, str]:
    """Write copies of the film, of its sound and of its picture; return name -> what it is."""
    sound, other = sound_of(folder / FILM), sound_of(folder / OTHER_ACTOR)
    images, other_images = (images_of(folder / name) for name in (FILM, OTHER_ACTOR))
    shutil.copy(folder / FILM, folder / "copy.m4v")
    copies = {"copy.m4v": "the same file under another name"}

    def add(name: str, what: str, **media: object) -> None:
        write_media(folder / name, **media)  # type: ignore[arg-type]
        copies[name] = what

    for name, codec, rate_hz in (
        *(("as.wav", "pcm_s16le", RATE_HZ), ("as48k.wav", "pcm_s16le", 48000), ("as8k.wav", "pcm_s16le", 8000)),
        *(("as.flac", "flac", 44100), ("as.mp3", "libmp3lame", 22050), ("as.ogg", "libopus", 24000), ("as.m4a", "aac", 44100)),
        *(("as.mka", "ac3", 48000), ("as.aiff", "pcm_s16be", RATE_HZ)),
    ):
        add(name, f"the sound as {Path(name).suffix[1:]} of {rate_hz} Hz", sound=sound, codec=codec, rate_hz=rate_hz)
    changed = {
        "louder": np.clip(2 * sound, -1, 1),
        "softer": 0.1 * sound,
        "trimmed": sound[3000:-2400],
        "late": np.concatenate([np.zeros(3000, np.float32), sound]),
        "half": sound[len(sound) // 2 - 1600 :],
        "short": sound[len(sound) // 2 : len(sound) // 2 + 8000],
        "overlapping": np.concatenate([sound[-8000:], other]),
        "in the middle": np.concatenate([other, sound[2000:-2000], other[::-1]]),
        "behind two minutes": np.concatenate([np.random.default_rng(3).normal(scale=0.2, size=125 * RATE_HZ).astype(np.float32), sound]),
        "noisy": sound + np.random.default_rng(2).normal(scale=0.002, size=len(sound)).astype(np.float32),
    }
    for name, samples in changed.items():
        add(f"{name}.wav", f"the sound, {name}", sound=samples)
    add("dubbed.mkv", "the sound with another picture", sound=sound, images=other_images[: len(images)])
    add("mirrored.mp4", "the film, mirrored", sound=sound, codec="aac", images=[image[:, ::-1] for image in images])
    add("black.mkv", "the film, its picture black", sound=sound, images=[np.zeros_like(image) for image in images])
    add("still.mkv", "the film with one picture", sound=sound, images=images[:1] * len(images))
    add("small.mp4", "the film at half its size, with another sound", sound=other, codec="aac", images=[half(image) for image in images])
    add("silent.avi", "the film without its sound", images=images)
    add("cut.mkv", "the film without its start and end", sound=sound[4267:-4267], images=images[4:-4])
    for name, image in (("first.png", images[0]), ("frame.jpg", half(images[13])), ("last.webp", images[-1])):
        write_still(folder / name, image)
        copies[name] = f"a frame of the film as {name}"
    return copies


def images_of(path: Path) -> list[np.ndarray]:
    """Return the frames of a film, each (H, W, 3) uint8 RGB."""
    return [frame.image for frame in stream_frames(path)]


def write_still(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 RGB; the format follows the suffix."""
    cv2.imwrite(str(path), image[..., ::-1])


def half(image: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) at half its size."""
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def sound_of(path: Path) -> np.ndarray:
    """Return the sound of a file, (S,) float32 at RATE_HZ."""
    (samples,) = stream_audio(path, rate_hz=RATE_HZ)
    return samples


def write_media(
    path: Path, *, sound: np.ndarray | None = None, images: Sequence[np.ndarray] = (), codec: str = "pcm_s16le", rate_hz: int = RATE_HZ
) -> None:
    """Write sound (S,) at RATE_HZ, resampled to rate_hz, and images (H, W, 3) uint8 RGB; the container follows the suffix."""
    if sound is not None and rate_hz != RATE_HZ:
        sound = soxr.resample(sound, RATE_HZ, rate_hz)
    if not images and path.suffix == ".wav":
        soundfile.write(path, sound, rate_hz)
        return
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=synthetic.RATE_FPS) if images else None
        track = container.add_stream(codec, rate=rate_hz, layout="mono") if sound is not None else None
        if film is not None:
            film.height, film.width, film.pix_fmt, film.bit_rate = *images[0].shape[:2], "yuv420p", 1_000_000
            for image in images:
                container.mux(film.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
            container.mux(film.encode())
        if track is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, 0
            context = track.codec_context
            to_codec = av.AudioResampler(format=context.format, layout="mono", rate=rate_hz, frame_size=context.frame_size or 1024)
            for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
                container.mux(track.encode(part))
            container.mux(track.encode())
