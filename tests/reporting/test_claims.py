"""Claims are those of systems that exist, and stand beside the runs that they are of."""

from __future__ import annotations

import pytest

from avemo_jax.reporting.claims import ANCHORS, CLAIMS, claims_beside
from configs.systems import SYSTEMS
from data_prep.corpora import CORPORA

EIGHT = {"confusion": {"classes": list("abcdefgh")}}


def test_every_claim_is_of_a_system_and_a_corpus_that_exist():
    systems = {name.replace(":", "_") for name in SYSTEMS}
    assert not {name for claim in CLAIMS for name in claim.systems} - systems
    assert not {part for claim in (*CLAIMS, *ANCHORS) for part in claim.corpus.split("+")} - set(CORPORA)
    assert all(0 < claim.value < 1 and claim.metric in ("war", "uar") for claim in (*CLAIMS, *ANCHORS))


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
        ("gru_attention_small", "ravdess", []),  # ours, nobody claims anything of it
        ("contextual_temporal", "crema_d", []),
    ],
)
def test_claims_by_the_documents(system, corpus, values):
    found = claims_beside({"system": system, "corpus": corpus, **EIGHT}, None)
    assert [100 * claim.value for claim in found] == pytest.approx(values)


def test_others_stand_beside_the_same_streams_and_classes():
    results = {"system": "small_audio", "corpus": "ravdess", **EIGHT}
    assert [claim.what for claim in claims_beside(results, ("audio", "video"))] == [
        "HiCMAE-B",
        "Luna-Jimenez 2022, wav2vec2 + action units",
    ]
    assert "Whisper-large-v3, frozen" in [claim.what for claim in claims_beside(results, ("audio",))]
    assert claims_beside(results | {"confusion": {"classes": list("abcdefg")}}, ("audio",)) == []


def test_claims_on_shared_speakers_say_so():
    marks = {claim.protocol: claim.marks for claim in CLAIMS if claim.systems[0] == "vgg19_lstm_attention"}
    assert marks == {"loso": "none", "random10": "speaker-dependent"}
    assert {claim.marks for claim in CLAIMS if claim.systems == ("stacking_audio",)} == {"speaker-dependent; 7 classes"}
