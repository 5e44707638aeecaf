"""System E: recurrent layers with attention over time on MFCC and on faces, joined by their dense layers.

Source: document E, Yanan Song: Feature fusion deep learning method for video and audio based emotion recognition. M.Sc. thesis, Purdue
University Northwest, 2021. Published results, ours and all differences: docs/systems/gru_attention.md, gru_attention_small.md.

gru_attention                 the document's audio subsystem: 13 MFCC, three GRU layers of 256, attention, dense, batch norm
gru_attention:video           its video subsystem: VGG16 on faces at 7.5 frames/s, one GRU layer of 512, attention, dense, batch norm
gru_attention:fused           both, joined by their dense layers
gru_attention:audio_ablation  Table 4.3 as a sweep: layers, units, batch norm, attention
gru_attention:video_ablation  Table 4.1 as a sweep
gru_attention_small           ours, for unseen speakers: augmented mel bands, one convolution, one bidirectional GRU of 64
gru_attention_action_units    ours: the small one, fused with a table of action units (views.table.path)

    python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=FOLDER --config.protocol.name=random10
    python run.py --config=configs/ravdess.py:gru_attention_small --config.corpus.root=FOLDER --config.train.seeds="(0,1,2,3,4)"

Choices where the document is silent: silent ends are cut off and the rest is cut at 64 frames; batch norm and dropout between the layers;
AdamW with a cosine schedule, label smoothing. All of them are fields.
"""

from ml_collections import ConfigDict

from configs import base

_BOTH = ("audio", "video")
VARIANTS = {
    "gru_attention": ("audio",),
    "gru_attention:video": ("video",),
    "gru_attention:fused": _BOTH,
    "gru_attention:audio_ablation": ("audio",),
    "gru_attention:video_ablation": ("video",),
    "gru_attention_small": ("audio",),
    "gru_attention_action_units": ("audio",),  # and a feature table
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams and the recipe of a variant."""
    if variant.startswith("gru_attention_"):
        _small(config, variant)
    else:
        _paper(config, variant)
    names = config.system.streams
    config.train.stages = (*names, "fused") if len(names) > 1 else names
    config.train.schedule = "cosine"
    config.train.clip_norm = 1.0
    config.train.weight_decay = 1e-2
    config.train.label_smoothing = 0.1
    if variant == "gru_attention:audio_ablation":
        config.sweep.fields = (
            "streams.audio.context_units=(256,)|(512,)|(256,256,256)|(512,512,512)",
            "streams.audio.batch_norm+streams.audio.context_batch_norm=False|True",
            "streams.audio.pooling=last|attention",
        )
    if variant == "gru_attention:video_ablation":
        config.sweep.fields = (
            "streams.video.context_units=(256,)|(512,)|(1024,)|(256,256,256)|(512,512,512)",
            "streams.video.batch_norm+streams.video.context_batch_norm=False|True",
            "streams.video.pooling=last|attention",
        )


def _paper(config: ConfigDict, variant: str) -> None:
    config.views.mfcc.trim_db = 30.0
    config.views.mfcc.max_frames = 64  # 2.7 s; after trimming few clips are longer
    config.views.faces.rate_fps = 7.5
    config.views.faces.size_px = 48
    config.encoders.vgg16.end_point = "global_avg"  # the last pooling has a single position at 48 px
    audio = base.stream(view="mfcc", context_units=(256, 256, 256), context_batch_norm=True, context_dropout=True, dense_units=(256,))
    video = base.stream(view="faces", encoder="vgg16", context_units=(512,), dense_units=(256,))
    base.use(config, variant, VARIANTS[variant], audio=audio, video=video)
    config.train.batch_size = 32
    config.train.num_epochs = 24
    config.train.warmup_epochs = 2
    config.train.learning_rate = 1e-3
    config.train.dropout_rate = 0.25


def _small(config: ConfigDict, variant: str) -> None:
    config.views.logmel_frames.max_frames = 64
    audio = base.stream(
        view="logmel_frames",
        num_cepstra=34,
        time_conv_channels=64,
        time_conv_stride_steps=2,
        context_units=(64,),
        bidirectional=True,
        context_dropout=True,
        pooling="attention_mean_std",
        attention_units=64,
        dense_units=(64,),
    )
    audio.augmentation.max_stretch = 0.15
    audio.augmentation.max_warp = 0.08
    audio.augmentation.shift_deviation = 0.3
    audio.augmentation.noise_deviation = 0.3
    action_units = base.stream(view="table", context="none", pooling="mean", dense_units=(64,))
    action_units.augmentation.noise_deviation = 0.3
    names = ("audio", "action_units") if variant.endswith("_action_units") else ("audio",)
    base.use(config, variant, names, audio=audio, action_units=action_units)
    config.train.batch_size = 48
    config.train.num_epochs = 60
    config.train.ema_decay = 0.995  # over some nine epochs of RAVDESS
    config.train.warmup_epochs = 4
    config.train.learning_rate = 4e-3
    config.train.dropout_rate = 0.25
