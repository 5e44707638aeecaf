"""Look at the media of a corpus before they are prepared: what is no medium, and whether one of each kind goes through a worker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import LOST_KINDS
from data_prep.corpora.unfetched import media_names, names_by_problem
from data_prep.decoding.stills import ROW_OFFSET
from data_prep.sets.staging import StagedClip, StageTask, media_name, media_of, stage_media, staged_path
from data_prep.views.table import Table
from data_prep.workers.pool import Crash, WorkerPool, run_tasks

NUM_TRIED = 3  # clips of one kind of file, of which one must be readable
_TIME_LIMIT_S = 300.0


def find_impostors(clips: Sequence[Clip], root: Path, media: Sequence[str] = ("audio", "video")) -> dict[str, list[str]]:
    """Return problem -> names of the media files that have it: "absent", "empty", "unreadable (...)".

    What stands in the place of a file that was not fetched, such as a Git LFS pointer, is named where the corpus is read.
    """
    return names_by_problem(root, media_names(clips, media), _problem)


def _problem(path: Path) -> str:
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return "" if size else "empty"


def try_view(view: Any, clips: Sequence[Clip], root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Decode clips and make the view of them in a worker process, as preparing does: one clip of each kind of file, up to three where lost.

    Returns:
      Kind of file, such as ".wav" -> the clip that could be read; kind of file -> why none of those tried could be.

    Raises:
      WorkerError, OSError: no worker can work here, such as where a package is broken or a folder cannot be written.
    """
    if isinstance(view, Table):
        return {}, {}
    kinds: dict[str, list[Clip]] = {}
    for clip in clips:
        names = [media_name(clip, medium) for medium in media_of(view)]
        if None not in names:
            suffixes = "row of a table" if ROW_OFFSET in clip.attributes else "+".join(Path(name).suffix.lower() for name in names if name)
            kinds.setdefault(suffixes, []).append(clip)
    read: dict[str, str] = {}
    lost: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="avemo-doctor-") as folder, WorkerPool() as pool:
        for kind, own in kinds.items():
            tasks = {clip.clip_id: StageTask(clip, view, root, staged_path(Path(folder), clip.clip_id)) for clip in _spread(own)}
            for clip_id, outcome in _one_by_one(tasks, pool):
                loss = _loss(outcome)
                if loss is None:
                    read[kind] = clip_id
                    lost.pop(kind, None)
                    break
                lost.setdefault(kind, f"{clip_id}: {loss}")
    return read, lost


def _loss(outcome: StagedClip | Crash) -> str | None:
    """Return why a clip is lost, or None where it was read."""
    if isinstance(outcome, Crash):
        return outcome.reason
    damage = outcome.damage
    return damage.detail if damage is not None and damage.kind in LOST_KINDS else None


def _spread(clips: Sequence[Clip]) -> list[Clip]:
    """Return up to `NUM_TRIED` clips from the whole list."""
    step = max(1, len(clips) // NUM_TRIED)
    return list(clips[::step])[:NUM_TRIED]


def _one_by_one(tasks: Mapping[str, StageTask], pool: WorkerPool) -> Iterator[tuple[str, StagedClip | Crash]]:
    for name, task in tasks.items():
        yield from run_tasks(stage_media, {name: task}, num_workers=1, time_limit_s=_TIME_LIMIT_S, pool=pool)
