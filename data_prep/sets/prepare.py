"""Preparation: from the clips of a corpus and the name of a view to a prepared set on disk, reused where it exists."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import json_sha256
from avemo_jax.clips import Clip, check_unique
from avemo_jax.data.prepared import Damage, PreparedSet, format_damage
from avemo_jax.degradation import Degradation
from data_prep.decoding.degrading import VERSION as DEGRADING_VERSION
from data_prep.decoding.stills import ROW_OFFSET
from data_prep.sets.digests import ABSENT, media_digests
from data_prep.sets.finished import find_finished, making, partial_of, remove_damaged, remove_partial
from data_prep.sets.on_beam import Beam
from data_prep.sets.staging import StagedClip, StageTask, media_name, media_of, read_staged, stage, stage_lost, stage_media, staged_path
from data_prep.views import make_view
from data_prep.views.table import Table
from data_prep.workers.pool import MEMORY_LIMIT_BYTES, TIME_LIMIT_S, Crash, WorkerPool, run_tasks

# Part of every key: raised when the code around the views changes their input (decoding) or how examples are written.
CODE_VERSION = 3

_log = logging.getLogger(__name__)


def is_degraded(view: Any, degradation: Degradation) -> bool:
    """Return whether a degradation of the media changes a view; a feature table has no media."""
    return not isinstance(view, Table) and degradation.modality in media_of(view)


def prepare_view(
    *,
    corpus: str,
    root: Path,
    clips: Sequence[Clip],
    view_name: str,
    view_params: Mapping[str, Any],
    prepared_dir: Path,
    num_workers: int,
    degradation: Degradation | None = None,
    clip_id_of: Callable[[str], str | None] = lambda name: name,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    pool: WorkerPool | None = None,
    beam: Beam | None = None,
    verified: bool = False,
) -> PreparedSet:
    """Return the prepared set of a view of these clips: the finished one where it exists, otherwise a new one.

    The set lies in `<prepared_dir>/<corpus>-<view>-<12 digits of its key>`; the key is the SHA-256 of clip ids, spans, content of the
    media, view parameters and code versions. Until it is finished, `<that>.partial/` holds one file a clip, and an interrupted
    preparation resumes there. A second process that needs the same set waits for the first. A clip that cannot be used is listed in the
    set's damage report and affects no other clip.

    Args:
      corpus, root, clips: name, folder that the clips' media paths are relative to, and the clips.
      view_name, view_params: as `make_view` takes them.
      prepared_dir: folder of the prepared sets.
      num_workers: processes; any number gives the same bytes.
      degradation: applied to the media before the view is made; ignored where the view does not take the medium that it changes.
      clip_id_of: for the view `table`: from the name in a row to the clip id, or None.
      time_limit_s, memory_limit_bytes: of one segment of a clip and of one worker.
      pool: workers shared with other views; None: workers of this view alone.
      beam: decodes and writes on Apache Beam in place of workers here; gives the same bytes.
      verified: read all examples of a finished set again, and make it anew where they are damaged.

    Raises:
      ValueError: an unknown view or parameter; two clips of one id; no clip gave an example.
      ImportError: the view needs a package that is not installed; the message has the command.
      WorkerError, OSError: a fault of the program or the machine; what is staged stays.
    """
    check_unique(clips)
    clips = sorted(clips, key=lambda clip: clip.clip_id)
    view = make_view(view_name, **view_params)
    root, prepared_dir = Path(root), Path(prepared_dir)
    prepared_dir.mkdir(parents=True, exist_ok=True)
    is_table = isinstance(view, Table)
    if degradation is not None and not is_degraded(view, degradation):
        degradation = None  # the view is that of the clean media
    rows, num_foreign = view.clips(clip_id_of, {clip.clip_id for clip in clips}) if is_table else ({}, 0)
    if is_table:
        what = "names" if view.has_steps else "rows"
        _log.info("%s: %d %s, %d of them without a clip", view.path, len(rows) + num_foreign, what, num_foreign)
        if view.names_column not in (None, view.clip_column):
            _log.info("%s: the clips are in column %r", view.path, view.names_column)
        if view.other_columns:
            _log.info("%s: left out as they are no features: %s", view.path, ", ".join(view.other_columns))
        if view.constant_columns:
            _log.info("%s: left out as they never change: %s", view.path, ", ".join(view.constant_columns))
        contents = {clip.clip_id: view.digest(rows[clip.clip_id]) for clip in clips if clip.clip_id in rows}
    else:
        contents = _media_contents(clips, root, media_of(view), prepared_dir, num_workers)
    key = _key(clips, view, contents, degradation)
    directory = prepared_dir / f"{corpus}-{view.name}-{key[:12]}"
    if (prepared := _find(directory, key, verified=verified)) is not None:  # without the lock: its folder may be read-only
        remove_partial(directory)
        return prepared
    with making(directory, f"{view.name} of {corpus}"):
        if (made := _find(directory, key)) is not None:  # by another process meanwhile
            return made
        if hasattr(view, "check_installed"):
            view.check_installed()  # here, because a finished set does not need the package
        remove_damaged(directory)
        # Late: brings TFDS, which a finished set does not need. Before the work, which would be lost where TFDS is missing.
        from data_prep.sets.builders import write_prepared

        partial = partial_of(directory)
        paths = {clip.clip_id: staged_path(partial / "staging", clip.clip_id) for clip in clips}
        staged = {clip_id: found for clip_id, path in paths.items() if (found := read_staged(path)) is not None}
        _log.info(
            "%s of %s: %d clips to prepare, %d done before, in %s", view.name, corpus, len(clips) - len(staged), len(staged), directory
        )
        missing = [clip for clip in clips if clip.clip_id not in staged]
        work = functools.partial(
            run_tasks, num_workers=num_workers, time_limit_s=time_limit_s, memory_limit_bytes=memory_limit_bytes, pool=pool
        )
        if is_table:
            staged |= {clip.clip_id: _stage_row(paths[clip.clip_id], clip, rows, view) for clip in missing}
        else:
            if missing and getattr(view, "compiles", False):
                _compile(view)
            todo = {clip.clip_id: StageTask(clip, view, root, paths[clip.clip_id], degradation) for clip in missing}
            if beam is not None and todo:
                beam.stage(todo.values())
                staged |= {clip_id: found for clip_id in todo if (found := read_staged(paths[clip_id])) is not None}
                todo = {clip_id: task for clip_id, task in todo.items() if clip_id not in staged}  # none, where the disk is shared
            description = f"{corpus} {view.name}" + (f", {degradation}" if degradation else "")
            for clip_id, outcome in work(stage_media, todo, description=description, num_done=len(staged)):
                if isinstance(outcome, Crash):
                    outcome = stage_lost(paths[clip_id], clip_id, Damage("undecodable", outcome.reason))
                staged[clip_id] = outcome

        prepared = write_prepared(
            directory,
            staged=list(staged.values()),
            clips=clips,
            corpus=corpus,
            view=view.name,
            modality=view.modality,
            view_params=dataclasses.asdict(view) | ({"columns": view.columns} if is_table else {}),
            step_shape=view.step_shape,
            dtype=view.dtype,
            key=key,
            work=work,
            beam=beam,
        )
        shutil.rmtree(partial)
    _log.info("%s", format_damage(prepared))
    return prepared


def _find(directory: Path, key: str, *, verified: bool = False) -> PreparedSet | None:
    found = find_finished(directory, key, verified=verified)
    if found is not None:
        _log.info("%s of %s: already prepared, using %s", found.manifest.view, found.manifest.corpus, directory)
    return found


def _compile(view: Any) -> None:
    """Make the view of some noise, so that workers find librosa's machine code on disk: compiling it takes more memory than they have."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=view.sample_rate_hz // 2)
    next(view.segments(iter([noise.astype(np.float32)])))


