"""A Whisper of the transformers library with random weights, for the benchmark of its encoder and for the tests of ours."""

from __future__ import annotations

from typing import Any

import transformers

from avemo_jax.models.encoders.whisper.module import WhisperSize


def random_whisper(size: WhisperSize) -> Any:
    """Return a Whisper of the transformers library with random weights, its encoder of that size, its decoder small."""
    transformers.set_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=100,
        d_model=size.width,
        encoder_layers=size.num_layers,
        encoder_attention_heads=size.num_heads,
        encoder_ffn_dim=4 * size.width,
        num_mel_bins=size.num_mels,
        decoder_layers=1,
        decoder_attention_heads=size.num_heads,
        decoder_ffn_dim=size.width,
        **{f"{token}_token_id": number for number, token in enumerate(("pad", "bos", "eos", "decoder_start"))},
    )
    return transformers.WhisperForConditionalGeneration(config)
