"""Published results of the systems that this project has, and of other systems on the same corpora.

The report of a run shows them beside its own results, each with its protocol and caveats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from avemo_jax.evaluation.results import RunResults

_SPEAKER_DEPENDENT = ("random", "holdout")  # first words of the names of protocols that share speakers
_MEDIA = {"action_units": "video"}  # streams that are made of a medium of another name


@dataclasses.dataclass(frozen=True)
class PublishedResult:
    """A published number.

    Attributes:
      source: for the table.
      corpus: name of a corpus.
      metric: "war" or "uar".
      value: share.
      protocol: that it was measured under.
      systems: names of our systems that the document describes; empty for other systems.
      streams: of other systems: their streams, sorted, "audio", "audio+video" or "video"; they are shown beside runs of the same media.
      num_classes: of its system. Runs with another number do not show results of other systems, and mark those of their own; 0 for any.
      note: a further caveat.
    """

    source: str
    corpus: str
    metric: str
    value: float
    protocol: str
    systems: tuple[str, ...] = ()
    streams: str = ""
    num_classes: int = 0
    note: str = ""

    @property
    def caveats(self) -> str:
        """Its caveats in words, "none" where there are none."""
        shared = "speaker-dependent" if self.protocol.startswith(_SPEAKER_DEPENDENT) else ""
        return "; ".join(filter(None, (shared, self.note))) or "none"


def _of(
    document: str, corpus: str, protocol: str, values: Mapping[str, float], *, num_classes: int, note: str = ""
) -> list[PublishedResult]:
    """List accuracies in percent, by system; several systems are separated by commas."""
    return [
        PublishedResult(
            f"document {document}", corpus, "war", value / 100, protocol, tuple(systems.split(",")), num_classes=num_classes, note=note
        )
        for systems, value in values.items()
    ]


_A2, _A1 = "contextual_temporal", "handcrafted_late_fusion"
_B = "vgg19_lstm_attention"
_B_ALL = f"{_B},{_B}_segments"

# The documents' own numbers.
OF_DOCUMENTS: tuple[PublishedResult, ...] = (
    *_of("A", "ravdess", "random10", {f"{_A2}_audio": 86.3, f"{_A2}_video": 86.6, f"{_A2}_i3d_video": 85.2, _A2: 98.14}, num_classes=8),
    *_of("A", "iemocap", "random10", {f"{_A2}_audio": 84.12, f"{_A2}_video": 50.6, _A2: 86.6}, num_classes=7),
    *_of("A", "ravdess", "random10", {f"{_A1}_audio,{_A1}_audio_features": 81.2, f"{_A1}_video": 71.2, _A1: 93.2}, num_classes=8),
    *_of("A", "iemocap", "random10", {f"{_A1}_audio,{_A1}_audio_features": 72.2, f"{_A1}_video": 51.2, _A1: 71.2}, num_classes=7),
    *_of("B", "rml", "loso", {_B_ALL: 76.13}, num_classes=6),
    *_of("B", "rml", "random10", {_B_ALL: 98.70}, num_classes=6),
    *_of("B", "enterface", "loso", {_B_ALL: 78.49}, num_classes=6),
    *_of("B", "enterface", "random10", {_B_ALL: 97.75}, num_classes=6),
    *_of("C", "jaffe+ck48+cfe", "holdout_80_20", {"image_cnn": 66.91}, num_classes=7),
    *_of("C", "tess", "holdout_80_20", {"mfcc_lstm": 98.0}, num_classes=7),
    *_of(
        "D", "ravdess", "holdout_50_25_25", {"stacking_audio": 58, "stacking_video": 61, "stacking,stacking_out_of_fold": 87}, num_classes=7
    ),
    *_of("D", "ravdess", "holdout 75/25", {"stacking_audio": 68, "stacking_video": 72}, num_classes=7),
    *_of("E", "ravdess", "random10", {"gru_attention": 76.52}, num_classes=8, note="folds 68.75 to 81.25"),
    *_of("E", "ravdess", "random10", {"gru_attention_video": 78.19}, num_classes=8, note="folds 73.61 to 83.33"),
    *_of("E", "ravdess", "random10", {"gru_attention_fused": 91.25}, num_classes=8, note="folds 87.50 to 94.44"),
)

# Speaker-independent results on RAVDESS speech.
OF_OTHERS: tuple[PublishedResult, ...] = (
    PublishedResult(
        "HiCMAE-B", "ravdess", "war", 0.8799, "seq6", streams="audio+video", num_classes=8, note="epoch choice on test possible"
    ),
    *(
        PublishedResult(f"Luna-Jimenez 2022, {what}", "ravdess", "war", value, "luna5", (), streams, 8, "checkpoint chosen on test")
        for what, value, streams in (
            ("wav2vec2 + action units", 0.8670, "audio+video"),
            ("wav2vec2", 0.8182, "audio"),
            ("action-unit LSTM", 0.6213, "video"),
            ("action-unit means + MLP", 0.6022, "video"),
        )
    ),
    PublishedResult("Whisper-large-v3, frozen", "ravdess", "uar", 0.7532, "emobox6", streams="audio", num_classes=8),
    PublishedResult(
        "46.8 k-parameter LSTM on MFCC", "ravdess", "uar", 0.623, "luna5", streams="audio", num_classes=8, note="mean of ten seeds"
    ),
    PublishedResult("listeners", "ravdess", "war", 0.67, "-", streams="audio", num_classes=8),
    PublishedResult("listeners", "ravdess", "war", 0.75, "-", streams="video", num_classes=8),
)


def published_results(corpus: str, system: str, *, num_classes: int, streams: Sequence[str] | None) -> list[PublishedResult]:
    """Return published results of this system on this corpus, then those of other systems with the same streams and classes.

    Args:
      streams: names of the run's streams, or None where they are not known, which leaves out other systems.
    """
    media = None if streams is None else "+".join(sorted({_MEDIA.get(stream, stream) for stream in streams}))
    own = [
        one if one.num_classes == num_classes else _of_other_classes(one, num_classes)
        for one in OF_DOCUMENTS
        if one.corpus == corpus and system in one.systems
    ]
    others = [one for one in OF_OTHERS if one.corpus == corpus and one.streams == media and one.num_classes in (0, num_classes)]
    return own + others


def published_beside(results: RunResults, config: Any) -> list[PublishedResult]:
    """Return the published results that stand beside a run: `published_results` of its corpus, system, classes and streams.

    Args:
      config: content of its config.json, or None where it is not there.
    """
    streams = config["system"]["streams"] if config and "system" in config else None
    return published_results(results.corpus, results.system, num_classes=len(results.confusion.classes), streams=streams)


def best_published(published: Sequence[PublishedResult], protocol: str) -> PublishedResult | None:
    """Return the best of published results that is of this protocol, or None."""
    return max((one for one in published if one.protocol == protocol), key=lambda one: one.value, default=None)


def _of_other_classes(one: PublishedResult, num_classes: int) -> PublishedResult:
    """Return the result with a mark that its system had another number of classes."""
    mark = f"{one.num_classes} classes, this run has {num_classes}"
    return dataclasses.replace(one, note="; ".join(filter(None, (one.note, mark))))
