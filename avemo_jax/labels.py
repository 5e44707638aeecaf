"""Label sets: the classes of a system, and the mapping from the emotion words of a corpus to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from avemo_jax.clips import Clip
from avemo_jax.text import nearest

# One name for each emotion, for all corpora. Words that are no emotion ("xxx", "oth") are not in it.
VOCABULARY = (
    *("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    *("contempt", "excited", "frustrated", "bored"),
)

# Words of the corpora -> name in VOCABULARY. A word that is in neither belongs to no class.
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
    """Return the name in VOCABULARY for a corpus word ("anger" -> "angry"), or the word itself if there is none."""
    return SYNONYMS.get(word, word)


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Class names in a fixed order, and the emotions that are merged into them.

    Attributes:
      name: of the label set in configs and results.
      classes: class names, in VOCABULARY; the index of a class is its label.
      merges: emotion -> class, for names in VOCABULARY that are no class. Clips with an emotion in neither are excluded.
      is_declared: whether it was declared on the command line, where other words than those of VOCABULARY are classes too.
      takes_all: whether every clip is of its single class, whatever its emotion: for systems of dimensions without classes.
    """

    name: str
    classes: tuple[str, ...]
    merges: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_declared: bool = False
    takes_all: bool = False

    def __post_init__(self):
        unknown = sorted(set(self.merges.values()) - set(self.classes))
        if unknown:
            raise ValueError(f"label set {self.name}: merges map to {unknown}, which are not in its classes {self.classes}")
        if self.is_declared or self.takes_all:
            return
        unnamed = sorted(set((*self.classes, *self.merges)) - set(VOCABULARY))
        if unnamed:
            raise ValueError(f"label set {self.name}: {unnamed} are not in the vocabulary {VOCABULARY}; add them there, or add synonyms")

    def class_index(self, word: str) -> int | None:
        """Return the index of the class of a corpus word, or None if the label set excludes the word."""
        if self.takes_all:
            return 0
        name = canonical(word)
        name = self.merges.get(name, name)
        return self.classes.index(name) if name in self.classes else None


_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_BASIC7 = tuple(name for name in _RAVDESS if name != "calm")
_BASIC6 = ("angry", "disgust", "fearful", "happy", "sad", "surprised")

# Checkpoints and predictions.csv depend on the order of the classes: add label sets, never change one.
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
        # A, section 5.1.2. Its results also name disgust, of which the corpus has too few utterances for ten folds.
        LabelSet("iemocap7", ("neutral", "happy", "sad", "angry", "excited", "frustrated", "surprised")),
        LabelSet("none", ("any",), takes_all=True),  # no classes: `corpus.dimensions` alone are predicted
    )
}


def label_set(name: str) -> LabelSet:
    """Return the label set of that name, or the one that a text declares: "happy=joy|excited,sad,tired" has three classes.

    Classes and words of a declared set have the name of their emotion in VOCABULARY where there is one: "anger" is the class "angry".

    Raises:
      ValueError: the name is unknown, with the known ones; or a text that declares no two classes, or one word twice.
    """
    if name in LABEL_SETS:
        return LABEL_SETS[name]
    if "," in name:
        return _declared(name)
    raise ValueError(
        f"unknown label set {name!r}{nearest(name, LABEL_SETS)} (--config.corpus.label_set=); known: {', '.join(sorted(LABEL_SETS))}; or "
        'declare one: --config.corpus.label_set="happy=joy|excited,sad,tired"'
    )


def _declared(text: str) -> LabelSet:
    classes: list[str] = []
    merges: dict[str, str] = {}
    for part in text.split(","):
        name, _, others = (piece.strip().lower() for piece in part.partition("="))
        if not name:
            raise ValueError(f"label set {text!r}: expected classes separated by commas, such as happy=joy|excited,sad,tired")
        words = [canonical(word.strip()) for word in others.split("|") if word.strip()]
        if taken := [word for word in (canonical(name), *words) if word in (*classes, *merges)]:
            raise ValueError(f"label set {text!r} names {taken[0]} twice")
        classes.append(canonical(name))
        merges |= {word: classes[-1] for word in words if word != classes[-1]}
    return LabelSet(text, tuple(classes), merges, is_declared=True)


def labelled(clips: Iterable[Clip], labels: LabelSet) -> tuple[tuple[Clip, ...], tuple[int, ...]]:
    """Return the clips of the label set, sorted by clip id, and their class indices; all other clips are excluded.

    Raises:
      ValueError: no clip is left; the message lists the words of the clips.
    """
    clips = sorted(clips, key=lambda clip: clip.clip_id)
    pairs = [(clip, index) for clip in clips if (index := labels.class_index(clip.label)) is not None]
    if not pairs:
        words = sorted({clip.label for clip in clips})
        raise ValueError(
            f"no clip of {len(clips)} has a class of label set {labels.name} ({', '.join(labels.classes)}); labels of the clips: {words}"
        )
    return tuple(clip for clip, _ in pairs), tuple(index for _, index in pairs)
