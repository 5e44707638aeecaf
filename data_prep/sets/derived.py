"""Prepared sets made from other prepared sets: features of frozen encoders, stored so that no encoder runs twice on the same view."""

from __future__ import annotations

import functools
import itertools
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import LOST_KINDS, Example, PreparedSet
from data_prep.sets.finished import find_finished, making, partial_of, remove_damaged, remove_partial
from data_prep.sets.staging import StagedClip, read_staged, stage, stage_lost, staged_path
from data_prep.views.segments import ViewSegment

_log = logging.getLogger(__name__)


class DerivedSets:
    """The derived sets of one corpus, `<prepared_dir>/<corpus>-<name>-<12 digits of the key>`.

    Args:
      prepared_dir: folder of the prepared sets.
      corpus: its name.
      clips: of every set.
      verified: read all examples of a finished set when it is first found.
    """

    def __init__(self, prepared_dir: Path, corpus: str, clips: Sequence[Clip], *, verified: bool = False):
        self._prepared_dir = Path(prepared_dir)
        self._corpus = corpus
        self._clips = clips
        self._verified = verified
        self._logged: set[Path] = set()

    def find(self, name: str, key: str) -> PreparedSet | None:
        """Return the finished set of that name and key, or None; a damaged one counts as none, and `make` makes it anew."""
        directory = self._directory(name, key)
        found = find_finished(directory, key, verified=self._verified and directory not in self._logged)
        if found is not None and directory not in self._logged:
            _log.info("%s of %s: already prepared, using %s", name, self._corpus, directory)
            remove_partial(directory)
            self._logged.add(directory)
        return found

    def make(
        self,
        name: str,
        key: str,
        *,
        source: PreparedSet,
        params: Mapping[str, Any],
        step_shape: tuple[int, ...],
        examples_of: Callable[[frozenset[str]], Iterator[Example]],
    ) -> PreparedSet:
        """Write a derived set; an interrupted one resumes at the clip where it stopped, and a second process waits for the first.

        Args:
          name, key: of the derived set.
          source: the set that it is made from; a clip that is lost or doubtful there is so here.
          params: parameters of the encoder, for the manifest.
          step_shape: of the features.
          examples_of: ids of the clips that are missing -> their examples, in order of clips and segments.
        """
        directory = self._directory(name, key)
        with making(directory, f"{name} of {self._corpus}"):
            if (made := find_finished(directory, key)) is not None:  # by another process meanwhile
                return made
            remove_damaged(directory)
            # Late: brings TFDS, which a finished set does not need. Before the work, which would be lost where TFDS is missing.
            from data_prep.sets.builders import write_prepared

            partial = partial_of(directory)
            paths = {clip.clip_id: staged_path(partial / "staging", clip.clip_id) for clip in self._clips}
            staged = {clip_id: before for clip_id, path in paths.items() if (before := read_staged(path)) is not None}
            missing = frozenset(paths) - frozenset(staged)
            _log.info("%s of %s: %d clips to encode, %d done before, in %s", name, self._corpus, len(missing), len(staged), directory)
            staged |= self._stage_all(name, source, examples_of(missing), paths, missing, num_done=len(staged))

            prepared = write_prepared(
                directory,
                staged=list(staged.values()),
                clips=self._clips,
                corpus=self._corpus,
                view=name,
                modality=source.manifest.modality,
                view_params=params,
                step_shape=step_shape,
                dtype="float32",
                key=key,
            )
            shutil.rmtree(partial)
        return prepared

    def _stage_all(
        self,
        name: str,
        source: PreparedSet,
        examples: Iterator[Example],
        paths: Mapping[str, Path],
        missing: frozenset[str],
        *,
        num_done: int,
    ) -> dict[str, StagedClip]:
        staged: dict[str, StagedClip] = {}
        with tqdm(total=len(paths), initial=num_done, desc=f"{self._corpus} {name}", unit="clip", disable=None) as bar:
            for clip_id, group in itertools.groupby(examples, lambda example: example.clip_id):
                segments = (ViewSegment(one.values, one.mask, one.times_s, len(one.mask)) for one in group)
                staged[clip_id] = stage(paths[clip_id], clip_id, segments, functools.partial(source.damage.get, clip_id))
                bar.update()
            for clip_id in sorted(missing - staged.keys()):
                damage = source.damage.get(clip_id)
                if damage is None or damage.kind not in LOST_KINDS:
                    raise ValueError(f"{name} of {self._corpus}: clip {clip_id} has examples in {source.directory} and none was encoded")
                staged[clip_id] = stage_lost(paths[clip_id], clip_id, damage)
                bar.update()
        return staged

    def _directory(self, name: str, key: str) -> Path:
        return self._prepared_dir / f"{self._corpus}-{name}-{key[:12]}"
