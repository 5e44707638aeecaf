"""One colour and one dash a class, the same in all pictures of timelines."""

from __future__ import annotations

from typing import NamedTuple

# Readable on white and on black paper (contrast of 3 at least on both), and told apart by dashes where colours are not.
_COLOURS = ("#2f7fd1", "#d1592a", "#5f8f2e", "#a05fc4", "#c2407a", "#0f8f8a", "#9a7b1c", "#96694a")
_DASHES = ((), (7, 3), (2, 3), (9, 3, 2, 3))


class Style(NamedTuple):
    """Look of a class.

    Attributes:
      colour: #rrggbb.
      dash: lengths of dashes and gaps in px; () for a solid line.
    """

    colour: str
    dash: tuple[int, ...]


def style_of(index: int) -> Style:
    """Return the look of class number `index`; looks repeat after 32 classes."""
    return Style(_COLOURS[index % len(_COLOURS)], _DASHES[(index // 2) % len(_DASHES)])


NOTHING = Style("#7a7f87", ())  # of spans without an emotion
SPEAKING = Style("#1f8a57", ())  # of spans in which a person speaks
