"""Near-duplicates: clips that hold the same recording, as the same bytes or re-encoded, louder or trimmed.

Files are decoded in bounded worker processes, once: a fingerprint is stored beside the prepared sets under a key of the file's content, so
that a second run, another protocol or another view reuses it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avemo_jax.atomic import atomic_binary_file, remove_leftovers
from avemo_jax.cache_folders import can_write
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.locks import locked
from avemo_jax.placeholders import placeholder
from data_prep.decoding.media import WORDS, MediaError
from data_prep.decoding.sound import stream_audio
from data_prep.duplicates.fingerprints import (
    HOP_S,
    LONGEST_PICTURE_S,
    LONGEST_SOUND_S,
    SOUND_RATE_HZ,
    VERSION,
    PicturePrint,
    SoundPrint,
    picture_print,
    sound_print,
)
from data_prep.duplicates.matches import FEWEST_FRAMES, LARGEST_LAG_S, Match, can_match, has_texture, picture_matches, sound_matches
from data_prep.sets.digests import ABSENT, media_digests
from data_prep.sets.prepare import picture_place
from data_prep.sets.staging import clip_frames
from data_prep.workers.pool import Crash, run_tasks

_PRINTS: dict[str, type[SoundPrint] | type[PicturePrint]] = {"audio": SoundPrint, "video": PicturePrint}
_MATCHES: dict[str, Callable[[Mapping[str, Any]], Iterator[Match]]] = {"audio": sound_matches, "video": picture_matches}

_PIECE_S = 60.0  # of sound decoded at a time

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Result of a comparison of media.

    Attributes:
      pairs: clips that hold the same recording, each pair once.
      num_compared: clips of which at least one medium was compared.
      not_compared: clip -> which of its media, or which part of them, was not compared, and why.
    """

    pairs: tuple[SharedMedia, ...]
    num_compared: int
    not_compared: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class FingerprintTask:
    """One medium of a clip for a worker process: "audio" or "video", its file, and the file that its fingerprint goes into."""

    clip: Clip
    modality: str
    path: Path
    target: Path


def compare_media(
    clips: Sequence[Clip],
    root: Path,
    *,
    prepared_dir: Path,
    num_workers: int,
    modalities: Sequence[str] = ("audio", "video"),
    description: str = "fingerprints",
) -> Comparison:
    """Find the clips that hold the same recording, among all media that the clips have.

    Finds copies in another codec, at another rate or size, louder or softer, with some tenths of a second cut off, a sound whose end is the
    start of another (from about 0.4 s on), a second of sound that two hold anywhere, excerpts of half of a film or more that start up to
    0.64 s into it, and stills that are frames of a film. Does not find recordings played faster or at another pitch, pictures mirrored or
    cropped by much. `Comparison.not_compared` names each clip of which something could not be compared.

    Args:
      clips: unique ids.
      root: folder that the clips' media paths are relative to.
      prepared_dir: fingerprints are stored in its folder `fingerprints/`; where that cannot be written, missing ones serve this call alone.
      num_workers: processes; any number gives the same result.
      modalities: which media to compare.
      description: of the progress bar.
    """
    folder = Path(prepared_dir) / "fingerprints"
    media = [(clip, modality, Path(root) / name) for clip in clips for modality, name in _media(clip) if modality in modalities]
    memory = Path(prepared_dir) / "media_digests.json"
    digests = media_digests(sorted({path for _, _, path in media}), memory=memory, num_threads=num_workers)
    owners: dict[str, list[str]] = defaultdict(list)
    tasks: dict[str, FingerprintTask] = {}
    for clip, modality, path in media:
        # empty files, pointers and web pages are equal by the thousand, and no recordings
        if digests[path] != ABSENT and path.stat().st_size and placeholder(path) is None:
            place = clip.audio_span_s if modality == "audio" else picture_place(clip)
            key = hashlib.sha256(json.dumps([VERSION, modality, digests[path], *place]).encode()).hexdigest()
            owners[key].append(clip.clip_id)
            tasks[key] = FingerprintTask(clip, modality, path, folder / f"{key}.npz")
    prints = _fingerprints(folder, tasks, num_workers=num_workers, description=description)

    found: dict[tuple[str, str], SharedMedia] = {}

    def add(first: str, second: str, how: str, detail: str) -> None:
        pair = (min(first, second), max(first, second))
        if first != second:
            found.setdefault(pair, SharedMedia(*pair, how, detail))

    for key, ids in owners.items():
        for number, first in enumerate(ids):
            for second in ids[number + 1 :]:
                add(first, second, "bytes", f"{tasks[key].path.name} is the same in both, byte for byte")
    gaps: dict[str, dict[str, None]] = defaultdict(dict)  # clip -> what of it was not compared
    for modality, matches in _MATCHES.items():
        for match in matches({key: one for key, one in prints.items() if tasks[key].modality == modality}):
            for first in owners[match.first]:
                for second in owners[match.second]:
                    if match.is_certain:
                        add(first, second, WORDS[modality], _describe(match, WORDS[modality]))
                    else:
                        doubt = f"one of {first} and {second} is a still like a frame of the other, and may be another moment"
                        gaps[first][f"cannot be told: {doubt}"] = None
    has_films = any(isinstance(one, PicturePrint) and len(one.frames) > 1 for one in prints.values())
    with_sound = {clip_id for key, one in prints.items() if isinstance(one, SoundPrint) and can_match(one) for clip_id in owners[key]}
    made: dict[tuple[str, str], SoundPrint | PicturePrint] = {}
    for key, one in prints.items():
        made |= {(clip_id, tasks[key].modality): one for clip_id in owners[key]}
    compared = {clip_id for clip_id, _ in made}
    for clip, modality, path in media:
        if (one := made.get((clip.clip_id, modality))) is not None:
            gaps[clip.clip_id] |= dict.fromkeys(_gaps(one, has_films=has_films, has_sound=clip.clip_id in with_sound))
        elif clip.clip_id in compared:
            gaps[clip.clip_id][f"its {WORDS[modality]}: {path.name} has none, or none that can be decoded"] = None
        else:
            gaps[clip.clip_id] = {f"there is no file {path}" if digests[path] == ABSENT else f"{path.name} cannot be decoded": None}
    for clip in clips:
        if clip.clip_id not in compared and not gaps[clip.clip_id]:
            gaps[clip.clip_id]["no medium is named"] = None
    _log.info("%s: %d clips compared, pairs with the same recording: %d", description, len(compared), len(found))
    not_compared = {clip.clip_id: "; ".join(gaps[clip.clip_id]) for clip in clips if gaps[clip.clip_id]}
    return Comparison(tuple(found[pair] for pair in sorted(found)), len(compared), not_compared)


