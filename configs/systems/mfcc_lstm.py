"""System C's audio network: an LSTM over 40 mean MFCC.

Source: document C, Maridu Laasya Sri, Eenadula Bhanuprakash, Guda Phanish, Gotam Gorabh: Multi-modal emotion recognition from audio and
visual data. B.Tech. report, IIIT Kottayam, 2023; sections 5.1.2 and 5.2.2. Published result and ours: docs/systems/mfcc_lstm.md.

mfcc_lstm                the document's recipe: batch 512, 100 epochs
mfcc_lstm:small_corpus   ours for a part of the corpus: batch 32, noise on the coefficients, weight decay, a cosine schedule

    python run.py --config=configs/tess.py:mfcc_lstm:small_corpus --config.corpus.root=FOLDER --config.protocol.name=holdout_80_20

Differs: each coefficient is z-scored with statistics of the training part, and gradients are clipped; without the first the linear LSTM
diverges in its first epoch.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {"mfcc_lstm": ("audio",), "mfcc_lstm:small_corpus": ("audio",)}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the stream and the recipe."""
    audio = mfcc_stream()
    config.train.batch_size = 512
    config.train.num_epochs = 100
    config.train.learning_rate = 1e-3
    config.train.dropout_rate = 0.2
    if variant.endswith(":small_corpus"):
        config.train.batch_size = 32
        config.train.schedule = "cosine"
        config.train.weight_decay = 0.01
        audio.augmentation.noise_deviation = 0.4
        config.protocol.metric = "loss"
    base.use(config, variant, ("audio",), audio=audio)
    config.train.stages = ("audio",)


def mfcc_stream() -> ConfigDict:
    """Return a stream with C's audio network."""
    return base.stream(
        view="mfcc_mean",
        standardize="steps",
        context="lstm",
        context_units=(123,),
        context_activation="linear",
        pooling="last",
        dense_units=(64, 32),
        batch_norm=False,
    )
