"""All that an experiment needs of a corpus: its clips and the prepared sets of the streams it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.data.prepared import PreparedCorpus, TableColumns
from avemo_jax.degradation import Degradation
from avemo_jax.labels import LabelSet, label_set
from data_prep.corpora import CorpusNotFound, JoinedCorpus, corpus, load_clips
from data_prep.duplicates.near_duplicates import compare_media
from data_prep.sets.on_beam import beam_of
from data_prep.sets.prepare import prepare_view
from data_prep.views import make_view
from data_prep.views.segments import check_same_cut
from data_prep.views.table_columns import contents_like, named_like, refuse_columns
from data_prep.views.table import Table
from data_prep.workers.pool import Crew


def prepare_corpus(config: Mapping[str, Any], degradation: Degradation | None = None) -> PreparedCorpus:
    """Read the clips of the config's corpus and prepare, or find, the views that its system uses.

    Args:
      config: the resolved config as nested plain dicts.
      degradation: what happens to all media first, for the robustness panel.

    Raises:
      CorpusNotFound: no root is given, or the corpus is not there.
      ValueError: the config names what does not exist, streams that do not belong together, or a feature table with a column that gives
        away what is to be predicted.
    """
    settings, system = config["corpus"], config["system"]
    names = {stream: system[f"{stream}_view"] for stream in system["streams"]}
    beside = {stream: view for stream in names if (view := system[f"{stream}_view_beside"])}
    joined = names | {f"{stream} beside": view for stream, view in beside.items()}
    views = {stream: make_view(view, **config["views"][view]) for stream, view in joined.items()}
    check_same_cut(views)
    name = settings["name"]
    module = corpus(name)
    if settings["label_target"] not in module.LABEL_TARGETS:
        raise ValueError(
            f"the labels of {name} are {' or '.join(module.LABEL_TARGETS)}, got --config.corpus.label_target={settings['label_target']}"
        )
    if not settings["root"]:
        form = module.root_form() if isinstance(module, JoinedCorpus) else "FOLDER"
        raise CorpusNotFound(f"{name}: expected {module.LAYOUT}; no folder is given. Set --config.corpus.root={form}; {module.ADDRESS}")
    root = Path(settings["root"])
    clips = load_clips(name, settings["root"], **{field: settings[field] for field in module.OPTIONS})

    tables = [view for view in views.values() if isinstance(view, Table)]
    columns = check_columns(tables[0], clips, module.clip_id, label_set(settings["label_set"])) if tables else None
    beam = beam_of(config)

    def prepared(view: str):
        return prepare_view(
            corpus=name,
            root=root,
            clips=clips,
            view_name=view,
            view_params=config["views"][view],
            prepared_dir=Path(config["prepared_dir"]),
            num_workers=config["num_workers"],
            degradation=degradation,
            clip_id_of=module.clip_id,
            crew=crew,
            beam=beam,
        )

    wants_baseline = config["protocol"]["baseline"] and "audio" in system["streams"]
    with Crew() as crew:
        return PreparedCorpus(
            clips=clips,
            sets={stream: prepared(view) for stream, view in names.items()},
            functionals=prepared("functionals") if wants_baseline else None,
            beside={stream: prepared(view) for stream, view in beside.items()},
            table_columns=columns,
        )


def check_columns(table: Table, clips: Sequence[Clip], clip_id_of: Callable[[str], str | None], labels: LabelSet) -> TableColumns:
    """Return the columns of a feature table that are used, and what is known of those that are allowed.

    Args:
      table, clips, clip_id_of: as `prepare_view` has them.
      labels: its classes are compared with the columns beside the corpus's own words.

    Raises:
      ValueError: a column counts rows, or copies the class, the speaker or another label of the clips, and is not allowed.
    """
    rows, _ = table.rows(clip_id_of)
    lines = {clip_id: line for line, clip_id in enumerate(rows)}
    there = [clip for clip in sorted(clips, key=lambda clip: clip.clip_id) if clip.clip_id in rows]
    if not there:
        return TableColumns(table.columns)  # `prepare_view` says that no clip is in the table
    kinds: dict[str, list[str]] = {
        "class": ["" if (index := labels.class_index(clip.label)) is None else labels.classes[index] for clip in there],
        **{"emotion": [clip.label for clip in there], "speaker": [clip.speaker for clip in there]},
        **{"sentence": [clip.sentence for clip in there], "session": [clip.session for clip in there]},
    }
    for name in sorted({name for clip in there for name in clip.attributes} - kinds.keys()):
        kinds[name] = [clip.attributes.get(name, "") for clip in there]
    values = np.concatenate([rows[clip.clip_id].values for clip in there]).astype(float)
    by_content = contents_like(values, kinds, [lines[clip.clip_id] for clip in there])
    found = {name: what for name in table.columns if (what := named_like(name))}
    found |= {table.columns[index]: what for index, what in by_content.items()}
    refuse_columns(table.path, found, drop=table.drop_columns, allow=table.allow_columns)
    return TableColumns(table.columns, found)


def shared_media(config: Mapping[str, Any], clips: Sequence[Clip]) -> tuple[SharedMedia, ...] | None:
    """Pairs of clips that hold the same recording, in the media of the streams in use; None where the config does not ask."""
    if not config["protocol"]["near_duplicates"]:
        return None
    comparison = compare_media(
        clips,
        Path(config["corpus"]["root"]),
        prepared_dir=Path(config["prepared_dir"]),
        num_workers=config["num_workers"],
        modalities=config["system"]["streams"],
        description=f"{config['corpus']['name']} fingerprints",
    )
    return comparison.pairs
