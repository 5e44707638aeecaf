"""mini-Xception: grey faces to 128 numbers."""

from avemo_jax.models.encoders.mini_xception.module import END_POINTS, MiniXception, fold_batch_norm
from avemo_jax.models.encoders.mini_xception.weights import LICENCE, MINI_XCEPTION
from avemo_jax.models.encoders.record import Encoder

RECORDS = (
    Encoder(
        name="mini_xception",
        make=MiniXception,
        end_points=END_POINTS,
        features="features",
        input_kind="picture of a face",
        input_rank=3,
        licence=LICENCE,
        trained_on=("fer2013",),
        weights=(MINI_XCEPTION,),
        fold=fold_batch_norm,
    ),
)
