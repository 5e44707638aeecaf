"""A vision transformer, frozen, with one linear layer on the mean of its features over pictures or windows of faces.

No published system: the question that it answers is what a vision transformer of today knows about emotion without having been trained on
it. Result: docs/systems/vision_transformer.md.

vision_transformer          DINOv2 (small) on the faces of eight frames of a clip, or of a picture
vision_transformer:windows  VideoMAE (base) on windows of 16 frames of the face, two seconds each

    python run.py --config=configs/ravdess.py:vision_transformer --config.corpus.root=FOLDER

Other encoders: --config.streams.video.encoder=clip_vit_base_16, and where its weights are with
--config.encoders.clip_vit_base_16.weights=FOLDER; marlin_base in place of VideoMAE likewise.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "vision_transformer": ("still",),
    "vision_transformer:windows": ("video",),
}
_SIZE_PX = 224  # which all of the encoders take


def apply(config: ConfigDict, variant: str) -> None:
    """Set the stream and the recipe of a variant."""
    config.views.still.num_frames = 8
    config.views.still.size_px = _SIZE_PX
    config.views.still.crop = "face"
    config.views.frame_windows.rate_fps = 7.5
    config.views.frame_windows.num_frames = 16
    config.views.frame_windows.size_px = _SIZE_PX
    config.views.frame_windows.crop = "face"
    is_windows = variant.endswith(":windows")
    video = base.stream(
        view="frame_windows" if is_windows else "still",
        encoder="videomae_base" if is_windows else "dinov2_small",
        context="none",
        pooling="mean",
        dense_units=(),
    )
    base.use(config, variant, ("video",), video=video)
    config.train.stages = ("video",)
    base.train_on_frozen_features(config)
