"""The classes that words and numbers in the predictions of another system mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from avemo_jax.emotion_words import emotion_of
from avemo_jax.identity import identity
from avemo_jax.labels import canonical
from avemo_jax.text import shorten_list

_MOST_DIGITS = 6  # of the number of a class


class ClassWords:
    """Finds the index of the class of a word or number.

    Args:
      class_of: index of an English word in lower case, or None.
      words: identity of a word -> class, as declared.
      numbered: number -> class, see `numbered_classes`.
    """

    def __init__(self, class_of: Callable[[str], int | None], words: Mapping[str, str], numbered: Mapping[int, str]):
        self._class_of, self._words, self._numbered = class_of, words, numbered
        self._found: dict[str, int | None] = {}
        self._translated: dict[str, str] = {}

    def find(self, word: str) -> int | None:
        """Return the index of the class, None for a word that means none."""
        if word not in self._found:
            self._found[word] = self._find(word)
        return self._found[word]

    def _find(self, word: str) -> int | None:
        key = identity(word)
        number = _number(word, self._words)
        declared = self._words.get(key) if number is None else self._numbered.get(number)
        for name in (declared or word, (declared or word).casefold()):
            if (index := self._class_of(name)) is not None:
                return index
        translated = emotion_of(declared or word)
        index = self._class_of(translated) if translated is not None else None
        if translated is not None and index is not None and canonical(key) != translated:
            self._translated[declared or word] = translated
        return index

    @property
    def notes(self) -> list[str]:
        """Return which words of other languages were read as which classes."""
        read = [f"{word!r} as {name}" for word, name in self._translated.items()]
        return [f"read {shorten_list(read, 12)}"] if read else []


def numbered_classes(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], words: Mapping[str, str], predicted: str
) -> tuple[dict[int, str], int]:
    """Return number -> class for the numbers in the columns of classes, and whether they count from 0 or from 1.

    A column with a 0 counts from 0, and one without 0 but with the number of classes counts from 1. One with neither may do either: it
    counts as the other column does, unless its numbers fit the true labels better when they are shifted by one.

    Args:
      columns: name -> cells of the predicted and true classes.
      classes: in the order of their numbers.
      words: declared words, by identity; declared numbers are left out.
      predicted: name of the column of predicted classes.

    Raises:
      ValueError: the numbers do not show where they start, or the two columns start differently.
    """
    numbers = {name: [_number(cell, words) for cell in cells] for name, cells in columns.items()}
    found = {name: sorted({number for number in own if number is not None}) for name, own in numbers.items()}
    found = {name: own for name, own in found.items() if own}
    starts = {name: 0 if own[0] == 0 else 1 if len(classes) in own else None for name, own in found.items()}
    known = {name: start for name, start in starts.items() if start is not None}
    if len(set(known.values())) > 1:
        both = " and ".join(f"{name} from {start}" for name, start in known.items())
        raise ValueError(
            f"the numbers of classes start differently: {both}; leave the true labels out with `label=`, or write both columns alike"
        )
    unknown = [name for name in found if name not in known]
    start = next(iter(known.values()), None)
    if unknown and (start is None or (unknown == [predicted] and _fits_shifted(numbers, predicted, start))):
        own, last = found[unknown[0]], len(classes)
        why = "" if start is None else ", and they fit the true labels better when shifted by one"
        raise ValueError(
            f"the numbers in column {unknown[0]} ({own[0]} to {own[-1]}) may count the {last} classes from 0 or from 1: neither 0 nor "
            f"{last} is among them{why}; declare what each means: words=1:{classes[0]},... where they count from 1, "
            f"words=0:{classes[0]},1:{classes[min(1, last - 1)]},... where they count from 0"
        )
    return {number: name for number, name in enumerate(classes, start=start or 0)} if found else {}, start or 0


def _number(cell: str, words: Mapping[str, str]) -> int | None:
    """The number in a cell, None where there is none or its meaning is declared."""
    key = identity(cell)
    return int(key) if key.isdecimal() and len(key) <= _MOST_DIGITS and key not in words else None


def _fits_shifted(numbers: Mapping[str, Sequence[int | None]], predicted: str, start: int) -> bool:
    """Whether predicted numbers equal the true ones more often if they start at 1 where the true ones start at 0, or the reverse."""
    (true,) = (own for name, own in numbers.items() if name != predicted)
    pairs = [(one, other) for one, other in zip(numbers[predicted], true, strict=True) if one is not None and other is not None]
    shift = 1 if start == 0 else -1
    return sum(one == other + shift for one, other in pairs) > sum(one == other for one, other in pairs)
