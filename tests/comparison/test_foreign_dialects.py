"""Predictions as spreadsheets, label encoders and other people's scripts write them: the same numbers whatever the dialect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from compared_systems import CLASSES, NUM_CLIPS, entry, some_predictions, write_csv

from avemo_jax.comparison.declaration import parse_declaration
from avemo_jax.comparison.entries import ComparisonError, Reference, reference_of
from avemo_jax.comparison.foreign import read_foreign
from avemo_jax.comparison.pairs import by_clip

OURS = by_clip(some_predictions(1.5))
HEADER = ("clip", *(f"p_{name}" for name in CLASSES))
ROWS = [[clip, *(f"{value:.6f}" for value in posterior)] for clip, posterior in zip(OURS.clip, OURS.probabilities, strict=True)]
FRAME = pd.DataFrame([[row[0], *map(float, row[1:])] for row in ROWS], columns=HEADER)
LF, CRLF = "\n", "\r\n"


def reference() -> Reference:
    return reference_of(entry("ours", 1.5), corpus="ravdess", label_set="iemocap4", clip_of=lambda stem: None)


def read(text: str):
    return read_foreign(parse_declaration(text), reference())[0]


def delimited(separator=",", end=LF, decimal=".", header=HEADER, rows=ROWS, before="", after="") -> str:
    cells = [header, *([cell.replace(".", decimal) for cell in row] for row in rows)]
    return before + "".join(separator.join(row) + after + end for row in cells)


def percent(sign: str) -> list[list[str]]:
    return [[row[0], *(f"{100 * float(cell):.4f}{sign}" for cell in row[1:])] for row in ROWS]


def in_quotes(rows=ROWS) -> list[list[str]]:
    return [[f'"{cell}"' for cell in row] for row in rows]


DIALECTS = {
    "semicolons": delimited(";"),
    "tabs": delimited("\t"),
    "bars": delimited("|"),
    "blanks after commas": delimited(", "),
    "decimal commas": delimited(";", CRLF, ",").encode("utf-8-sig"),
    "decimal commas in quotes": delimited(rows=in_quotes(), decimal=","),
    "decimal commas between tabs": delimited("\t", decimal=","),
    "sep line": delimited(",", before="sep=,\r\n"),
    "sep line of semicolons": delimited(";", CRLF, ",", before='"sep=;"\r\n'),
    "lines of old Macs": delimited(end="\r"),
    "UTF-16 with a mark": delimited("\t", CRLF).encode("utf-16"),
    "UTF-16 without a mark": delimited(";").encode("utf-16-le"),
    "UTF-32": delimited().encode("utf-32"),
    "Windows-1252": delimited(header=(*HEADER, "Übung"), rows=[[*row, "für"] for row in ROWS]).encode("cp1252"),
    "an empty last row": delimited() + ",,,,\n",
    "empty rows": delimited(end=LF + LF) + LF * 3,
    "two empty columns": delimited(after=",,"),
    "all in quotes": delimited(rows=in_quotes(), header=[f'"{name}"' for name in HEADER]),
    "single quotes": delimited(";", rows=[[f"'{row[0]}'", *row[1:]] for row in ROWS]),
    "percent": delimited(rows=percent("")),
    "percent with signs": delimited(rows=percent(" %")),
    "percent with signs and commas": delimited(rows=in_quotes(percent("%")), decimal=","),
    "JSON, an object a line": FRAME.to_json(orient="records", lines=True),
    "JSON of pandas, records": FRAME.to_json(orient="records", indent=1),
    "JSON of pandas, columns": FRAME.to_json(),
    "JSON of pandas, columns in another order of rows": FRAME.sample(frac=1, random_state=0).to_json(),
    "JSON of pandas, columns with gaps in the index": pd.concat([FRAME[:3], FRAME[3:].set_index(FRAME.index[3:] + 7)]).to_json(),
    "JSON of pandas, index": FRAME.to_json(orient="index"),
    "JSON of pandas, split": FRAME.to_json(orient="split"),
    "JSON of pandas, table": FRAME.to_json(orient="table"),
    "JSON of lists": json.dumps(FRAME.to_dict("list")),
    "Parquet": FRAME.to_parquet(),
    "Parquet with an index": FRAME.set_index("clip").to_parquet(),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_numbers(tmp_path, dialect):
    content = DIALECTS[dialect]
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    theirs = read(f"a={tmp_path / 'a.csv'}").predictions
    np.testing.assert_array_equal(np.sort(theirs.clip), OURS.clip)
    np.testing.assert_allclose(theirs.probabilities[np.argsort(theirs.clip)], OURS.probabilities, atol=2e-6)


@pytest.mark.parametrize("orient", ["index", "split"])
def test_an_index_of_clips_is_a_column(tmp_path, orient):
    FRAME.set_index("clip").to_json(tmp_path / "a.json", orient=orient)
    theirs = read(f"a={tmp_path / 'a.json'}")
    np.testing.assert_array_equal(theirs.predictions.clip, OURS.clip)
    assert "the clips are in column id" in theirs.notes


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_whole_percent_are_known_whatever_is_declared(tmp_path, kind):
    shares = np.round(100 * OURS.probabilities)  # rows sum to 98 to 102
    path = write_csv(tmp_path / "a.csv", HEADER, [[clip, *map(int, row)] for clip, row in zip(OURS.clip, shares, strict=True)])
    theirs = read(f"a={path};kind={kind}")
    np.testing.assert_allclose(theirs.predictions.probabilities, shares / shares.sum(1, keepdims=True), atol=1e-6)


LOGITS = [f"{whole},{'250' if row % 2 else '125'}" for row, whole in enumerate(np.arange(NUM_CLIPS) % 9 + 1)]


def logits_file(folder: Path, separator: str, own: list[str], other: str) -> Path:
    """A table of two logits a clip, of which the first is `own` and the second always `other`."""
    rows = [separator.join((clip, f'"{cell}"', f'"{other}"')) for clip, cell in zip(OURS.clip, own, strict=True)]
    (folder / "a.csv").write_text(separator.join(("clip", "x0", "x1")) + "\n" + "\n".join(rows) + "\n")
    return folder / "a.csv"


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
@pytest.mark.parametrize("other", ["2", "-5", "3,250", "1,234"])
def test_commas_that_may_separate_thousands_are_refused_until_declared(tmp_path, separator, other):
    path = logits_file(tmp_path, separator, LOGITS, other)
    declared = f"a={path};kind=logits;columns=x0,x1;classes=neutral,happy"
    found = r"a\.csv, line 2, column x0: expected a finite number, found '1,125': its comma separates decimals or thousands.* decimal=comma"
    with pytest.raises(ComparisonError, match=found):
        read(declared)
    decimal, thousands = (read(f"{declared};decimal={mark}").predictions.probabilities[:, 0] for mark in ("comma", "point"))
    assert decimal[0] == pytest.approx(1 / (1 + np.exp(float(other.replace(",", ".")) - 1.125)), abs=2e-6)
    assert thousands[0] == (float(other.replace(",", "")) < 1125)


@pytest.mark.parametrize("separator", [";", ","])
@pytest.mark.parametrize("other", ["0,5", "12,3456", "-0,125", "1,2", ",5", "1,5e1"])
def test_another_number_of_the_table_shows_that_commas_are_decimal(tmp_path, separator, other):
    theirs = read(f"a={logits_file(tmp_path, separator, LOGITS, other)};kind=logits;columns=x0,x1;classes=neutral,happy")
    value = float(other.replace(",", "."))
    np.testing.assert_allclose(theirs.predictions.probabilities[0, 0], 1 / (1 + np.exp(value - 1.125)), atol=2e-6)
    assert any("decimal commas" in note for note in theirs.notes)


@pytest.mark.parametrize("other", ["0.5", "1.234", "3."])
def test_points_and_commas_in_one_table_are_refused(tmp_path, other):
    with pytest.raises(ComparisonError, match=r"line 2, column x0: .*'1,125': it has a comma, in a table with decimal points"):
        read(f"a={logits_file(tmp_path, ';', LOGITS, other)};kind=logits;columns=x0,x1;classes=neutral,happy")


def test_a_percent_sign_in_some_cells_of_a_column_is_refused(tmp_path):
    rows = [[OURS.clip[row], "50 %" if row else "0.5", "50 %"] for row in range(NUM_CLIPS)]
    path = write_csv(tmp_path / "a.csv", ("clip", "p_happy", "p_sad"), rows)
    with pytest.raises(ComparisonError, match=r"line 3, column p_happy: found '50 %' here and '0.5' elsewhere in the column"):
        read(f"a={path}")


WORDS = {
    "capitals": ("", ("Neutral", "HAPPY", "Sad", "angry ")),
    "synonyms": ("", ("neu", "Happiness", "SADNESS", "Anger")),
    "German": ("", ("neutral", "Freude", "Trauer", "Ärger")),
    "German, decomposed": ("", ("neutral", "fro\u0308hlich", "traurig", "wu\u0308tend")),
    "German, in ASCII capitals": ("", ("NEUTRAL", "FROEHLICH", "TRAUER", "WUT")),
    "French": ("", ("neutre", "joie", "tristesse", "Colère")),
    "Spanish": ("", ("neutro", "alegría", "tristeza", "enojo")),
    "Italian": ("", ("neutrale", "felicità", "tristezza", "rabbia")),
    "numbers from 0": (";classes=neutral,happy,sad,angry", "0123"),
    "numbers from 1": (";classes=Neutral,Happy,Sad,Angry", ("01", "2.0", "3", "4")),
    "numbers in another order": (";classes=anger,happiness,neutral,sadness", "2130"),
    "numbers of German classes": (";classes=neutral,Freude,Trauer,Wut", "0123"),
    "a map of numbers": (";words=7:neutral,8:happy,9:sad,10:angry", ("7", "8.0", "09", "10")),
    "a map of letters": (";words=N:neutral,F:happy,T:sad,W:angry", "NFTW"),
}


def predicted_file(folder: Path, names, labels=None) -> Path:
    rows = [
        (clip, names[one], *([labels[true]] if labels else []))
        for clip, one, true in zip(OURS.clip, OURS.predicted, OURS.label, strict=True)
    ]
    return write_csv(folder / "a.csv", ("clip", "predicted", *(["label"] if labels else [])), rows)


@pytest.mark.parametrize("words", WORDS)
def test_words_and_numbers_mean_classes(tmp_path, words):
    declared, names = WORDS[words]
    theirs = read(f"a={predicted_file(tmp_path, names, names)};kind=label{declared}")
    np.testing.assert_array_equal(theirs.predictions.predicted, OURS.predicted)
    assert ("the numbers of its classes count from 1, which is Neutral" in theirs.notes) == (words == "numbers from 1")


@pytest.mark.parametrize(
    ("word", "emotion"),
    [
        *(("Wut", "angry"), ("FREUDE", "happy"), ("trauer", "sad"), ("Colère", "angry"), ("alegria", "happy"), ("triste", "sad")),
        *(("rabbia", "angry"), ("neutre", "neutral"), ("glücklich", "happy"), ("gluecklich", "happy")),
    ],
)
def test_a_word_of_another_language_is_said(tmp_path, word, emotion):
    path = write_csv(tmp_path / "a.csv", ("clip", "predicted"), [(clip, word) for clip in OURS.clip])
    theirs = read(f"a={path};kind=label")
    assert {CLASSES[one] for one in theirs.predictions.predicted} == {emotion} and f"read {word!r} as {emotion}" in theirs.notes


@pytest.mark.parametrize("word", ["Ruhe", "Ekel", "surprise", "stupore", "Stimmung", "wutt"])
def test_words_without_a_class_are_refused_with_their_line(tmp_path, word):
    path = write_csv(tmp_path / "a.csv", ("clip", "predicted"), [(clip, word) for clip in OURS.clip])
    with pytest.raises(ComparisonError, match=f"line 2: '{word}' is not one of the classes neutral, happy, sad, angry; .*words=WORD:CLASS"):
        read(f"a={path};kind=label")


ORDER = ";classes=neutral,happy,sad,angry;order=trusted"


@pytest.mark.parametrize("trusted", [";order=trusted", ""])
@pytest.mark.parametrize(
    "numbers",
    [
        ("1", "2", "3", "1"),
        ("1", "2", "1", "3"),
        ("1.0", "2.0", "3.0", "3.0"),
        ("01", "02", "03", "02"),
        ("2", "3", "2", "3"),
        "1111",
        "3222",
    ],
)
def test_numbers_that_may_count_from_0_or_from_1_are_refused(tmp_path, numbers, trusted):
    path = predicted_file(tmp_path, numbers)
    message = r"the numbers in column predicted .* may count the 4 classes from 0 or from 1: .* words=1:neutral,.*words=0:neutral,1:happy"
    with pytest.raises(ComparisonError, match=message):
        read(f"a={path};kind=label;classes=neutral,happy,sad,angry{trusted}")
    words = {str(number): CLASSES[number - 1] for number in (1, 2, 3, 4)}
    theirs = read(f"a={path};kind=label;order=trusted;words={','.join(f'{key}:{name}' for key, name in words.items())}")
    expected = [words[str(int(float(numbers[one])))] for one in OURS.predicted]
    assert [CLASSES[one] for one in theirs.predictions.predicted] == expected


@pytest.mark.parametrize(
    ("numbers", "labels", "message"),
    [
        ("1234", "0123", "the numbers of classes start differently: predicted from 1 and label from 0; .*`label=`"),
        ("0123", "1234", "the numbers of classes start differently: predicted from 0 and label from 1"),
        ("1233", "0123", "column predicted .* fit the true labels better when shifted by one"),
        ("0122", "1234", "start differently"),
        ("1122", "1234", "column predicted .* fit the true labels better when shifted by one"),
        ("0124", "0123", "line .*: '4' is not one of the classes"),
        ("0125", "0123", "line .*: '5' is not one of the classes"),
    ],
)
def test_numbers_of_predicted_classes_are_held_against_those_of_the_labels(tmp_path, numbers, labels, message):
    with pytest.raises(ComparisonError, match=message):
        read(f"a={predicted_file(tmp_path, numbers, labels)};kind=label{ORDER}")


@pytest.mark.parametrize(("numbers", "labels", "expected"), [("1123", "0123", [1, 1, 2, 3]), ("2233", "1234", [1, 1, 2, 2])])
def test_the_labels_show_where_the_numbers_of_predicted_classes_start(tmp_path, numbers, labels, expected):
    theirs = read(f"a={predicted_file(tmp_path, numbers, labels)};kind=label{ORDER}")
    np.testing.assert_array_equal(theirs.predictions.predicted, np.array(expected)[OURS.predicted])


@pytest.mark.parametrize(
    "name",
    [r"C:\data\Actor_01\{}.MP4", "/data/{}.wav", "{}.flac", "./{}", r"wav\{}", "{}.WAV "],
)
def test_clips_are_found_by_paths_and_by_the_only_column_that_names_them(tmp_path, name):
    path = write_csv(tmp_path / "a.csv", ("file", *HEADER[1:]), [[name.format(row[0]), *row[1:]] for row in ROWS])
    theirs = read(f"a={path}")
    np.testing.assert_array_equal(theirs.predictions.clip, OURS.clip)
    assert theirs.notes == ("the clips are in column file", f"{NUM_CLIPS} clips are identified by the names of their media files")


def folds_in(folder: Path, name: str, *, labels=CLASSES) -> None:
    """Write the rows as three files with semicolons and a column of labels."""
    for fold in range(3):
        path = folder / name.format(fold=fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [";".join((*HEADER[1:], "name", "emotion"))]
        lines += [";".join((*row[1:], row[0], labels[OURS.label[place]])) for place, row in enumerate(ROWS) if place % 3 == fold]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "path", "folds"),
    [
        ("fold{fold}/posteriors.csv", "", {"fold0/posteriors", "fold1/posteriors", "fold2/posteriors"}),
        ("fold{fold}/posteriors.csv", "/fold*/*.csv", {"fold0/posteriors", "fold1/posteriors", "fold2/posteriors"}),
        ("pred_{fold}.csv", "", {"pred_0", "pred_1", "pred_2"}),
        ("pred_{fold}.csv", "/pred_*.csv", {"pred_0", "pred_1", "pred_2"}),
        ("pred_{fold}.csv", "/pred_[012].csv", {"pred_0", "pred_1", "pred_2"}),
        ("deep/er/{fold}.tsv", "/**/*.tsv", {"0", "1", "2"}),
    ],
)
def test_one_file_a_fold(tmp_path, name, path, folds):
    folds_in(tmp_path, name)
    if path:
        (tmp_path / "notes.csv").write_text("not,of\nthis,pattern\n")
    theirs = read(f"a={tmp_path}{path};label=emotion")
    np.testing.assert_array_equal(by_clip(theirs.predictions).probabilities, np.array([row[1:] for row in ROWS], float))
    assert theirs.has_folds and set(theirs.predictions.fold) == folds
    assert {"3 files", f"{NUM_CLIPS} labels agree"} <= set(theirs.notes)


def test_numbers_of_all_files_show_together_where_they_start(tmp_path):
    for fold, numbers in enumerate(("1", "2", "3")):  # no file has a 4
        rows = [(clip, numbers) for place, clip in enumerate(OURS.clip) if place % 3 == fold]
        write_csv(tmp_path / f"pred_{fold}.csv", ("clip", "predicted"), rows)
    declared = f"a={tmp_path}/pred_*.csv;kind=label{ORDER}"
    with pytest.raises(ComparisonError, match=r"column predicted \(1 to 3\) may count the 4 classes"):
        read(declared)
    write_csv(tmp_path / "pred_0.csv", ("clip", "predicted"), [(clip, "4") for place, clip in enumerate(OURS.clip) if place % 3 == 0])
    assert set(read(declared).predictions.predicted.tolist()) == {1, 2, 3}


def test_decimal_commas_of_one_file_show_those_of_another(tmp_path):
    for fold, other in enumerate(("2", "0,5", "3")):
        rows = [(clip, "1,125", other) for place, clip in enumerate(OURS.clip) if place % 3 == fold]
        write_csv(tmp_path / f"pred_{fold}.csv", ("clip", "x0", "x1"), rows)
    declared = f"a={tmp_path};kind=logits;columns=x0,x1;classes=neutral,happy"
    assert read(declared).predictions.probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(2 - 1.125)))
    (tmp_path / "pred_1.csv").unlink()
    with pytest.raises(ComparisonError, match=r"pred_0\.csv, line 2, column x0: .* its comma separates decimals or thousands"):
        read(declared)


def test_files_of_folds_must_agree_and_their_lines_are_named(tmp_path):
    folds_in(tmp_path, "pred_{fold}.csv")
    second = tmp_path / "pred_1.csv"
    text = second.read_text()
    second.write_text(text.replace("\n0.", "\nx0.", 1))
    with pytest.raises(ComparisonError, match=r"pred_1.csv, line 2, column p_neutral: expected a finite number, found 'x0\."):
        read(f"a={tmp_path};label=emotion")
    second.write_text(text.replace("emotion", "mood"))
    with pytest.raises(ComparisonError, match=r"pred_1.csv: expected the columns of pred_0.csv: .*emotion; found .*mood"):
        read(f"a={tmp_path};label=emotion")
    second.write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(ComparisonError, match="1 clips are predicted twice"):
        read(f"a={tmp_path};label=emotion")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ComparisonError, match=r"expected tables .* in the folder .*empty, found none"):
        read(f"a={tmp_path / 'empty'}")
    with pytest.raises(ComparisonError, match=r"expected files that fit the pattern .*none_\*.csv, found none"):
        read(f"a={tmp_path}/none_*.csv")
