"""System C as a whole: its image network, its video network and its audio network, joined and trained further.

Source: document C, Maridu Laasya Sri, Eenadula Bhanuprakash, Guda Phanish, Gotam Gorabh: Multi-modal emotion recognition from audio and
visual data. B.Tech. report, IIIT Kottayam, 2023; chapter 4 and section 5.1. It reports results of the parts alone. See
docs/systems/image_audio_fusion.md.

image_audio_fusion         all networks from scratch
image_audio_fusion:vgg16   frozen VGG16 and a dense layer in place of the image network, as the document has for CFE

    python run.py --config=configs/demo.py:image_audio_fusion

Choices where the document is silent: the image is the face of the middle frame; the video is faces at 2 frames/s, averaged; joining is
concatenation, batch norm and a dense layer of 128.
"""

from ml_collections import ConfigDict

from configs import base
from configs.systems.image_cnn import image_stream
from configs.systems.mfcc_lstm import mfcc_stream

VARIANTS = {name: ("audio", "video", "still") for name in ("image_audio_fusion", "image_audio_fusion:vgg16")}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams, the fusion and the recipe."""
    image, video = image_stream(view="still"), image_stream(view="faces")
    config.views.still.crop = "face"
    config.views.still.size_px = 48
    config.views.faces.rate_fps = 2.0
    config.views.faces.size_px = 48
    for view in ("still", "faces"):
        config.views[view].segment_s = config.views.mfcc_mean.segment_s
    if variant.endswith(":vgg16"):
        for stream in (image, video):
            stream.encoder, stream.standardize = "vgg16", "features"
        config.encoders.vgg16.end_point = "global_avg"
    base.use(config, variant, ("image", "video", "audio"), image=image, video=video, audio=mfcc_stream())
    config.fusion.kind = "concat"
    config.fusion.dense_units = (128,)
    config.train.stages = ("image", "video", "image+video", "audio", "fused")
    config.train.overrides = ("audio:train.batch_size=512", "audio:train.num_epochs=100", "audio:train.dropout_rate=0.2")
    config.train.batch_size = 32
    config.train.num_epochs = 15
    config.train.learning_rate = 1e-3
    config.train.dropout_rate = 0.2
