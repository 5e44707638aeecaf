"""What the published documents claim for the systems that this project has, and what else is published on the same corpora.

A claim is printed beside a run of the same system and corpus, with the protocol that it was made under; what was measured on speakers that
are in the training part as well says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

_DEPENDENT = ("random", "holdout")  # beginnings of the names of protocols that share speakers


@dataclasses.dataclass(frozen=True)
class Claim:
    """A published number.

    Attributes:
      what: whose it is, for the table.
      corpus: name of a corpus.
      metric: "war" or "uar".
      value: share.
      protocol: that it was made under.
      systems: names of our systems that it is a claim of; empty for other people's.
      streams: for other people's: sorted streams, "audio", "audio+video" or "video", of runs that it stands beside.
      num_classes: classes it is of, where runs of another number must not stand beside it; 0 for any.
      note: what has to be said beside it.
    """

    what: str
    corpus: str
    metric: str
    value: float
    protocol: str
    systems: tuple[str, ...] = ()
    streams: str = ""
    num_classes: int = 0
    note: str = ""

    @property
    def marks(self) -> str:
        """What must be said beside it."""
        shared = "speaker-dependent" if self.protocol.startswith(_DEPENDENT) else ""
        return "; ".join(filter(None, (shared, self.note))) or "none"


def _of(document: str, corpus: str, protocol: str, values: Mapping[str, float], note: str = "") -> list[Claim]:
    """Claims of accuracy in percent, by system; several systems with a comma between them."""
    return [
        Claim(f"claim, document {document}", corpus, "war", value / 100, protocol, tuple(systems.split(",")), note=note)
        for systems, value in values.items()
    ]


_A2, _A1 = "contextual_temporal", "handcrafted_late_fusion"
_B = "vgg19_lstm_attention"
_D = "stacking"
_B_ALL = f"{_B},{_B}_segments"

# Source: SYSTEMS.md, which has them from the documents' own texts.
CLAIMS: tuple[Claim, ...] = (
    *_of("A", "ravdess", "random10", {f"{_A2}_audio": 86.3, f"{_A2}_video": 86.6, f"{_A2}_i3d_video": 85.2, _A2: 98.14}),
    *_of("A", "iemocap", "random10", {f"{_A2}_audio": 84.12, f"{_A2}_video": 50.6, _A2: 86.6}),
    *_of("A", "ravdess", "random10", {f"{_A1}_audio,{_A1}_audio_features": 81.2, f"{_A1}_video": 71.2, _A1: 93.2}),
    *_of("A", "iemocap", "random10", {f"{_A1}_audio,{_A1}_audio_features": 72.2, f"{_A1}_video": 51.2, _A1: 71.2}),
    *_of("B", "rml", "loso", {_B_ALL: 76.13}),
    *_of("B", "rml", "random10", {_B_ALL: 98.70}),
    *_of("B", "enterface", "loso", {_B_ALL: 78.49}),
    *_of("B", "enterface", "random10", {_B_ALL: 97.75}),
    *_of("C", "jaffe+ck48+cfe", "holdout_80_20", {"image_cnn": 66.91}),
    *_of("C", "tess", "holdout_80_20", {"mfcc_lstm": 98.0}),
    *_of(
        "D", "ravdess", "holdout_50_25_25", {"stacking_audio": 58, "stacking_video": 61, "stacking,stacking_out_of_fold": 87}, "7 classes"
    ),
    *_of("D", "ravdess", "holdout 75/25", {"stacking_audio": 68, "stacking_video": 72}, "7 classes"),
    *_of("E", "ravdess", "random10", {"gru_attention": 76.52, "gru_attention_video": 78.19, "gru_attention_fused": 91.25}),
)

# Source: PROTOCOLS.md, speaker-independent anchors on RAVDESS speech.
ANCHORS: tuple[Claim, ...] = (
    Claim("HiCMAE-B", "ravdess", "war", 0.8799, "seq6", streams="audio+video", num_classes=8, note="epoch choice on test possible"),
    *(
        Claim(f"Luna-Jimenez 2022, {what}", "ravdess", "war", value, "luna5", (), streams, 8, "checkpoint chosen on test")
        for what, value, streams in (
            ("wav2vec2 + action units", 0.8670, "audio+video"),
            ("wav2vec2", 0.8182, "audio"),
            ("action-unit LSTM", 0.6213, "video"),
            ("action-unit means + MLP", 0.6022, "video"),
        )
    ),
    Claim("Whisper-large-v3, frozen", "ravdess", "uar", 0.7532, "emobox6", streams="audio", num_classes=8),
    Claim("46.8 k-parameter LSTM on MFCC", "ravdess", "uar", 0.623, "luna5", streams="audio", num_classes=8, note="mean of ten seeds"),
    Claim("listeners", "ravdess", "war", 0.67, "-", streams="audio", num_classes=8),
    Claim("listeners", "ravdess", "war", 0.75, "-", streams="video", num_classes=8),
)


def claims_beside(results: Mapping[str, Any], streams: tuple[str, ...] | None) -> list[Claim]:
    """Claims of this system on this corpus, then what others have on the same streams (None: not known) and classes."""
    own = [claim for claim in CLAIMS if claim.corpus == results["corpus"] and results["system"] in claim.systems]
    num_classes = len(results["confusion"]["classes"])
    others = [
        anchor
        for anchor in ANCHORS
        if streams is not None
        and anchor.corpus == results["corpus"]
        and anchor.streams == "+".join(sorted(streams))
        and anchor.num_classes in (0, num_classes)
    ]
    return own + others
