"""The nets of face-api.js: faces to 68 landmarks, or to seven expressions."""

from avemo_jax.models.encoders.face_api.module import FaceExpressions, FaceLandmarks68
from avemo_jax.models.encoders.face_api.weights import FACE_EXPRESSION, FACE_LANDMARK_68, LICENCE
from avemo_jax.models.encoders.record import Encoder
from avemo_jax.pretrained.layout import WeightsLayout


def _record(name: str, net: type[FaceLandmarks68] | type[FaceExpressions], features: str, weights: WeightsLayout) -> Encoder:
    return Encoder(
        name=name,
        make=net,
        end_points=net.END_POINTS,
        features=features,
        input_kind="picture of a face",
        input_rank=3,
        licence=LICENCE,
        # Its owner states "35k face images labelled with 68 landmarks" and "publicly available datasets and images scraped from the web".
        trained_on=None,
        weights=(weights,),
    )


RECORDS = (
    _record("face_landmarks", FaceLandmarks68, "landmarks", FACE_LANDMARK_68),
    _record("face_expressions", FaceExpressions, "features", FACE_EXPRESSION),
)
