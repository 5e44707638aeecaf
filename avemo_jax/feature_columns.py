"""What the content of a feature table's columns gives away: the order of rows, the class, the speaker, another label, or the folds.

A network that learns from such a column is tested on the answer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class TableColumns:
    """Columns of the feature table that an experiment uses.

    Attributes:
      used: their names, in the order of the features.
      allowed: column -> what it looks like ("the class (...)"), for those that are no features and are kept on purpose.
      kept: names in views.table.allow_columns.
      clips: ids of the clips that have a row.
      values: (N, D) float64, the row of each of these clips; None where no clip has one.
    """

    used: tuple[str, ...]
    allowed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kept: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    clips: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    values: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)


# A column by chance: at most one in so many columns of noise may look like a label.
_CHANCE = 1e-9
_FEWEST_ROWS = 10  # of fewer, content says nothing
_ALMOST_ALL = 0.95  # share of the clips beyond the commonest value that follow the label; the rest may be slips of an annotator
_PURE_SHARE = 0.3  # of the clips, and of each label's, have a value that belongs to one label only: copies for the training part alone
_MOST_FOLDS = 25  # that a column may number
_FEWEST_OWNERS = 3  # classes that have values of their own: two have them at both ends of any feature that saturates, as smiles do
_SMALLEST_REST = 0.1  # of the clips, beside those in which a column copies two labels
_FOLLOWS = 1e-3  # probability below which the rest follows the class
_FEWEST_CHANGES = 0.02  # of neighbours in the order of a column's values that differ in label: a label with noise added


def contents_like(values: np.ndarray, labels: Mapping[str, Sequence[str]], row: Sequence[int]) -> dict[int, str]:
    """Return column -> what its content gives away, for the columns that are no features.

    Args:
      values: (N, D) float, one row a clip, clips sorted by id.
      labels: kind ("class", "speaker", "sentence" ...) -> N labels, "" where a clip has none.
      row: N line numbers, the order of the clips in the table.

    A row counter has integers (or steps of one size) of which no two are equal, though so many so close together would be by chance; or a
    constant step from row to row; or it only rises, or only falls, from clip to clip, or as an integer from row to row. A feature replaced
    by its rank looks the same. Folds that were made row by row are numbers that are dealt out in turn, or one number a block of rows.
    A copy of a label is the same in all clips of one class, or of one speaker, but for slips; a feature that is clipped at both ends is
    none. Where there are three classes or more, so is a column in which at least 30 % of the clips have a value that only one class has,
    and so have 30 % of the clips of half of the classes and of three, or in which the classes lie side by side in the order of the values.
    Two classes may be told apart by an honest feature (smiles: 0 in all neutral clips, 1 in happy ones): of two, a copy for a part of the
    clips has one value a class there, and in the other clips nothing that follows the class. Of labels beside class and speaker only a
    one-to-one copy counts: a feature may well tell one sentence from another. Constant columns give nothing away. A column of noise is
    found once in 10^9.
    """
    if len(values) < _FEWEST_ROWS:
        return {}
    coded = list(_coded(labels))
    by_row = np.argsort(row)
    speakers = np.unique(labels.get("speaker", [""] * len(values)), return_inverse=True)[1]
    found = {}
    for index, column in enumerate(values.T):
        if (column == column[0]).all():
            continue
        if how := _counts(column, by_row):
            found[index] = f"a row counter ({how})"
            continue
        for kind, known, codes in coded:
            how = _copies(column[known], codes, one_to_one=kind not in ("class", "emotion", "speaker"))
            if not how and kind in ("class", "emotion") and codes.max() == 1:
                how = _copies_two_in_a_part(column[known], codes, speakers[known])
            if how:
                found[index] = f"the {kind} ({how.format(kind=kind)})"
                break
        else:
            if how := _numbers_rows(column[by_row]):
                found[index] = f"the fold or part ({how})"
    return found


def parts_like(values: np.ndarray, parts: Mapping[str, Sequence[str]], *, drawn_one_by_one: bool) -> dict[int, str]:
    """Return column -> which parts of a run its content gives away, for the columns that do.

    Args:
      values: (N, D) float, one row a clip.
      parts: kind ("fold", "part of fold 1") -> N names of parts, "" for a clip that is in none.
      drawn_one_by_one: no speaker, session or other group decides the part of a clip. An honest feature may tell groups apart; then only a
        column that is the same in all clips of each part is found. Else also one with noise added, see `contents_like`.
    """
    found = {}
    coded = list(_coded(parts))
    for index, column in enumerate(values.T):
        for kind, known, codes in coded:
            own = column[known]
            how = _copies(own, codes, one_to_one=False) if drawn_one_by_one else _same_in_each(own, codes)
            if how:
                found[index] = f"the {kind} ({how.format(kind='part')})"
                break
    return found


def _coded(labels: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each kind of labels that enough clips have, the indices of these clips, and the code 0..K-1 of each."""
    for kind, words in labels.items():
        known = np.flatnonzero(np.asarray(words) != "")
        if len(known) >= _FEWEST_ROWS:
            yield kind, known, np.unique(np.asarray(words)[known], return_inverse=True)[1]


