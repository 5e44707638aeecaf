"""Label sets: which classes a system tells apart, and how the words of a corpus map to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from avemo_jax.clips import Clip


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Classes in their fixed order, and the merge that leads to them.

    Attributes:
      name: what config and results call it.
      classes: class names; the index of a class is its label.
      merges: corpus word -> class, for words that are not themselves a class. A word that is neither is left out.
    """

    name: str
    classes: tuple[str, ...]
    merges: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        unknown = sorted(set(self.merges.values()) - set(self.classes))
        if unknown:
            raise ValueError(f"label set {self.name}: merges lead to {unknown}, which are not among its classes {self.classes}")

    def class_index(self, word: str) -> int | None:
        """Index of the class that a corpus word belongs to, or None where the label set leaves it out."""
        name = self.merges.get(word, word)
        return self.classes.index(name) if name in self.classes else None


_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_IEMOCAP_MERGES = {"neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry"}

LABEL_SETS: dict[str, LabelSet] = {
    label_set.name: label_set
    for label_set in (
        LabelSet("ravdess8", _RAVDESS),
        LabelSet("ravdess7_merged", tuple(name for name in _RAVDESS if name != "calm"), {"calm": "neutral"}),
        LabelSet("ravdess7_without_calm", tuple(name for name in _RAVDESS if name != "calm")),
        LabelSet("iemocap4", ("neutral", "happy", "sad", "angry"), _IEMOCAP_MERGES),
        LabelSet(
            "iemocap6",
            ("neutral", "happy", "sad", "angry", "excited", "frustrated"),
            {"neu": "neutral", "hap": "happy", "sad": "sad", "ang": "angry", "exc": "excited", "fru": "frustrated"},
        ),
    )
}


def label_set(name: str) -> LabelSet:
    """Return the label set of that name, or raise ValueError listing those that exist."""
    if name not in LABEL_SETS:
        raise ValueError(f"unknown label set {name!r}; known: {', '.join(sorted(LABEL_SETS))}")
    return LABEL_SETS[name]


def labelled(clips: Iterable[Clip], labels: LabelSet) -> tuple[tuple[Clip, ...], tuple[int, ...]]:
    """Keep the clips whose word the label set has; return them, sorted by clip id, with their class indices.

    Raises:
      ValueError: no clip is left, with the words that were found.
    """
    clips = sorted(clips, key=lambda clip: clip.clip_id)
    pairs = [(clip, index) for clip in clips if (index := labels.class_index(clip.label)) is not None]
    if not pairs:
        words = sorted({clip.label for clip in clips})
        raise ValueError(
            f"label set {labels.name} (classes {labels.classes}) fits none of the {len(clips)} clips; their labels are {words}"
        )
    return tuple(clip for clip, _ in pairs), tuple(index for _, index in pairs)
