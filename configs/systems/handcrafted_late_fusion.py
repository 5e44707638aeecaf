"""System A1: hand-crafted features into convolutional nets, joined by a weighted product of their probabilities.

Source: SYSTEMS.md's document A, method 1 (Table 2.1, sections 2.1 and 3.1). Claims, random 10-fold, accuracy: RAVDESS audio 81.2,
video 71.2, both 93.2; IEMOCAP 72.2, 51.2, 71.2.

handcrafted_late_fusion                 both nets, and weights estimated by cross-validation on the training part
handcrafted_late_fusion:audio           features of Table 2.1 beside VGGish's embedding (its "transfer encoding layer")
handcrafted_late_fusion:audio_features  features of Table 2.1 alone: what can be had without VGGish's weights
handcrafted_late_fusion:video           HOG of the face beside 68 landmarks

Ours: see the README's table for handcrafted_late_fusion:audio_features on RAVDESS, printed by

    python run.py --config=configs/ravdess.py:handcrafted_late_fusion:audio_features --config.corpus.root=FOLDER

with --config.protocol.name=random10 for the claim's protocol.

Differs from the document, which is silent on these: frames every 40 ms; how many convolutions and of how many channels; the mean over
time before the dense layer; Adam; SSD faces where their file is given (views.hog.detector), else OpenCV's own detector.
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
    # HOG beside landmarks, of the same pictures: the landmark net takes the square that HOG is taken of, at its own size.
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
