"""Label sets: fixed orders of classes, one vocabulary, and the words of every corpus."""

from __future__ import annotations

import pytest

from avemo_jax.clips import Clip
from avemo_jax.labels import LABEL_SETS, SYNONYMS, VOCABULARY, LabelSet, canonical, label_set, labelled

SEVEN = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
# Checkpoints and CSVs are written in these orders.
CLASSES = {
    "ravdess8": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    "ravdess7_merged": SEVEN,
    "ravdess7_without_calm": SEVEN,
    "basic7": SEVEN,
    "basic6": ("angry", "disgust", "fearful", "happy", "sad", "surprised"),
    "crema_d6": ("neutral", "happy", "sad", "angry", "fearful", "disgust"),
    "emodb7": ("neutral", "happy", "sad", "angry", "fearful", "disgust", "bored"),
    "ck_plus7": ("angry", "disgust", "fearful", "happy", "sad", "surprised", "contempt"),
    "ck_plus8": ("neutral", "angry", "disgust", "fearful", "happy", "sad", "surprised", "contempt"),
    "iemocap4": ("neutral", "happy", "sad", "angry"),
    "iemocap6": ("neutral", "happy", "sad", "angry", "excited", "frustrated"),
    "iemocap7": ("neutral", "happy", "sad", "angry", "excited", "frustrated", "surprised"),
    "none": ("any",),
}


def test_classes_and_their_order_never_change():
    assert {name: one.classes for name, one in LABEL_SETS.items()} == CLASSES


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("anger", "ang", "angry"), "angry"),
        (("fear", "fea", "fearful"), "fearful"),
        (("ps", "pleasant_surprise", "surprise", "sur"), "surprised"),
        (("happiness", "joy", "hap"), "happy"),
        (("sadness", "sad"), "sad"),
        (("disgusted", "dis"), "disgust"),
        (("boredom",), "bored"),
    ],
)
def test_synonyms_of_the_corpora_have_one_name(words, name):
    assert {canonical(word) for word in words} == {name}


def test_synonyms_map_to_the_vocabulary_and_are_not_in_it():
    assert not set(SYNONYMS) & set(VOCABULARY)
    assert set(SYNONYMS.values()) <= set(VOCABULARY)


def test_merged_and_excluded_words():
    assert [label_set("iemocap4").class_index(word) for word in ("neu", "hap", "exc", "sad", "ang", "fru", "xxx")] == [
        0,
        1,
        1,
        2,
        3,
        None,
        None,
    ]
    assert [label_set("iemocap6").class_index(word) for word in ("hap", "exc", "fru", "sur")] == [1, 4, 5, None]
    assert label_set("ravdess7_merged").class_index("calm") == 0
    assert label_set("ravdess7_without_calm").class_index("calm") is None
    assert label_set("basic6").class_index("neutral") is None and label_set("ck_plus7").class_index("contempt") == 6
    assert label_set("basic7").class_index("contempt") is None


def test_labelled_sorts_by_id_and_refuses_clips_without_any_class():
    clips = [Clip("b", "made", "anger", "s"), Clip("a", "made", "bored", "s"), Clip("c", "made", "happy", "s")]
    found, classes = labelled(clips, label_set("basic6"))
    assert ([clip.clip_id for clip in found], classes) == (["b", "c"], (0, 3))
    with pytest.raises(ValueError, match=r"no clip of 1 has a class of label set crema_d6 .*; labels of the clips: \['bored'\]"):
        labelled(clips[1:2], label_set("crema_d6"))


def test_a_merge_to_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match=r"merges map to \['angry'\]"):
        LabelSet("mine", ("happy", "sad"), {"contempt": "angry"})
    with pytest.raises(ValueError, match=r"\['anger'\] are not in the vocabulary"):
        LabelSet("mine", ("happy", "anger"))
    with pytest.raises(ValueError, match=r"unknown label set 'emojis' \(--config\.corpus\.label_set=\); known: basic6"):
        label_set("emojis")


class TestDeclaredLabels:
    def test_classes_and_merges(self):
        labels = label_set("Happy=joyful|excited, anger ,tired=0|sleepy")
        assert labels.classes == ("happy", "angry", "tired") and labels.name == "Happy=joyful|excited, anger ,tired=0|sleepy"
        words = ("joy", "joyful", "excited", "angry", "anger", "0", "sleepy", "sad")
        assert [labels.class_index(word) for word in words] == [0, 0, 0, 1, 1, 2, 2, None]

    @pytest.mark.parametrize("text", ["happy,happy", "happy,joy", "happy=sad,sad", "happy,,sad", "happy=a,sad=a"])
    def test_words_that_are_named_twice_or_not(self, text):
        with pytest.raises(ValueError, match=r"twice|expected classes separated by commas"):
            label_set(text)
