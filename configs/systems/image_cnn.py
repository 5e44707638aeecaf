"""System C's image network: three convolutions and a dense layer on small images.

Source: document C, Maridu Laasya Sri, Eenadula Bhanuprakash, Guda Phanish, Gotam Gorabh: Multi-modal emotion recognition from audio and
visual data. B.Tech. report, IIIT Kottayam, 2023; sections 5.1.1, 5.2.1 and 5.3. Published result, ours and all differences:
docs/systems/image_cnn.md.

image_cnn           RGB 48 x 48 in [0, 1]; convolutions of 64, 128, 256, dense 512; augmented
image_cnn:jaffe     grey 48 x 48, 20 epochs
image_cnn:ck48      two convolutions with dropout, 10 epochs
image_cnn:vgg16     frozen VGG16 and a dense layer, as for CFE
image_cnn:xception  ours: frozen mini-Xception, which was trained on FER2013 (and so leaks on that corpus)

    python run.py --config=configs/mixed_images.py --config.corpus.root=jaffe=FOLDER,ck48=FOLDER,cfe=FOLDER \\
        --config.protocol.name=holdout_80_20 \\
        --config.protocol.allow_leaks="('segments_in_two_parts','near_duplicate_in_two_parts')"

Choices where the document is silent: the amounts of rotation, shift and zoom. No pooling before the first convolution (the text has one in
one place), which would leave 6 x 6 of 48 x 48; the text's 88 x 88 is views.still.size_px.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {name: ("still",) for name in ("image_cnn", "image_cnn:jaffe", "image_cnn:ck48", "image_cnn:vgg16", "image_cnn:xception")}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the stream and the recipe."""
    kind = variant.partition(":")[2]
    config.views.still.size_px = 48
    config.views.still.gray = kind == "jaffe"
    video = image_stream(view="still")
    if kind == "ck48":
        video.encoder_units = (64, 128)
        video.context_dropout = True
    if kind in ("vgg16", "xception"):
        video.encoder = {"vgg16": "vgg16", "xception": "mini_xception"}[kind]
        video.standardize = "features"
        config.encoders.vgg16.end_point = "global_avg"
    if kind in ("", "ck48"):
        video.augmentation.max_rotate_deg = 10.0
        video.augmentation.max_zoom = 0.1
        video.augmentation.max_shift = 0.1
        video.augmentation.flip = True
        video.augmentation.flip_vertically = True
    base.use(config, variant, ("video",), video=video)
    config.train.stages = ("video",)
    config.train.batch_size = 32
    config.train.num_epochs = {"jaffe": 20, "ck48": 10}.get(kind, 15)
    config.train.learning_rate = 1e-3
    config.train.dropout_rate = 0.25 if kind == "ck48" else 0.0


def image_stream(view: str) -> ConfigDict:
    """Return a stream with C's image network; several frames are averaged after it. Pictures are in [0, 1] and not z-scored."""
    return base.stream(
        view=view,
        standardize="none",
        encoder="conv_pool",
        encoder_units=(64, 128, 256),
        context="none",
        pooling="mean",
        dense_units=(512,),
        batch_norm=False,
    )
