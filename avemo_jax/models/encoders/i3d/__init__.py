"""I3D: windows of frames or of optical flow to 1024 numbers."""

from avemo_jax.models.encoders.i3d.module import END_POINTS, I3D, fold_batch_norm
from avemo_jax.models.encoders.i3d.weights import I3D_FLOW, I3D_RGB, LICENCE
from avemo_jax.models.encoders.record import Encoder
from avemo_jax.pretrained.layout import WeightsLayout


def _record(name: str, input_kind: str, weights: WeightsLayout) -> Encoder:
    return Encoder(
        name=name,
        make=I3D,
        end_points=END_POINTS,
        features="avg_pool",
        input_kind=input_kind,
        input_rank=4,
        licence=LICENCE,
        trained_on=("imagenet", "kinetics400"),
        weights=(weights,),
        resized=True,
        fold=fold_batch_norm,
    )


RECORDS = (_record("i3d_rgb", "window of frames", I3D_RGB), _record("i3d_flow", "window of optical flow", I3D_FLOW))
