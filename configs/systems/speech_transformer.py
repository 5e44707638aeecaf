"""A speech transformer, frozen, and on it a linear layer or kernel ridge regression; alone, or with a table of action units.

No published system: the question that it answers is what a speech transformer of today knows about emotion without having been trained
on it. Result: docs/systems/speech_transformer.md; the encoders: docs/encoders/whisper.md and docs/encoders/wav2vec2.md.

whisper                      Whisper-base, one linear layer on the mean and deviation of a middle layer, sound alone
whisper:action_units         the same, fused with a table of action units (views.table.path)
whisper_kernel               Whisper-base, kernel ridge regression on the mean and deviation of five layers, sound alone
whisper_kernel:action_units  the same, with a table of action units
whisper_linear               ridge regression in its place: as small as a model folder should be, see models/
wav2vec2                     wav2vec2-base and one linear layer, sound alone
hubert                       HuBERT-base and one linear layer, sound alone
wavlm                        WavLM-base+ and one linear layer, sound alone
data2vec_audio               data2vec-audio-base and one linear layer, sound alone

    python run.py --config=configs/ravdess.py:whisper_kernel --config.corpus.root=FOLDER --config.encoders.whisper_base.weights=FOLDER

Other sizes: --config.streams.audio.encoder=whisper_small, and its weights likewise; whisper_large_v3 needs
--config.views.logmel_whisper.num_mels=128.
"""

from ml_collections import ConfigDict

from configs import base

# The first part of a variant -> its encoder, and the view that the encoder takes.
ENCODERS = {
    "whisper": ("whisper_base", "logmel_whisper"),
    "whisper_kernel": ("whisper_base", "logmel_whisper"),
    "whisper_linear": ("whisper_base", "logmel_whisper"),
    "wav2vec2": ("wav2vec2_base", "waveform"),
    "hubert": ("hubert_base", "waveform"),
    "wavlm": ("wavlm_base_plus", "waveform"),
    "data2vec_audio": ("data2vec_audio_base", "waveform"),
}
VARIANTS = {
    "whisper": ("audio",),
    "whisper:action_units": ("audio",),  # and a feature table
    "whisper_kernel": ("audio",),
    "whisper_kernel:action_units": ("audio",),  # and a feature table
    "whisper_linear": ("audio",),
    "wav2vec2": ("audio",),
    "hubert": ("audio",),
    "wavlm": ("audio",),
    "data2vec_audio": ("audio",),
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams and the recipe of a variant."""
    machine = {"whisper_kernel": "kernel", "whisper_linear": "linear"}.get(variant.partition(":")[0])
    config.encoders.whisper_base.layers = "1,2,3,4,5" if machine else "3"
    encoder, view = ENCODERS[variant.partition(":")[0]]
    audio = base.stream(view=view, encoder=encoder, context="none", pooling="mean_std", dense_units=())
    action_units = base.stream(view="table", context="none", pooling="mean", dense_units=(64,))
    action_units.augmentation.noise_deviation = 0.3
    names = ("audio", "action_units") if variant.endswith(":action_units") else ("audio",)
    base.use(config, variant, names, audio=audio, action_units=action_units)
    if machine:
        config.train.stages = (machine,)
        config.train.copies = ("speed:0.93", "speed:1.07")
        return
    config.train.stages = (*names, "fused") if len(names) > 1 else names
    base.train_on_frozen_features(config)