def _media_contents(clips: Sequence[Clip], root: Path, media: Sequence[str], prepared_dir: Path, num_threads: int) -> dict[str, str]:
    """Clip id -> digests of the media files that the view takes, joined by spaces; ABSENT for one that the clip does not have."""
    names = {clip.clip_id: [media_name(clip, medium) for medium in media] for clip in clips}
    paths = {name: root / name for found in names.values() for name in found if name is not None}
    digests = media_digests(paths.values(), memory=prepared_dir / "media_digests.json", num_threads=num_threads)
    return {clip_id: " ".join(ABSENT if name is None else digests[paths[name]] for name in found) for clip_id, found in names.items()}


def _key(clips: Sequence[Clip], view: Any, contents: Mapping[str, str], degradation: Degradation | None = None) -> str:
    """SHA-256 over everything that determines the examples; files that parameters name count by their content."""
    params = dataclasses.asdict(view)
    for name in [name for name in params if name == "path" or name.endswith("_path")]:
        if params[name] is not None and Path(params[name]).is_file():
            params[name] = hashlib.sha256(Path(params[name]).read_bytes()).hexdigest()
    if isinstance(view, Table):  # what is left out counts by what is left; a table of which all is used has the key that it always had
        dropped, _, _ = params.pop("drop_columns"), params.pop("allow_columns"), params.pop("decimal")
        defaults = {field.name: field.default for field in dataclasses.fields(view)}
        params = {name: value for name, value in params.items() if name in ("path", "clip_column") or value != defaults[name]}
        params["path"] = "" if view.is_folder else params["path"]  # its files count by what is read of them
        if dropped or view.constant_columns or view.other_columns:
            params["columns"] = view.columns
    parts: dict[str, Any] = {
        "clips": [(clip.clip_id, _spans(clip, media_of(view)), contents.get(clip.clip_id, ABSENT)) for clip in clips],
        "view": (view.name, view.VERSION, params),
        "code": CODE_VERSION,
    }
    if degradation is not None:
        parts["degradation"] = (degradation.text, DEGRADING_VERSION)
    return json_sha256(parts)


def picture_place(clip: Clip) -> tuple[Any, ...]:
    """Return the part of a file that is a clip's picture: start and end in s, region, and the row of a table of pixels."""
    row = (clip.attributes[ROW_OFFSET],) if ROW_OFFSET in clip.attributes else ()
    return (*clip.video_span_s, clip.video_region, *row)


def _spans(clip: Clip, media: Sequence[str]) -> tuple[Any, ...]:
    """Parts of the clip's media that the view takes."""
    return tuple(part for medium in media for part in (clip.audio_span_s if medium == "audio" else picture_place(clip)))


def _stage_row(path: Path, clip: Clip, rows: Mapping[str, Any], view: Table) -> StagedClip:
    if clip.clip_id in rows:
        if any(one.mask.any() for one in rows[clip.clip_id]):
            return stage(path, clip.clip_id, rows[clip.clip_id])
        return stage_lost(path, clip.clip_id, Damage("missing", f"{Path(view.path).name} has no usable step of this clip"))
    return stage_lost(path, clip.clip_id, Damage("missing", f"{Path(view.path).name} has no row of this clip"))
