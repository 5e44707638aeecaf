"""The columns of feature tables against the clips of a corpus: columns that give the answer away are refused before training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.feature_columns import TableColumns, contents_like
from avemo_jax.labels import LabelSet
from data_prep.views.segments import ViewSegment
from data_prep.views.table import Table
from data_prep.views.table_columns import named_like, refuse_columns


def check_columns(table: Table, clips: Sequence[Clip], clip_id_of: Callable[[str], str | None], labels: LabelSet) -> TableColumns:
    """Return the columns of a feature table that are used, and what is known of those that are allowed.

    Args:
      table, clips, clip_id_of: as `prepare_view` has them.
      labels: its classes are compared with the columns beside the corpus's own words.

    Raises:
      ValueError: a column counts rows, or copies the class, the speaker or another label of the clips, and is not allowed.
    """
    rows, _ = table.clips(clip_id_of, {clip.clip_id for clip in clips})
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
    values = np.stack([_means(rows[clip.clip_id]) for clip in there])
    by_content = contents_like(values, kinds, [lines[clip.clip_id] for clip in there])
    found = {name: what for name in table.columns if (what := named_like(name))}
    found |= {table.columns[index]: what for index, what in by_content.items()}
    refuse_columns(table.path, found, flag=table.flag, drop=table.drop_columns, allow=table.allow_columns)
    return TableColumns(table.columns, found, table.allow_columns, tuple(clip.clip_id for clip in there), values)


def _means(segments: Sequence[ViewSegment]) -> np.ndarray:
    """Return the means of a clip's features over its real steps, (D,) float64; zeros where it has none."""
    values, mask = (np.concatenate([getattr(one, name) for one in segments]) for name in ("values", "mask"))
    return values[mask].mean(axis=0, dtype=float) if mask.any() else np.zeros(values.shape[1])
