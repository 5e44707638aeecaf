"""System A1: hand-crafted features into convolutional networks, joined by a weighted product of their probabilities.

Source: document A, an M.Sc. thesis on contextual temporal modelling for audio-visual emotion recognition (the text that we have names
neither author nor title), method 1: Table 2.1, sections 2.1 and 3.1. Published results, ours and all differences:
docs/systems/handcrafted_late_fusion.md.

handcrafted_late_fusion                 both networks, and weights estimated by cross-validation on the training part
handcrafted_late_fusion:audio           features of Table 2.1 beside VGGish's embedding (its "transfer encoding layer")
handcrafted_late_fusion:audio_features  features of Table 2.1 alone: needs no weights
handcrafted_late_fusion:video           HOG of the face beside 68 landmarks

    python run.py --config=configs/ravdess.py:handcrafted_late_fusion:audio_features --config.corpus.root=FOLDER

Choices where the document is silent: frames every 40 ms; number and width of convolutions; the mean over time before the dense layer; Adam;
faces by SSD where its file is given (views.hog.detector), else by OpenCV's Haar cascade.
"""

from ml_collections import ConfigDict

VARIANTS = {
    "handcrafted_late_fusion": ("audio", "video"),
    "handcrafted_late_fusion:audio": ("audio",),
    "handcrafted_late_fusion:audio_features": ("audio",),
    "handcrafted_late_fusion:video": ("video",),
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set views, encoders, networks and the recipe."""
    config.system.name = variant.replace(":", "_")
    config.system.streams = VARIANTS[variant]
    config.system.audio_view = "handcrafted"
    if not variant.endswith(":audio_features"):
        config.system.audio_view_beside = "logmel_patches"
        config.model.audio.encoder_beside = "vggish"
    config.views.handcrafted.segment_s = config.views.logmel_patches.segment_s
    config.views.handcrafted.hop_ms = 40.0
    if "video" in config.system.streams:
        _picture(config)
    for stream in ("audio", "video"):
        branch = config.model[stream]
        branch.context = "conv"
        branch.context_units = (16, 32)
        branch.context_activation = "relu" if stream == "audio" else "relu_elu"
        branch.pooling = "mean"
        branch.dense_units = (512,)
    config.train.stages = (*config.system.streams, "late") if len(config.system.streams) == 2 else config.system.streams
    config.late.rule = "weighted_product"
    config.train.batch_size = 32
    config.train.num_epochs = 20
    config.train.learning_rate = 1e-3
    config.train.schedule = "cosine"
    config.train.dropout_rate = 0.3
    config.train.weight_decay = 1e-2


def _picture(config: ConfigDict) -> None:
    """HOG beside landmarks, of the same pictures: the landmark net takes the square that HOG is taken of, at its own size."""
    config.system.video_view = "hog"
    config.system.video_view_beside = "faces"
    config.model.video.encoder_beside = "face_landmarks"
    for view in ("hog", "faces"):
        config.views[view].segment_s = config.views.logmel_patches.segment_s
    config.views.faces.rate_fps = config.views.hog.rate_fps
    config.views.faces.size_px = 112