def _media(clip: Clip) -> list[tuple[str, str]]:
    return [(modality, name) for modality, name in (("audio", clip.audio), ("video", clip.video)) if name is not None]


def _gaps(one: SoundPrint | PicturePrint, *, has_films: bool, has_sound: bool) -> Iterator[str]:
    """Yield what of a medium was not compared with the others.

    Args:
      has_films: there are films among the pictures.
      has_sound: the sound of the same clip was compared.
    """
    if isinstance(one, SoundPrint):
        if not can_match(one):
            least_s = FEWEST_FRAMES * HOP_S
            yield f"its sound (for equal bytes alone): less than {least_s:.2g} s of it is neither silence nor a steady tone"
        elif one.goes_on:
            yield f"its sound after {LONGEST_SOUND_S / 3600:g} h"
    elif not has_texture(one):
        yield "its picture (for equal bytes alone): it is black or of one grey"
    elif len(one.frames) == 1:
        if has_films:
            yield "whether it is a part of a film's frame, such as a face (whole frames were compared)"
    else:
        if one.goes_on:
            yield f"its picture after {LONGEST_PICTURE_S:g} s"
        if not has_sound:
            yield f"excerpts of its picture that start more than {LARGEST_LAG_S:g} s into it, which are found by their sound alone"


def _describe(match: Match, what: str) -> str:
    if match.is_frame:
        return f"{what}: a still and a film of which it is a frame"
    shift = f", {abs(match.shift_s):.2f} s apart" if abs(match.shift_s) >= 0.01 else ""
    return f"{what}: {100 * match.error:.0f} % of the fingerprint differs{shift}"


def _fingerprints(folder: Path, tasks: Mapping[str, FingerprintTask], **options: Any) -> dict[str, Any]:
    """Task -> fingerprint, from disk where it is stored; files that cannot be decoded are left out."""
    stored = {key: _read(task) for key, task in tasks.items()}
    if None in stored.values():
        with _writable(folder) as own:
            if own == folder:  # another process may have made some meanwhile
                stored |= {key: _read(tasks[key], logging.DEBUG) for key, one in stored.items() if one is None}
            missing = {key: dataclasses.replace(tasks[key], target=own / tasks[key].target.name) for key in stored if stored[key] is None}
            for key, outcome in run_tasks(fingerprint, missing, num_done=len(tasks) - len(missing), **options):
                if isinstance(outcome, Crash):  # so that the next run does not try again
                    _write(missing[key].target, {})
                stored[key] = _read(missing[key])
    return {key: one for key, one in stored.items() if one}


@contextmanager
def _writable(folder: Path) -> Iterator[Path]:
    """Yield the folder, locked so that another process does not decode the same media; a temporary one where it cannot be written."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder.with_name(f".{folder.name}.lock"), "making fingerprints of media"))
            is_writable = can_write(folder)
        except OSError:
            is_writable = False
        if is_writable:
            remove_leftovers(folder)
            yield folder
        else:
            _log.warning("%s cannot be written, so the fingerprints of media are made but not stored", folder)
            yield Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _read(task: FingerprintTask, level: int = logging.WARNING) -> SoundPrint | PicturePrint | Literal[False] | None:
    """Return the stored fingerprint, False where the medium cannot be decoded, None where nothing is stored or, with a warning, damaged."""
    try:
        with zipfile.ZipFile(task.target) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} does not fit its checksum")
        with np.load(task.target, allow_pickle=False) as arrays:
            return _PRINTS[task.modality](**{name: arrays[name] for name in arrays.files}) if arrays.files else False
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except Exception as error:  # zipfile and numpy have a dozen types for damage
        _log.log(level, "the fingerprint %s is damaged (%s) and is made anew", task.target, error or type(error).__name__)
        return None


def fingerprint(task: FingerprintTask) -> None:
    """Decode a medium and write its fingerprint; an empty file where it cannot be decoded."""
    try:
        arrays = dataclasses.asdict(_sound(task) if task.modality == "audio" else picture_print(clip_frames(task.path, task.clip)))
    except (MediaError, MemoryError):
        arrays = {}
    _write(task.target, arrays)


def _sound(task: FingerprintTask) -> SoundPrint:
    start_s, end_s = task.clip.audio_span_s
    return sound_print(stream_audio(task.path, rate_hz=SOUND_RATE_HZ, start_s=start_s, end_s=end_s, segment_s=_PIECE_S))


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with atomic_binary_file(path) as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
