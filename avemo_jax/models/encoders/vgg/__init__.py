"""VGG16 and VGG19: pictures to 4096 numbers, or to 512 of the averaged last pooling."""

from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.encoders.vgg.module import VGG16, VGG19
from avemo_jax.models.encoders.vgg.weights import LICENCE, VGG16_LAYOUT, VGG19_LAYOUT
from avemo_jax.pretrained.layout import WeightsLayout


def _record(name: str, net: type[VGG16] | type[VGG19], weights: WeightsLayout) -> Encoder:
    return Encoder(
        name=name,
        make=net,
        end_points=net.END_POINTS,
        features="fc7",
        input_kind="picture",
        input_rank=3,
        licence=LICENCE,
        trained_on=("imagenet",),
        weights=(weights,),
        resized=True,
        winograd=True,
    )


RECORDS = (_record("vgg16", VGG16, VGG16_LAYOUT), _record("vgg19", VGG19, VGG19_LAYOUT))
