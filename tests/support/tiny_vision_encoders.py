"""A vision transformer small enough to train in a test, as an entry of the registry of encoders."""

from vision_folders import tiny

from avemo_jax.models.encoders.vision_transformer import record_of

NAME = "tiny_clip"
RECORDS = (record_of(NAME, tiny("clip_vit_base_16")),)
