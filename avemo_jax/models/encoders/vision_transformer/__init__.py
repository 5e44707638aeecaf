"""Vision transformers: a picture, or a window of frames, to 384 to 1024 numbers, from any of their layers."""

import functools

from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.encoders.vision_transformer.module import FINAL, VisionTransformer
from avemo_jax.models.encoders.vision_transformer.published import PUBLISHED, Published
from avemo_jax.models.encoders.vision_transformer.weights import layout_of


def record_of(name: str, published: Published) -> Encoder:
    """Return the record of a published network."""
    design = published.design
    return Encoder(
        name=name,
        make=functools.partial(VisionTransformer, design=design),
        end_points=design.end_points,
        features=FINAL,
        layers=design.layers,
        tokens=design.tokens,
        input_kind="picture" if design.num_frames == 1 else f"window of {design.num_frames} frames",
        input_rank=len(design.input_shape),
        licence=published.licence,
        trained_on=published.trained_on,
        weights=(layout_of(design, published.family, published.assets, published.convert),),
        resized=True,
        takes_lora=True,
    )


RECORDS = tuple(record_of(name, published) for name, published in PUBLISHED.items())
