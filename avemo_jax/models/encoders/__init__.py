"""The encoders with published weights: networks that turn the steps of a view into a sequence of feature vectors with times.

An encoder is one folder here: its network (`module.py`), the layout and the assets of its published weights (`weights.py`) and its record
(`record.Encoder`, in the folder's `__init__.py`). To add one, add a folder and a line to ENCODERS; the config, the asset search, the leak
audit and the networks read the record. This module imports no encoder and no JAX, so that a config may list the names.

An encoder is frozen (it runs once over a view, its features are a prepared set) or part of the network (fine-tuned, as a whole or from an
end point on); `contract` states what it is given and returns in both cases.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avemo_jax.models.encoders.record import Encoder

# Name of an encoder -> the module that holds its record in RECORDS.
ENCODERS: dict[str, str] = {
    "vggish": "avemo_jax.models.encoders.vggish",
    "inception_v3": "avemo_jax.models.encoders.inception_v3",
    "vgg16": "avemo_jax.models.encoders.vgg",
    "vgg19": "avemo_jax.models.encoders.vgg",
    "i3d_rgb": "avemo_jax.models.encoders.i3d",
    "i3d_flow": "avemo_jax.models.encoders.i3d",
    "mini_xception": "avemo_jax.models.encoders.mini_xception",
    "face_landmarks": "avemo_jax.models.encoders.face_api",
    "face_expressions": "avemo_jax.models.encoders.face_api",
    "whisper_tiny": "avemo_jax.models.encoders.whisper",
    "whisper_base": "avemo_jax.models.encoders.whisper",
    "whisper_small": "avemo_jax.models.encoders.whisper",
    "whisper_medium": "avemo_jax.models.encoders.whisper",
    "whisper_large_v3": "avemo_jax.models.encoders.whisper",
    "wav2vec2_base": "avemo_jax.models.encoders.wav2vec2",
    "wav2vec2_large": "avemo_jax.models.encoders.wav2vec2",
    "wav2vec2_large_lv60": "avemo_jax.models.encoders.wav2vec2",
    "wav2vec2_large_xlsr_53": "avemo_jax.models.encoders.wav2vec2",
    "wav2vec2_xls_r_300m": "avemo_jax.models.encoders.wav2vec2",
    "wav2vec2_msp_dim": "avemo_jax.models.encoders.wav2vec2",
    "hubert_base": "avemo_jax.models.encoders.wav2vec2",
    "hubert_large": "avemo_jax.models.encoders.wav2vec2",
    "distilhubert": "avemo_jax.models.encoders.wav2vec2",
    "wavlm_base": "avemo_jax.models.encoders.wav2vec2",
    "wavlm_base_plus": "avemo_jax.models.encoders.wav2vec2",
    "wavlm_large": "avemo_jax.models.encoders.wav2vec2",
    "data2vec_audio_base": "avemo_jax.models.encoders.wav2vec2",
    "data2vec_audio_large": "avemo_jax.models.encoders.wav2vec2",
    "emotion2vec_base": "avemo_jax.models.encoders.emotion2vec",
    "clip_vit_base_32": "avemo_jax.models.encoders.vision_transformer",
    "clip_vit_base_16": "avemo_jax.models.encoders.vision_transformer",
    "clip_vit_large_14": "avemo_jax.models.encoders.vision_transformer",
    "farl_base_16": "avemo_jax.models.encoders.vision_transformer",
    "dinov2_small": "avemo_jax.models.encoders.vision_transformer",
    "dinov2_base": "avemo_jax.models.encoders.vision_transformer",
    "dinov2_large": "avemo_jax.models.encoders.vision_transformer",
    "dinov2_registers_small": "avemo_jax.models.encoders.vision_transformer",
    "dinov2_registers_base": "avemo_jax.models.encoders.vision_transformer",
    "dinov2_registers_large": "avemo_jax.models.encoders.vision_transformer",
    "vit_base_16": "avemo_jax.models.encoders.vision_transformer",
    "videomae_base": "avemo_jax.models.encoders.vision_transformer",
    "marlin_base": "avemo_jax.models.encoders.vision_transformer",
}


def find_encoder(name: str) -> Encoder:
    """Return the record of an encoder.

    Raises:
      ValueError: no encoder has that name, or its module holds no record of that name.
    """
    if name not in ENCODERS:
        raise ValueError(f"expected an encoder among {tuple(ENCODERS)}, got {name!r}")
    return _load(name, ENCODERS[name])


@functools.cache
def _load(name: str, module: str) -> Encoder:
    records: tuple[Encoder, ...] = importlib.import_module(module).RECORDS
    for record in records:
        if record.name == name:
            return record
    raise ValueError(f"expected a record named {name!r} in {module}.RECORDS, found {tuple(record.name for record in records)}")
