"""System B: VGG19 on pictures of MFCC and on faces, an LSTM over the faces of each segment, attention over both, a vote of the segments.

Source: SYSTEMS.md's document B. Claims, accuracy, six emotions: RML leave-one-subject-out 76.13, k-fold 98.70; eNTERFACE'05 78.49 and
97.75.

vgg19_lstm_attention            both streams; attention over the two modalities of a segment
vgg19_lstm_attention:audio      its sound alone
vgg19_lstm_attention:video      its picture alone
vgg19_lstm_attention:segments   the text's other reading: attention over the segments of a clip, which then needs no vote

Ours on real data: none yet; neither corpus was at hand, and VGG19's ImageNet weights are its owner's. The claims' protocols are
--config.protocol.name=loso and random10.

    python run.py --config=configs/rml.py:vgg19_lstm_attention --config.corpus.root=FOLDER --config.protocol.name=loso

Differs from the document, which is silent on these: VGG19 is frozen (its fc7 features are kept; streams.<name>.encoder_trained_from="fc6"
trains its fully connected layers along); Adam, batch 64, 30 epochs; width 512 of attention's layer. Clips without a face stay in every
count, where the document removes them.
"""

from ml_collections import ConfigDict

from configs import base

_BOTH = ("audio", "video")
VARIANTS = {
    "vgg19_lstm_attention": _BOTH,
    "vgg19_lstm_attention:audio": ("audio",),
    "vgg19_lstm_attention:video": _BOTH,  # speech activity is heard, not seen
    "vgg19_lstm_attention:segments": _BOTH,
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams, the fusion and the recipe."""
    kind = variant.partition(":")[2]
    config.system.segment_rule = "mean" if kind == "segments" else "vote"
    for view in ("speech_segments", "speech_faces"):
        config.views[view].segments_per_example = 0 if kind == "segments" else 1
    config.encoders.vgg19.end_point = "fc7"
    config.encoders.vgg19.resize_px = 224
    embedding = dict(encoder="vgg19", context="none", pooling="mean", dense_units=(), batch_norm=False)
    audio = base.stream(view="speech_segments", **embedding)
    video = base.stream(view="speech_faces", frame_context="lstm", frame_units=4096, **embedding)
    base.use(config, variant, {"audio": ("audio",), "video": ("video",)}.get(kind, _BOTH), audio=audio, video=video)
    config.fusion.kind = "token_attention"
    config.fusion.tokens = "segments" if kind == "segments" else "modalities"
    config.fusion.width = 512
    config.train.stages = (*_BOTH, "fused") if config.system.streams == _BOTH else config.system.streams
    config.train.freeze_earlier = True  # feature nets first, then the resulting features go through attention
    config.train.batch_size = 64
    config.train.num_epochs = 30
    config.train.learning_rate = 1e-4
    config.train.dropout_rate = 0.5
