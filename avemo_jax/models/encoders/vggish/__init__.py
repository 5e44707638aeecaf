"""VGGish: log-mel patches of 0.96 s to 128 numbers."""

from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.encoders.vggish.module import END_POINTS, VGGish
from avemo_jax.models.encoders.vggish.weights import LICENCE, VGGISH, VGGISH_PCA

RECORDS = (
    Encoder(
        name="vggish",
        make=VGGish,
        end_points=END_POINTS,
        features="embedding",
        input_kind="log-mel patch",
        input_rank=2,
        licence=LICENCE,
        trained_on=("youtube8m",),  # Hershey et al. 2017: soundtracks of videos of YouTube
        weights=(VGGISH, VGGISH_PCA),
        winograd=True,
    ),
)
