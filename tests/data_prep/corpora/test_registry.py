"""The registry of corpora: one contract over all of them."""

from __future__ import annotations

import pytest

from data_prep.corpora import CORPORA, CorpusNotFound, load_clips


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_every_corpus_offers_the_contract(name):
    module = CORPORA[name]
    assert module.ADDRESS and module.LAYOUT and "\n" not in module.LAYOUT
    assert isinstance(module.OPTIONS, tuple)
    assert module.MODALITIES and set(module.MODALITIES) <= {"audio", "video", "still"}
    assert module.NUM_CLIPS is None or module.NUM_CLIPS > 0
    assert module.clip_id("no such name") is None


def test_an_unknown_corpus_lists_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=rf"unknown corpus 'ravdes'; known: {', '.join(sorted(CORPORA))} \(--config\.corpus\.name=\)"):
        load_clips("ravdes", tmp_path)


def test_an_option_of_another_corpus_is_refused(tmp_path):
    with pytest.raises(ValueError, match="corpus iemocap has no option channel; it has: none"):
        load_clips("iemocap", tmp_path, channel="speech")


def test_a_missing_corpus_is_a_value_error():
    assert issubclass(CorpusNotFound, ValueError)
