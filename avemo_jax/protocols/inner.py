"""Divide a part of a fold again, for stages that are fitted on the outputs of other stages: stacked networks, fusion weights.

Groups that the protocol separates between training and validation (speakers, sessions, sentences) stay separate here too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.protocols.folds import Fold, FoldTable, in_one_spelling

_STACK_PARTS = 5  # one fifth of the validation clips selects the epoch of a stacked network, the others train it


def inner_folds(table: FoldTable, fold: Fold, clips: Sequence[Clip], labels: Sequence[int], num_folds: int) -> tuple[tuple[str, ...], ...]:
    """Return the inner test parts of a fold's training part; a network that is trained on the other inner parts predicts each of them.

    Args:
      clips, labels: of the experiment.
      num_folds: number of inner folds.

    Returns:
      `num_folds` tuples of sorted clip ids; every clip of the training part is in exactly one.

    Raises:
      ValueError: `num_folds` is below two, or the training part has fewer groups, or too few clips of a class.
    """
    if num_folds < 2:
        raise ValueError(f"late.num_inner_folds must be 2 or more, got {num_folds}")
    return _divided(table, fold.train, clips, labels, num_folds, f"late.num_inner_folds={num_folds}")


def stacking_parts(table: FoldTable, fold: Fold, clips: Sequence[Clip], labels: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide the validation part of a fold: four fifths train a stacked network, the rest selects its epoch.

    If the part has fewer than five groups, one group selects.

    Returns:
      (clip ids that train, clip ids that select), each sorted.

    Raises:
      ValueError: the validation part cannot be divided.
    """
    num_parts = min(_STACK_PARTS, _num_groups(table, fold.validation, clips) or _STACK_PARTS)
    parts = _divided(table, fold.validation, clips, labels, max(num_parts, 2), "the stage 'stacked'")
    return tuple(sorted(set(fold.validation) - set(parts[0]))), parts[0]


def _num_groups(table: FoldTable, clip_ids: Sequence[str], clips: Sequence[Clip]) -> int | None:
    """Return the number of groups of a part, or None if the protocol draws clips one by one."""
    if not _groups_by(table):
        return None
    wanted = set(clip_ids)
    return len({clip.group(_groups_by(table)) for clip in in_one_spelling(clips) if clip.clip_id in wanted})


def _groups_by(table: FoldTable) -> str:
    """Return the attribute by which the protocol separates the training and the validation part."""
    return table.validation_by or table.groups_by


def _divided(
    table: FoldTable, clip_ids: Sequence[str], clips: Sequence[Clip], labels: Sequence[int], num_parts: int, wanted_by: str
) -> tuple[tuple[str, ...], ...]:
    wanted = set(clip_ids)
    rows = [(clip, label) for clip, label in zip(in_one_spelling(clips), labels, strict=True) if clip.clip_id in wanted]
    label = np.asarray([one for _, one in rows])
    num_groups = _num_groups(table, clip_ids, clips)
    if num_groups is not None and num_groups < num_parts:
        raise ValueError(
            f"{wanted_by}: {num_parts} parts that share no {_groups_by(table)} are needed, and there are {num_groups} "
            f"{_groups_by(table)}s; use fewer parts or a protocol other than {table.protocol}"
        )
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # imported late, because it is slow

    try:
        if num_groups is None:
            splits = list(StratifiedKFold(num_parts, shuffle=True, random_state=0).split(label, label))
        else:
            groups = [clip.group(_groups_by(table)) for clip, _ in rows]
            splits = list(StratifiedGroupKFold(num_parts, shuffle=True, random_state=0).split(label, label, groups))
    except ValueError as error:
        raise ValueError(f"{wanted_by}: {len(rows)} clips of protocol {table.protocol} cannot be divided ({error})") from error
    parts = tuple(tuple(sorted(rows[index][0].clip_id for index in test)) for _, test in splits)
    if not all(parts):
        raise ValueError(f"{wanted_by}: dividing {len(rows)} clips of protocol {table.protocol} leaves a part empty; use fewer parts")
    return parts
