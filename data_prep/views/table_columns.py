"""Columns of feature tables that are no features by their names, and the refusal of such columns.

A network that learns from such a column is tested on the answer. Their content is judged by `avemo_jax.feature_columns`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

from avemo_jax.clip_names import CLIP_COLUMNS, FILE_COLUMNS, plain_name
from avemo_jax.foreign_table import ForeignTable, seconds

# Words that a suspicious name consists of -> what such a column is. Of two kinds the first here counts ("speaker_id" is no row counter).
_WORDS: dict[str, tuple[str, ...]] = {
    "the class": (
        *("label", "labels", "emotion", "emotions", "emo", "class", "classes", "category", "target", "targets", "y"),
        *("truth", "groundtruth", "gt", "annotation", "klasse", "gefuehl", "etikett", "emocion", "emozione", "etiqueta"),
    ),
    "the speaker": (
        *("speaker", "speakers", "spk", "actor", "actress", "subject", "subj", "participant", "person", "talker", "identity"),
        *("gender", "sex", "geschlecht", "sprecher", "sprecherin", "schauspieler", "proband", "acteur", "locuteur", "hablante"),
    ),
    "the fold or part": ("fold", "folds", "split", "partition", "part", "subset", "session", "train", "test", "validation"),
    "a row counter": (
        *("unnamed", "index", "idx", "id", "ids", "row", "rows", "rownum", "rowid", "level", "frame", "timestamp", "frametime"),
        *("uid", "uuid", "guid", "serial", "sr", "zeile", "lfd", "nr", "no"),
    ),
    "a time": ("start", "end", "begin", "onset", "offset", "time"),
}
# Words that say nothing beside one of those: "true_label", "speaker name", "emotion code".
_BESIDE = {
    "id",
    "ids",
    "idx",
    "index",
    "no",
    "nr",
    "num",
    "number",
    "name",
    "code",
    "int",
    "enc",
    "encoded",
    "true",
    "is",
    "of",
    "the",
    "time",
}

# Columns that openSMILE and audformat write beside the features: when, not what.
_TIMES = ("start", "end", "frametime")
_NAMES = tuple(plain_name(name) for name in (*CLIP_COLUMNS, *FILE_COLUMNS))


def find_names_column(columns: Sequence[str]) -> str | None:
    """Return the column that by its name has the clips, `clip` before `file`, the first of equals; None where there is none."""
    by_name = {plain_name(name): name for name in reversed(columns)}
    return next((by_name[name] for name in _NAMES if name in by_name), None)


def find_other_columns(table: ForeignTable, known: Collection[str | None]) -> tuple[str, ...]:
    """Return the columns beside the known ones that have times, or names of clips or files, by their names and their content."""
    return tuple(name for name in table.columns if name not in known and _is_other(plain_name(name), table, name))


def _is_other(plain: str, table: ForeignTable, column: str) -> bool:
    if plain in _TIMES:
        return not any(math.isnan(time) for time in map(seconds, table.column(column)) if time is not None)
    return plain in _NAMES and all(math.isnan(table.number(cell)) for cell in table.column(column))


def named_like(name: str) -> str | None:
    """Return what a column of that name is ("a row counter", "a time", "the class", "the speaker", "the fold or part"); None for a feature.

    Case, punctuation and numbers at the end of a word do not count: "Unnamed: 0", "Speaker_ID" and "label1" are found.
    """
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    words = [word.rstrip("0123456789") for word in re.findall(r"[^\W_]+", spaced.lower())]
    words = [part for word in words if word for part in _split(word)]
    if not words:
        return "a row counter"  # no name, or a number: pandas and R write the index so
    for kind, known in _WORDS.items():
        if any(word in known for word in words) and all(word in known or word in _BESIDE for word in words):
            return kind
    return None


def _split(word: str) -> tuple[str, ...]:
    """Return the two known words of which a word is made ("actorid"), or the word alone."""
    known = _BESIDE.union(*_WORDS.values())
    pairs = ((word[:at], word[at:]) for at in range(3, len(word) - 1))
    return (word,) if word in known else next((pair for pair in pairs if known.issuperset(pair)), (word,))


def refuse_columns(path: str, found: Mapping[str, str], *, flag: str, drop: Sequence[str], allow: Collection[str]) -> None:
    """Refuse a table with columns that are no features and are not allowed.

    Args:
      path: of the table.
      found: column -> what it is.
      flag: beginning of the flags of the view, "--config.views.table".
      drop, allow: what its drop_columns and allow_columns name.

    Raises:
      ValueError: names the file, each column, what it looks like, and the two flags that help.
    """
    refused = [name for name in found if name not in allow]
    if refused:
        looks = "; ".join(f"{name!r} looks like {found[name]}" for name in refused)
        raise ValueError(
            f"{path}: expected features, found columns that may give away what is to be predicted: {looks}. Leave them out with "
            f'{flag}.drop_columns="{(*drop, *refused)}", or keep them on purpose with '
            f'{flag}.allow_columns="{(*allow, *refused)}"; the leak audit then reports them in every table.'
        )
