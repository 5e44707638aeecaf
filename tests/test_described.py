"""Descriptions of a dataclass's fields are read from its docstring."""

from __future__ import annotations

import dataclasses

from avemo_jax.described import DescribedField, described_fields


@dataclasses.dataclass
class Base:
    """A base class.

    Attributes:
      rate_hz: of the sound.
      window_ms, hop_ms: length and distance
        of windows: in ms.
    """

    rate_hz: int
    window_ms: float = 25.0
    hop_ms: float = 10.0


@dataclasses.dataclass
class Derived(Base):
    """A class with fields of its own.

    Attributes:
      rate_hz: of the sound, above 8 kHz.
      names: several.

    Source: none: this line describes nothing.
    """

    names: list[str] = dataclasses.field(default_factory=list)
    bare: str = ""


def test_fields_come_with_defaults_and_the_nearest_description():
    assert described_fields(Derived) == [
        DescribedField("rate_hz", dataclasses.MISSING, "of the sound, above 8 kHz."),
        DescribedField("window_ms", 25.0, "length and distance of windows: in ms."),
        DescribedField("hop_ms", 10.0, "length and distance of windows: in ms."),
        DescribedField("names", [], "several."),
        DescribedField("bare", "", ""),
    ]


def test_a_class_without_a_docstring_describes_nothing():
    bare = dataclasses.make_dataclass("Bare", [("x", int, 0)])
    assert described_fields(bare) == [DescribedField("x", 0, "")]
