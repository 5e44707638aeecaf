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

Differs from the document, which is silent on these: VGG19 is frozen (its fc7 features are kept; model.<stream>.encoder_trained_from="fc6"
trains its fully connected layers along); Adam, batch 64, 30 epochs; width 512 of attention's layer. Clips without a face stay in every
count, where the document removes them.
"""

from ml_collections import ConfigDict

_BOTH = ("audio", "video")
VARIANTS = {
    "vgg19_lstm_attention": _BOTH,
    "vgg19_lstm_attention:audio": ("audio",),
    "vgg19_lstm_attention:video": _BOTH,  # speech activity is heard, not seen
    "vgg19_lstm_attention:segments": _BOTH,
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set views, encoders, networks and the recipe."""
    kind = variant.partition(":")[2]
    config.system.name = variant.replace(":", "_")
    config.system.streams = {"audio": ("audio",), "video": ("video",)}.get(kind, _BOTH)
    config.system.audio_view = "speech_segments"
    config.system.video_view = "speech_faces"
    config.system.segment_rule = "mean" if kind == "segments" else "vote"
    for view in ("speech_segments", "speech_faces"):
        config.views[view].segments_per_example = 0 if kind == "segments" else 1
    config.encoders.vgg19.end_point = "fc7"
    config.encoders.vgg19.resize_px = 224
    for stream in _BOTH:
        branch = config.model[stream]
        branch.encoder = "vgg19"
        branch.context = "none"
        branch.pooling = "mean"
        branch.dense_units = ()
        branch.batch_norm = False
    config.model.video.frame_context = "lstm"
    config.model.video.frame_units = 4096
    config.model.fusion.kind = "token_attention"
    config.model.fusion.tokens = "segments" if kind == "segments" else "modalities"
    config.model.fusion.width = 512
    config.train.stages = (*_BOTH, "fused") if config.system.streams == _BOTH else config.system.streams
    config.train.freeze_earlier = True  # feature nets first, then the resulting features go through attention
    config.train.batch_size = 64
    config.train.num_epochs = 30
    config.train.learning_rate = 1e-4
    config.train.dropout_rate = 0.5
