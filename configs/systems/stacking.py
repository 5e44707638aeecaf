"""System D: an audio and a video network, and a third one stacked on their second-last layers.

Source: document D, Samsom Tsegay Beyene: Emotion recognition from video using transfer learning and stacking. M.Sc. thesis, Politecnico di
Milano, 2019. Published results, ours and all differences: docs/systems/stacking.md.

stacking              base networks on the training part; the stacked one on most of the validation part, which they have not seen
stacking:audio        VGGish's convolutions, largest value of each channel, two dense layers: 395,783 parameters
stacking:video        VGG16 on grey 48 x 48 faces at 45 frames/s, two LSTM layers
stacking:mfcc         13 MFCC in place of VGGish, the document's row for comparison
stacking:out_of_fold  ours: logistic regression on out-of-fold predictions of the training part, nothing held out for it

    python run.py --config=configs/ravdess.py:stacking:audio --config.corpus.root=FOLDER --config.encoders.vggish.weights=random

Choices where the document is silent: dropout 0.5; early stopping after 15 epochs without a better validation loss, best weights used; the
stacked network selects its epoch on a fifth of the validation part.
"""

from ml_collections import ConfigDict

from configs import base

_BOTH = ("audio", "video")
VARIANTS = {
    "stacking": _BOTH,
    "stacking:audio": ("audio",),
    "stacking:video": ("video",),
    "stacking:mfcc": ("audio",),
    "stacking:out_of_fold": _BOTH,
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams, the fusion and the recipe."""
    kind = variant.partition(":")[2]
    if config.corpus.label_set == "ravdess8":
        config.corpus.label_set = "ravdess7_without_calm"
    base.use(config, variant, VARIANTS[variant], audio=_audio(config, kind), video=_video(config))
    config.fusion.kind = "concat"
    config.fusion.batch_norm = False
    config.fusion.dense_units = (256,)
    joining = {"": ("stacked",), "out_of_fold": ("late",)}.get(kind, ())
    config.train.stages = (*config.system.streams, *joining)
    config.late.rule = "logistic"
    config.protocol.metric = "loss"
    config.train.optimizer = "adamax"
    config.train.learning_rate = 2e-3
    config.train.batch_size = 32
    config.train.num_epochs = 100
    config.train.early_stop_patience_epochs = 15
    config.train.dropout_rate = 0.5


def _audio(config: ConfigDict, kind: str) -> ConfigDict:
    audio = base.stream(context="none", pooling="mean", dense_units=(512, 256), batch_norm=False)
    if kind == "mfcc":
        audio.view = "mfcc"
        config.views.mfcc.segment_s = config.views.mfcc.padded_s = 5.0
        config.views.mfcc.window_ms = 25.0
        config.views.mfcc.hop_ms = 10.0
        config.views.mfcc.max_frames = 0
        audio.pooling = "flatten"
        audio.pooling_steps = 498  # windows that lie wholly inside 5 s; the view has 3 more, half over its ends
    else:
        audio.view = "logmel_496"
        audio.encoder = "vggish"
        config.encoders.vggish.end_point = "global_max"
    return audio


def _video(config: ConfigDict) -> ConfigDict:
    config.views.faces.rate_fps = 45.0
    config.views.faces.size_px = 48
    config.views.faces.gray = True
    config.views.faces.detector = "haar_coarse"
    config.views.faces.segment_s = config.views.logmel_496.segment_s
    config.encoders.vgg16.end_point = "global_avg"
    return base.stream(
        view="faces", encoder="vgg16", context="lstm", context_units=(200, 100), pooling="last", dense_units=(), batch_norm=False
    )
