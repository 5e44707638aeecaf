"""Predictions in every format, read back by the format's own library where it is installed."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import PersonPrediction, RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.timelines import FORMATS, WHOLE_CALL, check_formats, in_order, save, suffix_of
from avemo_jax.timelines.media import CannotShow
from data_prep.timeline_media import SoundOutline

CLASSES = ("calm", "a<b & c")
SPANS = [(0.0, 1.0, "calm"), (1.0, 2.0, "silence"), (2.0, 3.4, "a<b & c")]
WORDS = ["calm 0.80", None, "a<b & c 0.70"]


class NoMedia:
    """A sound of 3.4 s without a picture."""

    def outline(self, file):
        return SoundOutline(np.full(5, -0.5, np.float32), np.full(5, 0.5, np.float32), 3.4)

    def write_overlay(self, file, path, hops, colours, other, people=()):
        path.write_bytes(b"part of a film")
        return "a.wav has no picture"


def prediction(file: str = "a.wav", *, shares: tuple[float, ...] = (0.8, 0.5, 0.3), end_s: float = 3.4) -> RecordingPrediction:
    """Return a prediction of which the second segment is silent."""
    segments = [
        SegmentPrediction(at, min(at + 1.0, end_s), np.array([share, 1 - share]), absent={"audio": "silence"} if at == 1 else {})
        for at, share in enumerate(shares)
    ]
    segments[-1] = SegmentPrediction(segments[-1].start_s, end_s, segments[-1].probabilities)
    return RecordingPrediction(file, tuple(segments), (), CLASSES, trained_on="<b>bold</b>")


@pytest.fixture
def written(tmp_path):
    def write(name: str, one: RecordingPrediction | None = None):
        for module, package in FORMATS[name].packages:
            pytest.importorskip(module, reason=f"{package} is not installed")
        path = tmp_path / f"a{suffix_of(name)}"
        save(one or prediction(), name, path, NoMedia())
        assert [file.name for file in tmp_path.iterdir()] == [path.name], "a temporary file was left behind"
        return path

    return write


def test_elan_reads_its_tiers(written):
    path = written("eaf")
    eaf = importlib.import_module("pympi").Elan.Eaf(str(path))
    found = sorted(eaf.get_annotation_data_for_tier("emotion"))
    assert [(start / 1000, end / 1000, label) for start, end, label, *_ in found] == SPANS
    assert [one[2] for one in sorted(eaf.get_annotation_data_for_tier("probability"))] == ["0.80", "0.70"]
    (linked,) = eaf.get_linked_files()
    assert linked["MEDIA_URL"].startswith("file:///") and linked["MEDIA_URL"].endswith("/a.wav")


def test_textgrid_has_its_tiers_in_one_time(written):
    path = written("textgrid")
    grid = importlib.import_module("praatio.textgrid").openTextgrid(str(path), includeEmptyIntervals=False)
    assert (grid.minTimestamp, grid.maxTimestamp) == (0, 3.4)
    assert [tuple(one) for one in grid.getTier("emotion").entries] == SPANS
    assert [tuple(one) for one in grid.getTier("probability").entries] == [(0, 1, "0.80"), (2, 3.4, "0.70")]


@pytest.mark.parametrize("name", ["vtt", "srt"])
def test_subtitles_have_a_caption_a_span(written, name):
    path = written(name)
    webvtt = importlib.import_module("webvtt")
    captions = list(webvtt.read(str(path)) if name == "vtt" else webvtt.from_srt(str(path)))
    assert [(one.start, one.end) for one in captions] == [(f"00:00:0{a:.3f}", f"00:00:0{b:.3f}") for a, b, _ in SPANS]
    text = path.read_text()
    assert ("a&lt;b &amp; c 0.70" in text) == (name == "vtt") and "calm 0.80" in text and "silence" in text


def test_audformat_has_a_segmented_index(written):
    path = written("audformat")
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0] == ["file", "start", "end", "emotion", "p_calm", "p_a<b & c"]
    assert rows[3][:4] == ["a.wav", "0 days 00:00:02.000000", "0 days 00:00:03.400000", "a<b & c"] and rows[2][3] == ""
    audformat = pytest.importorskip("audformat", reason="audformat is not installed")
    table = audformat.utils.read_csv(path)
    assert audformat.is_segmented_index(table.index) and list(table["p_calm"]) == [0.8, 0.5, 0.3]


def test_parquet_is_the_frame(written):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(written("parquet"))
    pandas.testing.assert_frame_equal(frame, prediction().to_frame())
    assert list(frame["predicted"].fillna("")) == ["calm", "", "a<b & c"] and list(frame["problem"]) == ["", "silence", ""]


def test_plots_have_all_names(written):
    assert written("png").read_bytes().startswith(b"\x89PNG")


def test_svg_keeps_text_as_text(written):
    text = written("svg", prediction("$x$_<y>.wav")).read_text()
    assert ">$x$_&lt;y&gt;.wav</text>" in text and "a&lt;b &amp; c" in text and "silence" in text


def test_the_page_escapes_what_files_say_and_loads_nothing(written):
    page = written("html", prediction("<img src=x>.wav")).read_text()
    assert "<img" not in page and "&lt;img src=x&gt;" in page and "<b>bold</b>" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page), "the page needs another file"
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])
    assert data["percent"] == [[80, 20], [50, 50], [30, 70]] and data["nothing"] == ["", "silence", ""]
    curve = re.search(r'<path d="(M[^"]*)" stroke="#', page)[1]
    assert curve == "M0.0 48.0H294.1M588.2 168.0H1000.0"  # broken where it is silent
    assert page.count('data-start="') == 3 and "No browser plays" in page


def test_the_page_embeds_small_media_and_links_large_ones(tmp_path, monkeypatch):
    (tmp_path / "b #1.wav").write_bytes(b"RIFF")
    one = prediction(str(tmp_path / "b #1.wav"))
    (tmp_path / "out").mkdir()
    save(one, "html", tmp_path / "out" / "b.html", NoMedia())
    assert '<audio id="player"' in (tmp_path / "out" / "b.html").read_text()
    assert 'src="data:audio/x-wav;base64,UklGRg=="' in (tmp_path / "out" / "b.html").read_text().replace("audio/wav", "audio/x-wav")
    monkeypatch.setattr("avemo_jax.timelines.page._MOST_EMBEDDED_BYTES", 3)
    save(one, "html", tmp_path / "out" / "b.html", NoMedia())
    assert 'src="../b%20%231.wav"' in (tmp_path / "out" / "b.html").read_text()


def test_a_recording_without_segments_has_every_format_too(tmp_path):
    empty = RecordingPrediction("a.wav", (), (), CLASSES)
    for name in ("audformat", "svg", "html"):
        save(empty, name, tmp_path / f"a{suffix_of(name)}", NoMedia())
    assert "No prediction." in (tmp_path / "a.html").read_text() and empty.to_frame().empty


def test_a_sound_has_no_overlay(tmp_path):
    with pytest.raises(CannotShow, match="has no picture"):
        save(prediction(), "overlay", tmp_path / "a.mp4", NoMedia())
    assert not list(tmp_path.iterdir())


def test_unknown_formats_and_missing_packages_are_found_before_any_work(monkeypatch):
    with pytest.raises(ValueError, match=r"--formats=elan.*eaf"):
        check_formats(["json", "elan"])
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(RuntimeError, match="python -m pip install pympi-ling webvtt-py, or leave the format out"):
        check_formats(["json", "eaf", "vtt", "srt"])
    assert in_order(["html", "json", "overlay", "eaf"]) == ["eaf", "overlay", "html"]


def test_help_and_the_page_name_every_format():
    root = Path(__file__).resolve().parents[2]
    names = re.search(r'"predict: (json, csv, [a-z, ]+); some of them"', (root / "run.py").read_text())[1].split(", ")
    assert set(names) == {*WHOLE_CALL, *FORMATS}
    rows = [line.split("|")[1] for line in (root / "docs" / "predictions.md").read_text().splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(names)


def test_attention_is_drawn_beside_the_curves_and_stands_in_json(written):
    plain = prediction()
    curves = [np.full(10, value, np.float32) for value in (0.5, 1.0, 3.0)]
    whole = dataclasses.replace(
        plain, segments=tuple(dataclasses.replace(one, attention={"audio": own}) for one, own in zip(plain.segments, curves, strict=True))
    )
    page = written("html", whole).read_text()
    path = re.search(r'<path d="(M[^"]*)" fill="none" stroke="currentColor"', page)[1]
    assert path.startswith("M14.7 66.7L44.1 66.7") and path.endswith(" 0.0"), "an 80th is the largest value"
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])
    assert data["attention"][0][2] == [3.0] * 10 and "No attention is shown" not in page
    assert as_json(whole, CLASSES, "mean")["segments"][0]["attention"] == {"audio": [0.5] * 10}


def test_a_system_without_attention_says_so(written):
    assert "No attention is shown" in written("html").read_text()


@pytest.fixture
def of_people() -> RecordingPrediction:
    """Return a film with two people: the first is hidden in the second second."""
    whole = prediction("a.mp4")
    later = dataclasses.replace(whole.segments[2], probabilities=np.array([0.9, 0.1]))
    first = PersonPrediction(1, (whole.segments[0], later), speaks=(True, None))
    second = PersonPrediction(2, (SegmentPrediction(1.0, 2.0, np.array([0.2, 0.8])),), speaks=(False,))
    return dataclasses.replace(whole, people=(first, second))


def test_each_person_has_a_timeline_in_every_format(written, of_people):
    eaf = importlib.import_module("pympi").Elan.Eaf(str(written("eaf", of_people)))
    of_emotions = [f"{kind}{name}" for name in ("", " person 1", " person 2") for kind in ("emotion", "probability")]
    assert list(eaf.tiers) == [*of_emotions, "speech person 1", "speech person 2"]
    found = sorted(eaf.get_annotation_data_for_tier("emotion person 1"))
    assert [one[:3] for one in found] == [(0, 1000, "calm"), (2000, 3400, "calm")], "no span reaches over the gap"
    told = sorted(eaf.get_annotation_data_for_tier("speech person 1"))
    assert [one[:3] for one in told] == [(0, 1000, "speaks"), (2000, 3400, "cannot be told")]
    content = as_json(of_people, CLASSES, "mean")
    assert [[segment["speaks"] for segment in one["segments"]] for one in content["people"]] == [[True, None], [False]]
    assert content["people"][1]["speech"] == [{"start_s": 1, "end_s": 2, "label": "says nothing"}] and "unseen" in content["who_speaks"]
    frame = of_people.to_frame()
    assert list(frame["person"]) == ["", "", "", "person 1", "person 1", "person 2"]
    assert list(frame["speaks"]) == ["", "", "", "speaks", "cannot be told", "says nothing"]


def test_who_speaks_is_not_told_of_a_film_without_sound(of_people):
    silent = dataclasses.replace(of_people, people=tuple(dataclasses.replace(one, speaks=()) for one in of_people.people))
    assert "the film has no sound" in silent.who_speaks and silent.speech_of_all == []
    assert list(silent.to_frame()["speaks"]) == [""] * 6 and "speaks" not in as_json(silent, CLASSES, "mean")["people"][0]["segments"][0]


def test_a_caption_is_divided_where_a_person_begins_to_speak(written, of_people):
    both = dataclasses.replace(of_people.people[0], segments=of_people.segments[:1] * 2, speaks=(True, False))
    both = dataclasses.replace(both, segments=(both.segments[0], dataclasses.replace(both.segments[0], start_s=1.0, end_s=2.0)))
    lines = written("vtt", dataclasses.replace(of_people, people=(both,))).read_text().strip().split("\n\n")[1:]
    assert [one.splitlines() for one in lines] == [
        ["00:00:00.000 --> 00:00:01.000", "person 1 speaks: calm 0.80"],
        ["00:00:01.000 --> 00:00:02.000", "person 1: calm 0.80"],
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vtt", ["person 1 speaks: calm 0.80", "person 2: a&lt;b &amp; c 0.80", "person 1: calm 0.90"]),
        ("textgrid", ['"emotion person 2"', '"probability person 1"']),
        ("audformat", ["file,start,end,person,speaks,emotion", "0 days 00:00:02.000000,person 2,says nothing,a<b & c"]),
        ("html", ['<span class="person">person 2</span>', "<td>person 1</td>", "cannot be told</span>", "Who speaks is told by"]),
        ("svg", ["person 1", "person 2"]),
    ],
)
def test_people_are_named(written, of_people, name, expected):
    text = written(name, of_people).read_text()
    places = [text.find(one) for one in expected]
    assert -1 not in places and (name != "vtt" or places == sorted(places)), (places, text[:500])


def test_people_are_rows_of_the_table_and_lines_of_the_terminal(of_people, tmp_path):
    write_csv(tmp_path / "a.csv", [of_people, prediction("b.wav")], CLASSES)
    rows = [line.split(",")[:5] for line in (tmp_path / "a.csv").read_text().splitlines()]
    assert rows[0] == ["file", "person", "speaks", "segment", "start_s"] and rows[1] == ["a.mp4", "", "", "", "0.000"]
    assert [row[1:] for row in rows[5:8]] == [
        ["person 1", "speaks", "0", "0.000"],
        ["person 1", "cannot be told", "1", "2.000"],
        ["person 2", "says nothing", "0", "1.000"],
    ]
    text = format_prediction(of_people, CLASSES)
    assert "  person 2:" in text and "speaks 1.0 s, cannot be told 1.4 s" in text and "Who speaks is told by" in text
    assert "person" not in format_prediction(prediction(), CLASSES)
