"""InceptionV3: pictures to 2048 numbers."""

from avemo_jax.models.encoders.inception_v3.module import END_POINTS, InceptionV3, fold_batch_norm
from avemo_jax.models.encoders.inception_v3.weights import INCEPTION_V3, LICENCE
from avemo_jax.models.encoders.record import Encoder

RECORDS = (
    Encoder(
        name="inception_v3",
        make=InceptionV3,
        end_points=END_POINTS,
        features="avg_pool",
        input_kind="picture",
        input_rank=3,
        licence=LICENCE,
        trained_on=("imagenet",),
        weights=(INCEPTION_V3,),
        fold=fold_batch_norm,
        winograd=True,
    ),
)
