"""Clips of a corpus with the prepared sets of all streams: the input of an experiment."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedCorpus, PreparedSet
from avemo_jax.degradation import Degradation
from avemo_jax.labels import label_set as find_label_set
from data_prep.corpora import CorpusNotFound, JoinedCorpus, corpus, load_clips, num_clips_of_owner, own_options
from data_prep.decoding.media import WORDS
from data_prep.duplicates.near_duplicates import Comparison, compare_media
from data_prep.sets.on_beam import Beam
from data_prep.sets.prepare import prepare_view
from data_prep.sets.staging import media_name, media_of
from data_prep.table_audit import check_columns
from data_prep.views import VIEWS, make_view
from data_prep.views.segments import check_same_cut
from data_prep.views.table import Table
from data_prep.workers.pool import WorkerPool

_log = logging.getLogger(__name__)

ViewChoice = tuple[str, Mapping[str, Any]]  # name and parameters, as `make_view` takes them


def prepare_corpus(
    name: str,
    root: Path | str | None,
    *,
    label_target: str,
    label_set: str,
    views: Mapping[str, ViewChoice],
    prepared_dir: Path | str,
    num_workers: int,
    options: Mapping[str, Any] | None = None,
    beside: Mapping[str, ViewChoice] | None = None,
    baseline_params: Mapping[str, Any] | None = None,
    degradation: Degradation | None = None,
    beam: Beam | None = None,
    check: Callable[[Sequence[Clip]], Any] = lambda clips: None,
    verified: bool = False,
) -> PreparedCorpus:
    """Read the clips of a corpus and prepare, or find, the views of all streams.

    Args:
      name: of the corpus, or "NAME+NAME".
      root: its folder; None raises CorpusNotFound with the flag to set.
      label_target: what its labels must be: "acted", "crowd", "found" or "mixed".
      label_set: name of the label set, with which the columns of feature tables are compared.
      views: stream -> its view.
      prepared_dir: folder of the prepared sets.
      num_workers: processes that decode and make views.
      options: option -> value; the corpus takes those that it has, others are ignored.
      beside: stream -> its second view, for streams that have one.
      baseline_params: parameters of the view `functionals`, from which the classical baseline is trained; it is prepared where a stream's
        view is made from sound. None: no baseline.
      degradation: applied to all media first, for the robustness panel.
      beam: prepares on Apache Beam in place of processes here.
      check: called with the clips before any of them is decoded; what it raises ends the preparation.
      verified: read all examples of finished sets again, and make damaged sets anew.

    Raises:
      CorpusNotFound: no root is given, or the corpus is not there.
      ValueError: an unknown corpus, view or parameter; labels of another kind; streams that cannot be joined; a stream of which no clip
        has the medium; or a feature table with a column that gives the answer away.
      ImportError: a view needs a package that is not installed; the message has the command.
    """
    beside = beside or {}
    module = corpus(name)
    joined = dict(views) | {f"{stream} beside": choice for stream, choice in beside.items()}
    clips, columns = read_corpus(name, root, label_target=label_target, label_set=label_set, views=joined, options=options, check=check)
    root = Path(root or "")
    has_sound = any(VIEWS[view].modality == "audio" for view, _ in joined.values())

    def prepared(choice: ViewChoice) -> PreparedSet:
        view, params = choice
        return prepare_view(
            corpus=name,
            root=root,
            clips=clips,
            view_name=view,
            view_params=params,
            prepared_dir=Path(prepared_dir),
            num_workers=num_workers,
            degradation=degradation,
            clip_id_of=module.clip_id,
            pool=pool,
            beam=beam,
            verified=verified,
        )

    with WorkerPool() as pool:
        return PreparedCorpus(
            clips=clips,
            sets={stream: prepared(choice) for stream, choice in views.items()},
            functionals=prepared(("functionals", baseline_params)) if has_sound and baseline_params is not None else None,
            beside={stream: prepared(choice) for stream, choice in beside.items()},
            table_columns=columns,
            licences={view: VIEWS[view].licence for view, _ in joined.values() if hasattr(VIEWS[view], "licence")},
            num_clips_of_owner=num_clips_of_owner(name, options or {}),
        )


def read_corpus(
    name: str,
    root: Path | str | None,
    *,
    label_target: str,
    label_set: str,
    views: Mapping[str, ViewChoice],
    options: Mapping[str, Any] | None = None,
    check: Callable[[Sequence[Clip]], Any] = lambda clips: None,
) -> tuple[tuple[Clip, ...], dict[str, Any]]:
    """Read the clips of a corpus and check everything that can be checked before a medium is decoded.

    Args: as `prepare_corpus`; `views` holds the second views of streams too.

    Returns:
      The clips, and for each stream that reads a feature table what was found of its columns.

    Raises:
      CorpusNotFound, ValueError: as `prepare_corpus`.
    """
    made = {stream: make_view(view, **params) for stream, (view, params) in views.items()}
    check_same_cut(made)
    module = corpus(name)
    if label_target not in module.LABEL_TARGETS:
        raise ValueError(f"the labels of {name} are {' or '.join(module.LABEL_TARGETS)}, got --config.corpus.label_target={label_target}")
    clips = clips_of_corpus(name, root, options or {})
    for stream, view in made.items():
        check_media(stream, view, clips)
    check(clips)
    labels = find_label_set(label_set)
    if excluded := Counter(clip.label for clip in clips if labels.class_index(clip.label) is None):
        words = ", ".join(f"{word} {count}" for word, count in excluded.most_common())
        _log.info("label set %s leaves out %d of %d clips, with the labels %s", label_set, excluded.total(), len(clips), words)
    columns = {stream: check_columns(view, clips, module.clip_id, labels) for stream, view in made.items() if isinstance(view, Table)}
    return clips, columns


def clips_of_corpus(name: str, root: Path | str | None, options: Mapping[str, Any]) -> tuple[Clip, ...]:
    """Return the clips of a corpus; arguments as of `prepare_corpus`.

    Raises:
      CorpusNotFound: no root is given, or the corpus is not there.
      ValueError: an unknown corpus or option.
    """
    module = corpus(name)
    if not root:
        form = module.root_form() if isinstance(module, JoinedCorpus) else "FOLDER"
        raise CorpusNotFound(f"{name}: expected {module.LAYOUT}; no folder is given. Set --config.corpus.root={form}; {module.ADDRESS}")
    return load_clips(name, root, **own_options(module, options))


def check_media(stream: str, view: Any, clips: Sequence[Clip]) -> None:
    """Check that clips have the media that the view of a stream is made of.

    Raises:
      ValueError: none has; every clip of the stream would be lost.
    """
    for medium in () if isinstance(view, Table) else media_of(view):
        if clips and all(media_name(clip, medium) is None for clip in clips):
            raise ValueError(
                f"stream {stream} needs {WORDS[medium]}, and none of the {len(clips)} clips has any: expected {medium} files in "
                "--config.corpus.root; add them, or choose a system without that stream"
            )


def shared_media(
    name: str, root: Path | str, clips: Sequence[Clip], *, views: Mapping[str, ViewChoice], prepared_dir: Path | str, num_workers: int
) -> Comparison:
    """Return which clips hold the same recording, in the media that the streams' views are made from.

    Args:
      name, root, clips: of the corpus.
      views: stream -> its view.
      prepared_dir: folder of the prepared sets, where fingerprints are stored too.
      num_workers: processes that decode.
    """
    return compare_media(
        clips,
        Path(root),
        prepared_dir=Path(prepared_dir),
        num_workers=num_workers,
        modalities=sorted({make_view(view, **params).modality for view, params in views.values()}),
        description=f"{name} fingerprints",
    )
