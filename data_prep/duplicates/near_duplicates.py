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
from data_prep.decoding.media import MediaError
from data_prep.decoding.sound import stream_audio
from data_prep.duplicates.fingerprints import (
    LONGEST_SOUND_S,
    SOUND_RATE_HZ,
    VERSION,
    Match,
    PicturePrint,
    SoundPrint,
    picture_matches,
    picture_print,
    sound_matches,
    sound_print,
)
from data_prep.sets.digests import ABSENT, media_digests
from data_prep.sets.prepare import picture_place
from data_prep.sets.staging import clip_frames
from data_prep.workers.pool import Crash, run_tasks

_PRINTS: dict[str, type[SoundPrint] | type[PicturePrint]] = {"audio": SoundPrint, "video": PicturePrint}
_MATCHES: dict[str, Callable[[Mapping[str, Any]], Iterator[Match]]] = {"audio": sound_matches, "video": picture_matches}
_WORDS = {"audio": "sound", "video": "picture"}

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Result of a comparison of media.

    Attributes:
      pairs: clips that hold the same recording, each pair once.
      num_compared: clips of which at least one medium was compared.
      not_compared: clip -> the reason that none of its media was compared.
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

    Finds copies in another codec, at another rate or size, louder or softer, with some tenths of a second cut off, and excerpts of half of
    a clip or more. Does not find recordings played faster or at another pitch, pictures mirrored or cropped by much.

    Args:
      clips: unique ids.
      root: folder that the clips' media paths are relative to.
      prepared_dir: fingerprints are stored in its folder `fingerprints/`; where that is read-only, missing ones serve this call alone.
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
    for modality, matches in _MATCHES.items():
        for match in matches({key: one for key, one in prints.items() if tasks[key].modality == modality}):
            for first in owners[match.first]:
                for second in owners[match.second]:
                    add(first, second, _WORDS[modality], _describe(match, _WORDS[modality]))
    compared = {clip_id for key in prints for clip_id in owners[key]}
    missing = {clip.clip_id: "no medium is named" for clip in clips if clip.clip_id not in compared}
    for clip, _, path in media:
        if clip.clip_id in missing:
            missing[clip.clip_id] = f"there is no file {path}" if digests[path] == ABSENT else f"{path.name} cannot be decoded"
    _log.info("%s: %d clips compared, pairs with the same recording: %d", description, len(compared), len(found))
    return Comparison(tuple(found[pair] for pair in sorted(found)), len(compared), missing)


def _media(clip: Clip) -> list[tuple[str, str]]:
    return [(modality, name) for modality, name in (("audio", clip.audio), ("video", clip.video)) if name is not None]


def _describe(match: Match, what: str) -> str:
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
    """Yield the folder, locked so that another process waits instead of decoding the same media; a temporary one where it is read-only."""
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
            _log.warning("%s is read-only, so the fingerprints of media are made but not stored", folder)
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
    pieces = stream_audio(task.path, rate_hz=SOUND_RATE_HZ, start_s=start_s, end_s=end_s, segment_s=LONGEST_SOUND_S)
    return sound_print(next(iter(pieces)))


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with atomic_binary_file(path) as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
