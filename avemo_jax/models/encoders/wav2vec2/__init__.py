"""Speech transformers that hear the waveform (wav2vec 2.0, XLS-R, HuBERT, WavLM, data2vec-audio): 20 ms of sound to 768 or 1024 numbers."""

import dataclasses
import functools

import numpy as np

from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.encoders.wav2vec2.module import Wav2Vec2, Wav2Vec2Size
from avemo_jax.models.encoders.wav2vec2.stem import HOP_SAMPLES, SEEN_SAMPLES, STRIDES
from avemo_jax.models.encoders.wav2vec2.weights import Published, layout_of

CHUNK_SAMPLES = 30 * 16_000  # about the longest that they were trained on; attention takes memory that grows with its square

_BASE = Wav2Vec2Size(768, 12, 12)
_LARGE = Wav2Vec2Size(1024, 24, 16, pre_norm=True, stem_norm="layer", stem_bias=True)
_DATA2VEC = Wav2Vec2Size(768, 12, 12, stem_norm="layer", num_position_convs=5, position_steps=19)
_WAV2VEC2 = "Baevski et al. 2020, wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations, arXiv 2006.11477"
_XLSR = "Conneau et al. 2020, Unsupervised Cross-lingual Representation Learning for Speech Recognition, arXiv 2006.13979"
_XLS_R = "Babu et al. 2021, XLS-R: Self-supervised Cross-lingual Speech Representation Learning at Scale, arXiv 2111.09296"
_MSP_DIM = "Wagner et al. 2023, Dawn of the Transformer Era in Speech Emotion Recognition: Closing the Valence Gap, arXiv 2203.07378"
_HUBERT = "Hsu et al. 2021, HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units, arXiv 2106.07447"
_DISTILHUBERT = "Chang et al. 2022, DistilHuBERT: Speech Representation Learning by Layer-wise Distillation, arXiv 2110.01900"
_WAVLM = "Chen et al. 2022, WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing, arXiv 2110.13900"
_DATA2VEC_PAPER = "Baevski et al. 2022, data2vec: A General Framework for Self-supervised Learning, arXiv 2202.03555"
_APACHE, _NON_COMMERCIAL = "Apache-2.0", "CC BY-NC-SA 4.0: no commercial use"
# By the licence of microsoft/UniSpeech, to which its page refers; by that of its code, microsoft/unilm, MIT.
_UNISPEECH = "CC BY-SA 3.0, or MIT by the licence of its code: ask the owner"
_LIBRISPEECH, _LIBRI_LIGHT = ("LibriSpeech",), ("Libri-Light",)
_PLUS = ("Libri-Light", "GigaSpeech", "VoxPopuli")

# Name -> size and kind, and where it is published.
NETWORKS: dict[str, tuple[Wav2Vec2Size, Published]] = {
    "wav2vec2_base": (_BASE, Published("facebook/wav2vec2-base", "wav2vec2", _APACHE, _WAV2VEC2, _LIBRISPEECH)),
    "wav2vec2_large": (
        Wav2Vec2Size(1024, 24, 16),
        Published("facebook/wav2vec2-large", "wav2vec2", _APACHE, _WAV2VEC2, _LIBRISPEECH),
    ),
    "wav2vec2_large_lv60": (_LARGE, Published("facebook/wav2vec2-large-lv60", "wav2vec2", _APACHE, _WAV2VEC2, _LIBRI_LIGHT)),
    "wav2vec2_large_xlsr_53": (
        _LARGE,
        Published("facebook/wav2vec2-large-xlsr-53", "wav2vec2", _APACHE, _XLSR, ("MLS", "Common Voice", "BABEL")),
    ),
    "wav2vec2_xls_r_300m": (
        _LARGE,
        Published(
            "facebook/wav2vec2-xls-r-300m",
            "wav2vec2",
            _APACHE,
            _XLS_R,
            ("VoxPopuli", "MLS", "Common Voice", "BABEL", "VoxLingua107"),
        ),
    ),
    "wav2vec2_msp_dim": (
        dataclasses.replace(_LARGE, num_layers=12),
        Published(
            "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
            "wav2vec2",
            _NON_COMMERCIAL,
            _MSP_DIM,
            ("MSP-Podcast", "Libri-Light", "Common Voice", "Switchboard", "Fisher"),
        ),
    ),
    "hubert_base": (_BASE, Published("facebook/hubert-base-ls960", "hubert", _APACHE, _HUBERT, _LIBRISPEECH)),
    "hubert_large": (_LARGE, Published("facebook/hubert-large-ll60k", "hubert", _APACHE, _HUBERT, _LIBRI_LIGHT)),
    "distilhubert": (
        Wav2Vec2Size(768, 2, 12, feature_norm=False),
        Published("ntu-spml/distilhubert", "hubert", _APACHE, _DISTILHUBERT, _LIBRISPEECH, keeps_level=True),
    ),
    "wavlm_base": (
        dataclasses.replace(_BASE, num_distances=320),
        Published("microsoft/wavlm-base", "wavlm", _UNISPEECH, _WAVLM, _LIBRISPEECH, keeps_level=True),
    ),
    "wavlm_base_plus": (
        dataclasses.replace(_BASE, num_distances=320),
        Published("microsoft/wavlm-base-plus", "wavlm", _UNISPEECH, _WAVLM, _PLUS, keeps_level=True),
    ),
    "wavlm_large": (
        dataclasses.replace(_LARGE, stem_bias=False, num_distances=320),
        Published("microsoft/wavlm-large", "wavlm", _UNISPEECH, _WAVLM, _PLUS),
    ),
    "data2vec_audio_base": (
        _DATA2VEC,
        Published("facebook/data2vec-audio-base", "data2vec-audio", _APACHE, _DATA2VEC_PAPER, _LIBRISPEECH),
    ),
    "data2vec_audio_large": (
        dataclasses.replace(_DATA2VEC, width=1024, num_layers=24, num_heads=16, stem_bias=True),
        Published("facebook/data2vec-audio-large", "data2vec-audio", _APACHE, _DATA2VEC_PAPER, _LIBRI_LIGHT),
    ),
}


def times_of_steps(times_s: np.ndarray) -> np.ndarray:
    """Return the middle of what each step sees."""
    num_steps = max(0, (len(times_s) - SEEN_SAMPLES) // HOP_SAMPLES + 1)
    return times_s[SEEN_SAMPLES // 2 :: HOP_SAMPLES][:num_steps]


def record_of(name: str, size: Wav2Vec2Size, published: Published) -> Encoder:
    """Return the record of a network of the family."""
    return Encoder(
        name=name,
        make=functools.partial(Wav2Vec2, size=size),
        end_points=size.end_points,
        # Emotion is read best from the middle: the last layers are about what was to be predicted.
        features=size.end_points[size.num_layers // 2],
        layers=size.end_points,
        input_kind="sample of sound at 16 kHz",
        input_rank=0,
        licence=published.licence,
        trained_on=published.trained_on,
        weights=(layout_of(size, published),),
        takes_lora=True,
        times=times_of_steps,
        chunk_steps=CHUNK_SAMPLES,
        fewest_steps=SEEN_SAMPLES,
        growth=2 * size.stem_channels // STRIDES[0],  # the first convolution before and after its norm
    )


RECORDS = tuple(record_of(name, size, published) for name, (size, published) in NETWORKS.items())
