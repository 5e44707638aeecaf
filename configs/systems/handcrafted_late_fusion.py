"""System A1: hand-crafted features into convolutional networks, joined by a weighted product of their probabilities.

Source: document A, an M.Sc. thesis on contextual temporal modelling for audio-visual emotion recognition (the text that we have names
neither author nor title), method 1: Table 2.1, sections 2.1 and 3.1. Published results, ours and all differences:
docs/systems/handcrafted_late_fusion.md.

handcrafted_late_fusion                 both networks, and weights estimated by cross-validation on the training part
handcrafted_late_fusion:audio           features of Table 2.1 with VGGish's embedding (its "transfer encoding layer")
handcrafted_late_fusion:audio_features  features of Table 2.1 alone: needs no weights
handcrafted_late_fusion:video           HOG of the face with 68 landmarks

    python run.py --config=configs/ravdess.py:handcrafted_late_fusion:audio_features --config.corpus.root=FOLDER

Choices where the document is silent: frames every 40 ms; number and width of convolutions; the mean over time before the dense layer; Adam;
faces by SSD where its file is given (views.hog.detector), else by OpenCV's Haar cascade.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "handcrafted_late_fusion": ("audio", "video"),
    "handcrafted_late_fusion:audio": ("audio",),
    "handcrafted_late_fusion:audio_features": ("audio",),
    "handcrafted_late_fusion:video": ("video",),
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams, the late fusion and the recipe."""
    convolutional = dict(context="conv", context_units=(16, 32), pooling="mean", dense_units=(512,))
    audio = base.stream(view="handcrafted", context_activation="relu", **convolutional)
    if not variant.endswith(":audio_features"):
        audio.view_beside, audio.encoder_beside = "logmel_patches", "vggish"
    # HOG and landmarks are computed from the same square around the face, each at its own size.
    video = base.stream(view="hog", view_beside="faces", encoder_beside="face_landmarks", context_activation="relu_elu", **convolutional)
    for view in ("handcrafted", "hog", "faces"):
        config.views[view].segment_s = config.views.logmel_patches.segment_s
    config.views.handcrafted.hop_ms = 40.0
    config.views.faces.rate_fps = config.views.hog.rate_fps
    config.views.faces.size_px = 112
    base.use(config, variant, VARIANTS[variant], audio=audio, video=video)
    config.train.stages = (*config.system.streams, "late") if len(config.system.streams) == 2 else config.system.streams
    config.late.rule = "weighted_product"
    config.train.batch_size = 32
    config.train.num_epochs = 20
    config.train.learning_rate = 1e-3
    config.train.schedule = "cosine"
    config.train.dropout_rate = 0.3
    config.train.weight_decay = 1e-2
