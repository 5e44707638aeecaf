"""System B: VGG19 on images of MFCC and on faces, an LSTM over the faces of each segment, attention over both, a vote of the segments.

Source: document B, Priyasad, Fernando, Denman, Sridharan, Fookes: Learning salient features for multimodal emotion recognition with
recurrent neural networks and attention based fusion. AVSP 2019, doi 10.21437/avsp.2019-5. Published results and all differences:
docs/systems/vgg19_lstm_attention.md.

vgg19_lstm_attention            both streams; attention over the two streams of a segment
vgg19_lstm_attention:audio      its audio stream alone
vgg19_lstm_attention:video      its video stream alone
vgg19_lstm_attention:segments   the text's other reading: attention over the segments of a clip, which then needs no vote

    python run.py --config=configs/rml.py:vgg19_lstm_attention --config.corpus.root=FOLDER --config.protocol.name=loso

Choices where the document is silent: VGG19 is frozen (streams.<name>.encoder_trained_from="fc6" trains its dense layers); Adam, batch 64,
30 epochs; width 512 of the attention layer. Clips without a face stay in every count, where the document removes them.
"""

from ml_collections import ConfigDict

from configs import base

_BOTH = ("audio", "video")
VARIANTS = {
    "vgg19_lstm_attention": _BOTH,
    "vgg19_lstm_attention:audio": ("audio",),
    "vgg19_lstm_attention:video": _BOTH,  # speech activity is detected in the sound
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
    config.train.freeze_earlier = True  # the attention is trained on features of finished networks
    config.train.batch_size = 64
    config.train.num_epochs = 30
    config.train.learning_rate = 1e-4
    config.train.dropout_rate = 0.5
