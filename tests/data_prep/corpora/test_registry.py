"""The registry of corpora: one contract over all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.corpora import CORPORA, CorpusNotFound, load_clips

OWN = ("folder", "table_of_clips")  # of a person's own files: any name may be one of theirs


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_every_corpus_offers_the_contract(name):
    module = CORPORA[name]
    assert module.ADDRESS and module.LAYOUT and "\n" not in module.LAYOUT
    assert isinstance(module.OPTIONS, tuple)
    assert module.LABEL_TARGETS and set(module.LABEL_TARGETS) <= {"acted", "crowd", "found"}
    assert ("label_target" in module.OPTIONS) == (len(module.LABEL_TARGETS) > 1)
    assert module.MODALITIES and set(module.MODALITIES) <= {"audio", "video", "still"}
    assert module.NUM_CLIPS is None or module.NUM_CLIPS > 0
    assert module.clip_id("no such name") == ("no such name" if name in OWN else None)


def test_an_unknown_corpus_lists_those_there_are(tmp_path):
    known = ", ".join(sorted(CORPORA))
    with pytest.raises(ValueError, match=rf"unknown corpus 'ravdes'; did you mean 'ravdess'\?; known: {known} \(--config\.corpus\.name=, "):
        load_clips("ravdes", tmp_path)


def test_an_option_of_another_corpus_is_refused(tmp_path):
    with pytest.raises(ValueError, match="corpus iemocap has no option channel; it has: none"):
        load_clips("iemocap", tmp_path, channel="speech")


def test_a_missing_corpus_is_a_value_error():
    assert issubclass(CorpusNotFound, ValueError)


@pytest.mark.parametrize("case", ["absent", "empty", "other"])
@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"synthetic"}))
def test_a_missing_corpus_says_what_where_and_whom_to_ask(tmp_path, name, case):
    root = tmp_path / "corpus"
    if case != "absent":
        root.mkdir()
    if case == "other":
        (root / "README.txt").write_text("nothing of the sort")
        (root / "Holiday").mkdir()
    found = {"absent": "no such path", "empty": "an empty folder", "other": "2 entries: Holiday/, README.txt"}
    with pytest.raises(CorpusNotFound) as error:
        load_clips(name, root)
    module = CORPORA[name]
    for part in (f"no {name} corpus in {root}", module.LAYOUT, found[case], module.ADDRESS, "--config.corpus.root="):
        assert part in str(error.value)


@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"synthetic"}))
def test_a_reader_is_short_enough_to_be_read(name):
    lines = Path(CORPORA[name].__file__).read_text().splitlines()
    # What media names tell by themselves (`named`) is the last of the contract and needs some lines of each.
    assert len(lines) <= (130 if name in ("fer2013", "iemocap", "ravdess", "table_of_clips") else 105)
