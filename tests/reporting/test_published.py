"""Published results belong to systems that exist, and are shown beside runs of the same system, streams and classes."""

from __future__ import annotations

import pytest

from avemo_jax.labels import LABEL_SETS
from avemo_jax.reporting.published import OF_DOCUMENTS, OF_OTHERS, published_results
from configs.systems import SYSTEMS
from data_prep.corpora import CORPORA


def test_every_published_result_is_of_a_system_and_a_corpus_that_exist():
    systems = {name.replace(":", "_") for name in SYSTEMS}
    assert not {name for one in OF_DOCUMENTS for name in one.systems} - systems
    assert not {part for one in (*OF_DOCUMENTS, *OF_OTHERS) for part in one.corpus.split("+")} - set(CORPORA)
    assert all(0 < one.value < 1 and one.metric in ("war", "uar") for one in (*OF_DOCUMENTS, *OF_OTHERS))


@pytest.mark.parametrize(
    ("system", "corpus", "values"),
    [
        ("contextual_temporal", "ravdess", [98.14]),
        ("contextual_temporal_i3d_video", "ravdess", [85.2]),
        ("contextual_temporal", "iemocap", [86.6]),
        ("handcrafted_late_fusion_audio_features", "ravdess", [81.2]),
        ("vgg19_lstm_attention", "rml", [76.13, 98.70]),
        ("mfcc_lstm", "tess", [98.0]),
        ("stacking_audio", "ravdess", [58.0, 68.0]),
        ("gru_attention_fused", "ravdess", [91.25]),
        ("gru_attention_small", "ravdess", []),  # ours, not published
        ("contextual_temporal", "crema_d", []),
    ],
)
def test_results_of_the_documents(system, corpus, values):
    found = published_results(corpus, system, num_classes=8, streams=None)
    assert [100 * one.value for one in found] == pytest.approx(values)


def test_other_systems_are_shown_for_the_same_streams_and_classes():
    assert [one.source for one in published_results("ravdess", "small_audio", num_classes=8, streams=("audio", "video"))] == [
        "HiCMAE-B",
        "Luna-Jimenez 2022, wav2vec2 + action units",
    ]
    assert "Whisper-large-v3, frozen" in [
        one.source for one in published_results("ravdess", "small_audio", num_classes=8, streams=("audio",))
    ]
    tables = published_results("ravdess", "whisper", num_classes=8, streams=("audio", "action_units"))
    assert tables == published_results("ravdess", "whisper", num_classes=8, streams=("video", "audio"))
    assert published_results("ravdess", "small_audio", num_classes=7, streams=("audio",)) == []


def test_results_on_shared_speakers_have_a_caveat():
    caveats = {one.protocol: one.caveats for one in OF_DOCUMENTS if one.systems[0] == "vgg19_lstm_attention"}
    assert caveats == {"loso": "none", "random10": "speaker-dependent"}
    assert {one.caveats for one in OF_DOCUMENTS if one.systems == ("stacking_audio",)} == {"speaker-dependent"}


def test_another_number_of_classes_than_that_of_the_document_is_marked():
    """Document A on IEMOCAP has seven emotions, and the usual label set of the corpus has four."""
    for label_set, note in (("iemocap4", "7 classes, this run has 4"), ("iemocap7", "")):
        found = published_results("iemocap", "contextual_temporal", num_classes=len(LABEL_SETS[label_set].classes), streams=None)
        assert [(one.value, one.note) for one in found] == [(0.866, note)]
    assert published_results("ravdess", "stacking_audio", num_classes=8, streams=None)[0].caveats == (
        "speaker-dependent; 7 classes, this run has 8"
    )
