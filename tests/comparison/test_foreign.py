"""Files of other systems: they are read as declared, mismatches are errors, nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compared_systems import CLASSES, NUM_CLIPS, entry, some_predictions, write_csv

from avemo_jax.comparison.declaration import parse_declaration
from avemo_jax.comparison.entries import ComparisonError, Reference, reference_of
from avemo_jax.comparison.foreign import read_foreign
from avemo_jax.comparison.pairs import by_clip
from avemo_jax.evaluation.predictions import write_predictions_csv

OURS = by_clip(some_predictions(1.5))
THEIR_ORDER = ("anger", "neutral", "sadness", "happiness")  # other words, another order
PLACES = [3, 0, 2, 1]  # of our classes


def reference() -> Reference:
    def clip_of(stem: str) -> str | None:
        return stem.removeprefix("03-") if stem.startswith("03-") else None

    return reference_of(entry("ours", 1.5), corpus="ravdess", label_set="iemocap4", clip_of=clip_of)


def logits_file(path: Path, order=PLACES) -> Path:
    """OURS as another system writes it: logits up to a constant a row, columns in another order, shuffled rows."""
    logits = np.log(np.maximum(OURS.probabilities, 1e-9)) + np.linspace(-30, 40, NUM_CLIPS)[:, None]
    rows = [[*(f"{value:.9g}" for value in logits[row, order]), OURS.clip[row]] for row in range(NUM_CLIPS)]
    np.random.default_rng(0).shuffle(rows)
    return write_csv(path / "theirs.csv", ("c0", "c1", "c2", "c3", "utterance"), rows)


def read(text: str, known: Reference | None = None):
    return read_foreign(parse_declaration(text), known or reference())[0]


def test_logits_in_another_order_are_read_correctly(tmp_path):
    path = logits_file(tmp_path)
    theirs = read(f"theirs={path};clip=utterance;kind=logits;columns=c0,c1,c2,c3;classes={','.join(THEIR_ORDER)}")
    np.testing.assert_allclose(theirs.predictions.probabilities, OURS.probabilities, atol=2e-6)
    np.testing.assert_array_equal(theirs.predictions.label, OURS.label)
    assert theirs.predictions.speaker.tolist() == OURS.speaker.tolist()
    assert theirs.has_probabilities and not theirs.has_folds and theirs.notes == ()


def test_a_wrong_order_is_noticed_and_the_likely_one_is_stated(tmp_path):
    path = logits_file(tmp_path)
    declared = f"theirs={path};clip=utterance;kind=logits;columns=c0,c1,c2,c3"
    with pytest.raises(ComparisonError, match="at chance") as raised:
        read(f"{declared};classes=neutral,happy,sad,angry".replace("neutral,happy,sad,angry", "happy,angry,neutral,sad"))
    assert "the likely order of the columns is classes=angry,neutral,sad,happy" in str(raised.value)
    trusted = read(f"{declared};classes=happy,angry,neutral,sad;order=trusted")
    assert "at chance" in trusted.notes[0]
    read(f"{declared};classes=angry,neutral,sad,happy")  # as the message suggests


def test_two_classes_taken_for_one_another_are_noticed_above_chance(tmp_path):
    declared = f"theirs={logits_file(tmp_path)};clip=utterance;kind=logits;columns=c0,c1,c2,c3;classes=anger,sad,neutral,happy"
    with pytest.raises(ComparisonError, match="accuracy is low "):
        read(declared)
    theirs = read(f"{declared};order=trusted")
    assert "accuracy is low " in theirs.notes[0] and "neutral is likely sad, sad is likely neutral" in theirs.notes[0]


def test_our_own_file_needs_no_declaration(tmp_path):
    write_predictions_csv(tmp_path / "predictions.csv", some_predictions(1.5, seeds=(0, 1)))
    again = read(f"again={tmp_path / 'predictions.csv'}")
    assert again.has_folds and again.seeds == (0, 1) and set(again.predictions.fold) == {"fold1", "fold2", "fold3"}
    np.testing.assert_array_equal(again.predictions.probabilities, some_predictions(1.5, seeds=(0, 1)).probabilities)
    assert again.notes == (f"{2 * NUM_CLIPS} labels agree",)


def test_labels_alone(tmp_path):
    words = ("neu", "hap", "sadness", "anger")
    path = write_csv(
        tmp_path / "a.csv",
        ("file", "class"),
        [(f"wav/03-{clip}.wav", words[one]) for clip, one in zip(OURS.clip, OURS.predicted, strict=True)],
    )
    theirs = read(f"theirs={path};clip=file;kind=label;predicted=class;protocol=luna5;leaks=encoder_saw_corpus")
    np.testing.assert_array_equal(theirs.predictions.predicted, OURS.predicted)
    assert not theirs.has_probabilities
    assert theirs.notes == (f"{NUM_CLIPS} clips are identified by the names of their media files",)
    assert theirs.protocol == "luna5" and theirs.caveats == ("leak: encoder_saw_corpus",)


def test_columns_of_one_class_are_added_up(tmp_path):
    """iemocap4 merges excited into happy."""
    rows = [(clip, 0.1, 0.2, 0.4, 0.2, 0.1) for clip in OURS.clip]
    path = write_csv(tmp_path / "a.csv", ("clip", "p_neutral", "p_happy", "p_excited", "p_sad", "p_angry"), rows)
    np.testing.assert_allclose(read(f"a={path}").predictions.probabilities, np.tile([0.1, 0.6, 0.2, 0.1], (NUM_CLIPS, 1)))


def test_a_class_without_a_column_is_never_predicted(tmp_path):
    path = write_csv(tmp_path / "a.csv", ("clip", "p_neutral", "p_happy", "p_sad"), [(clip, 0.5, 0.2, 0.3) for clip in OURS.clip])
    theirs = read(f"a={path}")
    assert theirs.notes == ("has no column for angry, which it never predicts",) and not theirs.predictions.probabilities[:, 3].any()


def test_rounded_probabilities_sum_to_one_again(tmp_path):
    path = write_csv(
        tmp_path / "a.csv", ("clip", *(f"p_{name}" for name in CLASSES)), [(clip, 0.33, 0.33, 0.33, 0.0) for clip in OURS.clip]
    )
    np.testing.assert_allclose(read(f"a={path}").predictions.probabilities.sum(1), 1, atol=1e-6)


def test_probabilities_declared_as_logits_are_a_note(tmp_path):
    path = write_csv(
        tmp_path / "a.csv",
        ("clip", *(f"p_{name}" for name in CLASSES)),
        [(c, *p) for c, p in zip(OURS.clip, OURS.probabilities, strict=True)],
    )
    assert "every row is a probability distribution" in read(f"a={path};kind=logits").notes[0]


def test_a_file_without_runs_provides_labels_and_speakers(tmp_path):
    write_predictions_csv(tmp_path / "a.csv", OURS)
    theirs, own = read_foreign(parse_declaration(f"a={tmp_path / 'a.csv'}"), None)
    assert own.classes == CLASSES and own.speaker["clip00"] == "s0" and own.label["clip01"] == 1
    np.testing.assert_array_equal(theirs.predictions.label, OURS.label)


def probability_rows(**changes) -> list[list]:
    rows = [[clip, *map(float, posterior)] for clip, posterior in zip(OURS.clip, OURS.probabilities, strict=True)]
    for row, values in changes.get("at", {}).items():
        rows[row] = values
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (probability_rows(at={2: ["clip02", -0.1, 0.5, 0.3, 0.3]}), "1 of 96 rows are not probabilities; line 4 has a negative number"),
        (
            probability_rows(at={0: ["clip00", 2.0, 1.0, 0.5, 0.5]}),
            "line 2 sums to 4; if they are scores before a softmax, declare kind=logits",
        ),
        (probability_rows(at={5: ["clip04", 0.25, 0.25, 0.25, 0.25]}), "1 clips are predicted twice by one seed, the first is clip04"),
        (probability_rows(at={5: ["clip99", 0.25, 0.25, 0.25, 0.25]}), "1 of 96 rows are of unknown clips, the first: clip99"),
        (probability_rows(at={5: ["clip05", "nan", 0.25, 0.25, 0.25]}), "line 7, column p_neutral: expected a finite number, found 'nan'"),
        (probability_rows(at={5: ["clip05", "", 0.25, 0.25, 0.25]}), "line 7, column p_neutral: expected a finite number, found ''"),
        (probability_rows(at={5: ["clip05", 0.5, 0.5]}), "line 7: expected 5 cells as in the header, found 3"),
        ([], "expected rows below the header"),
    ],
)
def test_malformed_rows(tmp_path, rows, message):
    path = write_csv(tmp_path / "a.csv", ("clip", *(f"p_{name}" for name in CLASSES)), rows)
    with pytest.raises(ComparisonError, match=message):
        read(f"a={path}")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("", "declare what its columns hold: kind= one of probabilities, logits, label"),
        ("kind=probabilities", "declare the columns of the probabilities"),
        ("kind=logits;columns=x0,x1", r"x0, x1 are not among the classes neutral, happy, sad, angry; declare the class of each column"),
        ("kind=logits;columns=x0,x1;classes=neutral", r"2 columns \(x0, x1\) and 1 classes"),
        ("kind=logits;columns=x0,x9;classes=neutral,happy", r"expected the columns x9 \(columns, x9\); it has clip, x0, x1, word"),
        ("kind=label", r"expected the columns predicted \(predicted\)"),
        ("kind=label;predicted=word;clip=utt", r"expected the columns utt \(clip\)"),
        ("kind=label;predicted=word;label=word2", r"expected the columns word2 \(label\)"),
        ("kind=label;predicted=word", "line 2: 'joyless' is not one of the classes"),
    ],
)
def test_declarations_that_do_not_match_the_file(tmp_path, declared, message):
    path = write_csv(tmp_path / "a.csv", ("clip", "x0", "x1", "word"), [(clip, 1.0, 2.0, "joyless") for clip in OURS.clip])
    with pytest.raises(ComparisonError, match=message):
        read(f"a={path};{declared}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.csv", "expected NAME=FILE.csv"),
        ("a=b.csv;colums=x", "with a key among clip, kind"),
        ("a=b.csv;kind", "expected key=value"),
        ("a=b.csv;kind=scores", "kind must be one of probabilities, logits, label"),
        ("a=b.csv;clip=x;clip=y", "clip is declared twice"),
        ("a=b.csv;order=checked", "order must be trusted"),
        ("a=/nowhere/b.csv", "/nowhere/b.csv: there is no such file"),
    ],
)
def test_malformed_declarations(text, message):
    with pytest.raises(ComparisonError, match=message):
        read(text)


def test_labels_that_disagree_with_the_corpus(tmp_path):
    words = [CLASSES[one] for one in OURS.label]
    words[3:5] = ["happy", "sad"]
    path = write_csv(tmp_path / "a.csv", ("clip", "predicted", "label"), [(c, w, w) for c, w in zip(OURS.clip, words, strict=True)])
    with pytest.raises(
        ComparisonError,
        match=r"the labels of 2 of 96 rows disagree with the corpus, the first: clip03 is 'happy' in the file and 'angry' in the corpus",
    ):
        read(f"a={path};kind=label")
    assert read(f"a={path};kind=label;label=").notes == ()


def test_a_file_without_runs_needs_speakers(tmp_path):
    path = write_csv(tmp_path / "a.csv", ("clip", "predicted", "label"), [(clip, "sad", "sad") for clip in OURS.clip])
    with pytest.raises(ComparisonError, match="without runs"):
        read_foreign(parse_declaration(f"a={path};kind=label"), None)


def test_byte_order_marks_and_tabs_of_spreadsheets_are_read(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("\ufeffclip\tpredicted\n" + "".join(f"{clip}\tsad\n" for clip in OURS.clip), encoding="utf-8")
    assert set(read(f"a={path};kind=label").predictions.predicted.tolist()) == {2}


def predicted_words(path: Path, words, header=("clip", "predicted")) -> Path:
    return write_csv(path / "words.csv", header, [[OURS.clip[row], words[OURS.label[row]]] for row in range(NUM_CLIPS)])


@pytest.mark.parametrize(
    ("words", "declared"),
    [
        ([name.upper() for name in CLASSES], ""),
        ([name.capitalize() for name in CLASSES], ""),
        ([str(index) for index in range(4)], f";classes={','.join(CLASSES)}"),
        ([f"{index}.0" for index in range(4)], f";classes={','.join(CLASSES)}"),
        ([str(3 - index) for index in range(4)], f";classes={','.join(reversed(CLASSES))}"),
        (["a", "B", "c d", "d:e"], f";words=A:{CLASSES[0]},b:{CLASSES[1]},c d:{CLASSES[2]},d:e:{CLASSES[3]}"),
        (["0", "1", "2", "3"], f";words=0:{CLASSES[0]},1:{CLASSES[1]},2:{CLASSES[2]},3:{CLASSES[3]}"),
    ],
)
def test_words_in_any_case_numbers_and_declared_words_are_classes(tmp_path, words, declared):
    theirs = read(f"theirs={predicted_words(tmp_path, words)};kind=label{declared}")
    np.testing.assert_array_equal(theirs.predictions.probabilities.argmax(axis=1), OURS.label)


@pytest.mark.parametrize(
    ("words", "declared", "message"),
    [
        (["0", "1", "2", "3"], "", "'.' is not one of the classes .*; say what it means: words=WORD:CLASS"),
        (["0", "1", "2", "9"], f";classes={','.join(CLASSES)}", "'9' is not one of the classes"),
        (["a", "b", "c", "d"], ";words=a:bliss", "words= names bliss, not among the classes"),
        (["a", "b", "c", "d"], ";words=a", "expected words=WORD:CLASS"),
        (["a", "b", "c", "d"], f";words=a:{CLASSES[0]},a:{CLASSES[1]}", "with different words"),
        (["a", "b", "c", "d"], f";words=A:{CLASSES[0]},a:{CLASSES[1]}", "with different words"),
        (["0", "1", "2", "3"], ";classes=bliss,woe", "classes= names bliss, woe, not among the classes"),
    ],
)
def test_words_without_a_meaning_are_refused(tmp_path, words, declared, message):
    with pytest.raises(ComparisonError, match=message):
        read(f"theirs={predicted_words(tmp_path, words)};kind=label{declared}")


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_percent_are_known_and_stated(tmp_path, kind):
    rows = [[OURS.clip[row], *(f"{100 * value:.4f}" for value in OURS.probabilities[row])] for row in range(NUM_CLIPS)]
    path = write_csv(tmp_path / "percent.csv", ("clip", *(f"p_{name}" for name in CLASSES)), rows)
    theirs = read(f"theirs={path};kind={kind}")
    np.testing.assert_allclose(theirs.predictions.probabilities, OURS.probabilities, atol=1e-5)
    assert theirs.notes[0].startswith("its rows sum to 100: percent, divided by 100")
    assert ("not logits as declared" in theirs.notes[0]) == (kind == "logits")


@pytest.mark.parametrize(("cell", "seed"), [("3.0", 3), ("7", 7)])
def test_seeds_may_be_written_as_floats(tmp_path, cell, seed):
    rows = [[OURS.clip[row], cell, CLASSES[OURS.label[row]]] for row in range(NUM_CLIPS)]
    path = write_csv(tmp_path / "seeds.csv", ("clip", "seed", "predicted"), rows)
    assert read(f"theirs={path};kind=label").seeds == (seed,)


@pytest.mark.parametrize("form", ["/data/wav/{}.wav", "{}.WAV", r"D:\data\{}.mp4", "./{}.flac", "03-{}.wav"])
def test_clips_are_found_by_paths_of_their_media(tmp_path, form):
    rows = [[form.format(OURS.clip[row]), CLASSES[OURS.label[row]]] for row in range(NUM_CLIPS)]
    theirs = read(f"theirs={write_csv(tmp_path / 'a.csv', ('clip', 'predicted'), rows)};kind=label")
    assert theirs.predictions.clip.tolist() == OURS.clip.tolist()


@pytest.mark.parametrize("cell", ["one", "1.5", "inf", ""])
def test_a_seed_that_is_no_integer_is_refused(tmp_path, cell):
    rows = [[OURS.clip[row], cell, CLASSES[OURS.label[row]]] for row in range(NUM_CLIPS)]
    path = write_csv(tmp_path / "seeds.csv", ("clip", "seed", "predicted"), rows)
    with pytest.raises(ComparisonError, match=rf"line 2: expected an integer seed, got '{cell}'"):
        read(f"theirs={path};kind=label")


@pytest.mark.parametrize("name", ["/", ".", "other/unknown"])
def test_names_of_no_clip_are_unknown(tmp_path, name):
    rows = [[OURS.clip[row] if row else name, CLASSES[OURS.label[row]]] for row in range(NUM_CLIPS)]
    with pytest.raises(ComparisonError, match=f"1 of {NUM_CLIPS} rows are of unknown clips"):
        read(f"theirs={write_csv(tmp_path / 'a.csv', ('clip', 'predicted'), rows)};kind=label")


def test_without_runs_declared_words_and_labels_count_in_any_case(tmp_path):
    words = {"Wut": 0, "wut": 0, "Sad": 1, "sad": 1}
    rows = [[f"c{number}", word, word, f"s{number % 3}"] for number, word in enumerate(list(words) * 12)]
    path = write_csv(tmp_path / "a.csv", ("clip", "predicted", "label", "speaker"), rows)
    entry, reference = read_foreign(parse_declaration(f"a={path};kind=label;words=wut:angry"), None)
    assert reference.classes == ("angry", "sad") and (entry.predictions.predicted == entry.predictions.label).all()
