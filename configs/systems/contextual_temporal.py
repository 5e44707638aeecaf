"""Systems A2 and A3: embeddings of sound and of key frames, a GRU over each, joined step by step.

Source: SYSTEMS.md's document A (chapters 2 to 4; 6.2 for attention and I3D). Claims, random 10-fold, accuracy: RAVDESS audio 86.3,
video 86.6 (I3D 85.2), both 98.14; IEMOCAP 84.12, 50.6, 86.6.

contextual_temporal              A2: VGGish and InceptionV3, each into a GRU, then both into one GRU
contextual_temporal:audio        its sound alone
contextual_temporal:video        its picture alone
contextual_temporal:i3d_video    I3D in place of InceptionV3, picture alone
contextual_temporal:both_video   InceptionV3 and I3D side by side, picture alone
contextual_temporal:i3d          VGGish and I3D
contextual_temporal:both         VGGish, and InceptionV3 and I3D side by side
contextual_temporal:attention    A3: dot-product attention of the sound over the key frames

Ours on real data: none yet. The weights of VGGish, InceptionV3 and I3D are public and not ours to ship, and RAVDESS's films were not at
hand; the encoders are proven on their reference implementations. The claims' protocol is --config.protocol.name=random10; the trusted one
beside it is the corpus's own (luna5, session5).

    python run.py --config=configs/ravdess.py:contextual_temporal --config.corpus.root=FOLDER --config.protocol.name=random10

Differs from the document, which is silent on these: learning rate 0.01, a plateau of 5 epochs, 86 epochs for each stage. The encoders are
frozen; streams.<name>.encoder_trained_from trains them along.
"""

from ml_collections import ConfigDict

from configs import base

_BOTH = ("audio", "video")
VARIANTS = {
    "contextual_temporal": _BOTH,
    "contextual_temporal:audio": ("audio",),
    "contextual_temporal:video": ("video",),
    "contextual_temporal:i3d_video": ("video",),
    "contextual_temporal:both_video": ("video",),
    "contextual_temporal:i3d": _BOTH,
    "contextual_temporal:both": _BOTH,
    "contextual_temporal:attention": _BOTH,
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams, the fusion and the recipe."""
    kind = variant.partition(":")[2]
    recurrent = dict(context_units=(256,), pooling="last", dense_units=(), batch_norm=False)
    audio = base.stream(view="logmel_patches", encoder="vggish", **recurrent)
    if kind in ("i3d", "i3d_video"):
        video = base.stream(view="frame_windows", encoder="i3d_rgb", **recurrent)
        config.views.frame_windows.segment_s = config.views.logmel_patches.segment_s
    else:
        video = base.stream(view="keyframes", encoder="inception_v3", **recurrent)
    if kind in ("both", "both_video"):
        video.view_beside, video.encoder_beside = "frame_windows", "i3d_rgb"
        config.views.frame_windows.segment_s = config.views.keyframes.segment_s
    base.use(config, variant, VARIANTS[variant], audio=audio, video=video)
    config.fusion.kind = "dot_attention" if kind == "attention" else "tanh_gru"
    config.train.stages = (*config.system.streams, "fused") if config.system.streams == _BOTH else config.system.streams
    config.train.batch_size = 48
    config.train.num_epochs = 86
    config.train.optimizer = "sgd"
    config.train.momentum = 0.9
    config.train.learning_rate = 0.01
    config.train.schedule = "plateau"
    config.train.dropout_rate = 0.2