def _counts(values: np.ndarray, by_row: np.ndarray) -> str | None:
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return "rises or falls from clip to clip, in the order of their names"
    listed = values[by_row]
    in_table = np.diff(listed)
    if np.allclose(in_table, in_table[0], rtol=1e-3, atol=0):
        return "the same step from row to row"
    if (listed == listed.round()).all() and ((in_table > 0).all() or (in_table < 0).all()):
        return "integers that rise or fall from row to row"
    gaps = np.diff(np.sort(values))
    if gaps.min() <= 0:
        return None
    places = gaps / gaps.min()
    if np.abs(places - places.round()).max() > 1e-3:
        return None
    num_places = float(places.sum()) + 1
    # log of the probability that so many numbers drawn from so many places are all different
    drawn = np.log1p(-np.minimum(np.arange(len(values)) / num_places, 1 - 1e-12)).sum()
    return "every number once, with few gaps" if drawn < math.log(_CHANCE) else None


def _numbers_rows(listed: np.ndarray) -> str | None:
    """In words how a column, in the order of the rows, numbers them as folds do; None where it does not."""
    if period := _period(listed):
        return f"the same {period} numbers again and again, from row to row"
    return "blocks of rows of one size, each with a number of its own" if _in_blocks(listed) else None


def _period(listed: np.ndarray) -> int | None:
    """Return after how many rows of the table a column repeats itself, as folds that are dealt out do; None where it does not."""
    for period in range(2, min(_MOST_FOLDS, len(listed) // 2) + 1):
        is_by_chance = (len(listed) - period) * math.log(period) < -math.log(_CHANCE)
        if not is_by_chance and len(np.unique(listed[:period])) == period and (listed[period:] == listed[:-period]).all():
            return period
    return None


def _in_blocks(listed: np.ndarray) -> bool:
    """Whether a column has one integer for each of several blocks of rows of equal size, as folds that are cut off do."""
    starts = np.flatnonzero(np.diff(listed)) + 1
    sizes = np.diff([0, *starts, len(listed)])
    if not 3 <= len(sizes) <= _MOST_FOLDS or sizes.max() - sizes.min() > 1 or sizes.min() < 2:
        return False
    ways = math.lgamma(len(listed) + 1) - sum(math.lgamma(size + 1) for size in sizes)
    numbers = listed[[0, *starts]]
    return ways >= -math.log(_CHANCE) and bool((numbers == numbers.round()).all()) and len(np.unique(numbers)) == len(numbers)


def _same_in_each(values: np.ndarray, codes: np.ndarray) -> str | None:
    """In words with "{kind}" that a column is the same in all clips of one label; None where it is not."""
    _, column, counts = np.unique(values, return_inverse=True, return_counts=True)
    is_function = int(codes.max()) > 0 and len(counts) > 1 and _is_function(column, counts, codes)
    return "the same in all clips of one {kind}" if is_function else None


def _copies(values: np.ndarray, codes: np.ndarray, *, one_to_one: bool) -> str | None:
    """In words with "{kind}" how a column follows the labels with these codes 0..K-1; None where it does not."""
    num_labels, num_rows = int(codes.max()) + 1, len(values)
    _, column, counts = np.unique(values, return_inverse=True, return_counts=True)
    if num_labels < 2 or len(counts) < 2:
        return None
    is_function = _is_function(column, counts, codes)
    if one_to_one:
        return "a copy of it, one to one" if is_function and _follows(codes, column) >= _ALMOST_ALL else None
    if is_function and not _is_clipped(column, counts, codes):
        return "the same in all clips of one {kind}"
    if num_labels < 3 or num_rows < 2 * num_labels or num_rows - num_labels < 2 * _FEWEST_ROWS:
        return None
    pairs = np.unique(column * num_labels + codes)
    value, owner = pairs // num_labels, pairs % num_labels
    belongs = (np.bincount(value)[value] == 1) & (counts[value] >= 2)
    value, owner = value[belongs], owner[belongs]
    shares = np.bincount(codes) / num_rows
    by_chance = (shares ** counts[value][:, None]).sum(axis=1)  # each value's probability to belong to one label only
    is_telling = len(counts) * by_chance < _CHANCE
    # In a small corpus the values of a code of labels tell together what none tells alone; values of one clip, as noise has, say nothing.
    if (num_repeated := int((counts >= 2).sum())) <= 2 * num_labels:
        is_telling |= 2.0**num_repeated * by_chance.prod() < _CHANCE
    pure_of = np.bincount(owner[is_telling], weights=counts[value[is_telling]], minlength=num_labels)
    num_pure, num_owners = int(pure_of.sum()), (pure_of >= _PURE_SHARE * np.bincount(codes)).sum()
    if num_pure >= _PURE_SHARE * num_rows and num_owners >= max(_FEWEST_OWNERS, num_labels / 2):
        return f"{num_pure} of {num_rows} clips have a value that only one {{kind}} has"
    shuffled = np.random.default_rng(0).permutation(num_rows)  # equal values in no order
    ordered = codes[shuffled][np.argsort(values[shuffled], kind="stable")]
    num_changes = int((np.diff(ordered) != 0).sum())
    if num_changes <= num_labels - 1 + _FEWEST_CHANGES * (num_rows - num_labels):
        return "the values of each {kind} lie side by side"
    return None


def _is_clipped(column: np.ndarray, counts: np.ndarray, codes: np.ndarray) -> bool:
    """Whether each label mostly has the column's smallest or largest value, with several values between: a clipped feature."""
    commonest = {int(np.bincount(column[codes == label]).argmax()) for label in np.unique(codes)}
    return commonest <= {0, len(counts) - 1} and len(counts) >= 4


def _copies_two_in_a_part(values: np.ndarray, codes: np.ndarray, speakers: np.ndarray) -> str | None:
    """In words with "{kind}" how a column copies two labels, codes 0 and 1, in a part of the clips; None where it does not."""
    from scipy.stats import binomtest, mannwhitneyu  # late: workers with little memory import this module and never test a column

    _, column, counts = np.unique(values, return_inverse=True, return_counts=True)
    of_label = np.stack([np.bincount(column[codes == label], minlength=len(counts)) for label in (0, 1)])
    num_own = np.where(of_label[::-1] == 0, of_label, 0)  # clips of a label by value, where the other label does not have the value
    own, rest = num_own.argmax(axis=1), ~np.isin(column, num_own.argmax(axis=1))
    num_rows, num_rest = len(codes), int(rest.sum())
    shares = np.bincount(codes) / num_rows
    by_chance = np.prod(len(counts) * (shares ** num_own.max(axis=1)[:, None]).sum(axis=1))
    if by_chance >= _CHANCE or num_rows - num_rest < _PURE_SHARE * num_rows or num_rest < max(_FEWEST_ROWS, _SMALLEST_REST * num_rows):
        return None
    one, other = (values[rest & (codes == label)] for label in (0, 1))
    if min(len(one), len(other)) < 3:
        return None
    if min(mannwhitneyu(one, other).pvalue, binomtest(len(one), num_rest, shares[0]).pvalue) < _FOLLOWS:
        return None  # an honest feature follows the class in all clips
    if set(own.tolist()) == {0, len(counts) - 1}:  # as a clipped feature has them; but parts are made of whole speakers
        by_speaker = [rest[speakers == speaker].mean() for speaker in np.unique(speakers)]
        if not 1 < len(by_speaker) < num_rows / 3 or set(by_speaker) != {0.0, 1.0}:
            return None
    return f"{num_rows - num_rest} of {num_rows} clips have the one value of their {{kind}}"


def _is_function(column: np.ndarray, counts: np.ndarray, codes: np.ndarray) -> bool:
    """Whether the label decides the column's value, but for slips, as it would not by chance."""
    num_rows, num_labels = len(column), int(codes.max()) + 1
    most = np.sort(counts)[-num_labels:].sum()  # clips that a value a label could explain at best
    if most - counts.max() < _ALMOST_ALL * (num_rows - counts.max()):
        return False
    # Of all ways to deal the column's values to the clips, no more than (values)^(labels) make it a function of the label.
    ways = math.lgamma(num_rows + 1) - sum(map(math.lgamma, counts + 1.0))
    return num_labels * math.log(len(counts)) - ways < math.log(_CHANCE) and _follows(column, codes) >= _ALMOST_ALL


def _follows(one: np.ndarray, other: np.ndarray) -> float:
    """Goodman and Kruskal's lambda: by which share knowing `other` lowers the errors of guessing `one`; both codes from 0."""
    size = int(one.max()) + 1
    pairs, counts = np.unique(other * size + one, return_counts=True)
    best = np.zeros(int(other.max()) + 1, int)
    np.maximum.at(best, pairs // size, counts)
    by_chance = int(np.bincount(one).max())
    return float(best.sum() - by_chance) / (len(one) - by_chance)
