"""The nets of face-api.js with their published weights, on faces of real clips."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.face_api.module import CLASSES, LANDMARKS, SIZE_PX, FaceExpressions, FaceLandmarks68
from avemo_jax.pretrained.load import load_pretrained
from data_prep.decoding.films import stream_frames
from data_prep.views.face_crops import largest_face
from data_prep.views.face_detection import make_detector

EMOTIONS = ("ANG", "HAP", "NEU")
CLIPS = (
    *(("crema_d", f"1001_DFA_{emotion}_XX.flv") for emotion in EMOTIONS),
    *(("grid", f"{name}.mpg") for name in ("brbk7n", "lbax4n", "lbbc2a", "lwbsza", "sbwe5n")),
)


def published(encoder, net):
    like = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, SIZE_PX, SIZE_PX, 3), np.float32))
    variables, _ = load_pretrained(find_encoder(encoder).weights, "published", shared_data("models", "face_api"), like)
    return jax.jit(lambda x: net.apply(variables, x))


def faces_of(clip, num_faces, margin=0.1):
    frames = [frame.image for frame in stream_frames(shared_data(*clip))]
    chosen = [frames[int((number + 0.5) / num_faces * len(frames))] for number in range(num_faces)]
    return np.stack([largest_face(image, make_detector("haar"), SIZE_PX, margin=margin) for image in chosen])


@pytest.fixture(scope="module")
def points():
    """Landmarks (N, 68, 2), x and y of each point as shares of the crop's side, of four faces of each clip."""
    net = published("face_landmarks", FaceLandmarks68())
    return np.concatenate([np.asarray(net(faces_of(clip, 4))).reshape(-1, 68, 2) for clip in CLIPS])


class TestLandmarks:
    """Geometric properties of the points, which were checked by eye on these faces."""

    def middle(self, points, part):
        return points[:, list(LANDMARKS[part])].mean(axis=1)

    def test_inside_the_crop_and_as_large_as_the_face(self, points):
        assert points.shape == (32, 68, 2)
        assert points.min() > -0.03 and points.max() < 1.03
        width = points[..., 0].max(axis=1) - points[..., 0].min(axis=1)
        height = points[..., 1].max(axis=1) - points[..., 1].min(axis=1)
        assert (width > 0.55).all() and (height > 0.5).all()

    def test_brows_eyes_nose_mouth_chin_from_above(self, points):
        chin = points[:, 8]
        for side in ("left", "right"):
            levels = [self.middle(points, f"{side}_eyebrow"), self.middle(points, f"{side}_eye")]
            levels += [points[:, 33], self.middle(points, "mouth"), chin]  # 33 is under the tip of the nose
            heights = np.stack([level[:, 1] for level in levels])
            assert (np.diff(heights, axis=0) > 0.03).all()
        assert (chin[:, 1] >= points[:, :17, 1].max(axis=1) - 0.02).all()

    def test_left_points_are_left_and_both_sides_are_symmetric(self, points):
        left, right, nose = self.middle(points, "left_eye"), self.middle(points, "right_eye"), points[:, 30]
        assert (left[:, 0] + 0.1 < nose[:, 0]).all() and (nose[:, 0] + 0.1 < right[:, 0]).all()
        between = np.linalg.norm(right - left, axis=1)
        assert (np.abs(left[:, 1] - right[:, 1]) < 0.25 * between).all()  # heads are tilted by less than 15 degrees
        for part in ("nose", "mouth"):
            assert (np.abs(self.middle(points, part)[:, 0] - (left + right)[:, 0] / 2) < 0.3 * between).all()
        # the jaw runs from ear to ear
        assert (points[:, 0, 0] < left[:, 0]).all() and (points[:, 16, 0] > right[:, 0]).all()
        assert (np.diff(points[:, :17, 0], axis=1) > -0.02).all()

    def test_eyes_and_mouth_are_wider_than_high(self, points):
        for part, least in (("left_eye", 1.5), ("right_eye", 1.5), ("mouth", 1.2)):
            box = points[:, list(LANDMARKS[part])]
            width, height = np.moveaxis(box.max(axis=1) - box.min(axis=1), -1, 0)
            assert np.median(width / height) > least

    def test_a_crop_of_the_whole_head_is_too_large(self):
        """As the module's docstring states of the margin, the net fails on faces that fill only half of the crop."""
        net = published("face_landmarks", FaceLandmarks68())
        found = np.asarray(net(faces_of(("grid", "brbk7n.mpg"), 2, margin=0.5))).reshape(-1, 68, 2)
        assert np.ptp(found[..., 1], axis=1).max() < 0.45


def test_predictions_of_the_expression_net_on_three_acted_clips():
    """Happy and neutral are recognised; the anger of the third, acted with a still face, is predicted as neutral."""
    net = published("face_expressions", FaceExpressions("expressions"))
    found = {emotion: np.mean(jax.nn.softmax(net(faces_of(("crema_d", f"1001_DFA_{emotion}_XX.flv"), 8))), axis=0) for emotion in EMOTIONS}
    assert {emotion: CLASSES[np.argmax(mean)] for emotion, mean in found.items()} == {"HAP": "happy", "NEU": "neutral", "ANG": "neutral"}
    assert found["HAP"].max() > 0.5 and found["NEU"].max() > 0.5 and found["ANG"][CLASSES.index("angry")] < 0.1
