"""Label sets: which classes a system tells apart, and how the words of a corpus map to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from avemo_jax.clips import Clip

# One name for each emotion, whatever a corpus calls it. Words that are no emotion ("xxx", "oth") have none.
VOCABULARY = (
    *("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    *("contempt", "excited", "frustrated", "bored"),
)

# The corpora's other words for them. A word that stands neither here nor in VOCABULARY belongs to no class.
SYNONYMS: Mapping[str, str] = {
    other: name
    for name, others in {
        "neutral": ("neu",),
        "happy": ("happiness", "joy", "hap"),
        "sad": ("sadness",),
        "angry": ("anger", "ang"),
        "fearful": ("fear", "fea"),
        "disgust": ("disgusted", "dis"),
        "surprised": ("surprise", "pleasant_surprise", "ps", "sur"),
        "bored": ("boredom",),
        "excited": ("exc",),
        "frustrated": ("fru",),
    }.items()
    for other in others
}


def canonical(word: str) -> str:
    """Return the vocabulary's name for a corpus word ("anger" -> "angry"), or the word itself where it has none."""
    return SYNONYMS.get(word, word)


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Classes in their fixed order, and the merge that leads to them.

    Attributes:
      name: what config and results call it.
      classes: class names, of VOCABULARY; the index of a class is its label.
      merges: name -> class, for names of VOCABULARY that are not themselves a class. A name that is neither is left out.
    """

    name: str
    classes: tuple[str, ...]
    merges: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        unknown = sorted(set(self.merges.values()) - set(self.classes))
        if unknown:
            raise ValueError(f"label set {self.name}: merges lead to {unknown}, which are not among its classes {self.classes}")
        strange = sorted(set((*self.classes, *self.merges)) - set(VOCABULARY))
        if strange:
            raise ValueError(f"label set {self.name}: {strange} are not in the vocabulary {VOCABULARY}; add them there, or a synonym")

    def class_index(self, word: str) -> int | None:
        """Index of the class that a corpus word belongs to, or None where the label set leaves it out."""
        name = canonical(word)
        name = self.merges.get(name, name)
        return self.classes.index(name) if name in self.classes else None


_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_BASIC7 = tuple(name for name in _RAVDESS if name != "calm")
_BASIC6 = ("angry", "disgust", "fearful", "happy", "sad", "surprised")

# The order of a set's classes is part of every checkpoint and every predictions.csv: add sets, never change one.
LABEL_SETS: dict[str, LabelSet] = {
    label_set.name: label_set
    for label_set in (
        LabelSet("ravdess8", _RAVDESS),
        LabelSet("ravdess7_merged", _BASIC7, {"calm": "neutral"}),
        LabelSet("ravdess7_without_calm", _BASIC7),
        LabelSet("basic7", _BASIC7),  # C, and D on several corpora: TESS, SAVEE, JAFFE, CFE, FER2013
        LabelSet("basic6", _BASIC6),  # B: RML, eNTERFACE'05
        LabelSet("crema_d6", ("neutral", "happy", "sad", "angry", "fearful", "disgust")),
        LabelSet("emodb7", ("neutral", "happy", "sad", "angry", "fearful", "disgust", "bored")),
        LabelSet("ck_plus7", (*_BASIC6, "contempt")),
        LabelSet("ck_plus8", ("neutral", *_BASIC6, "contempt")),  # with first frames as neutral faces
        LabelSet("iemocap4", ("neutral", "happy", "sad", "angry"), {"excited": "happy"}),
        LabelSet("iemocap6", ("neutral", "happy", "sad", "angry", "excited", "frustrated")),
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
