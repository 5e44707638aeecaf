"""Optical flow of pictures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_prep.views.optical_flow import METHODS, flow_between


def texture(size_px: int = 120) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (size_px, size_px), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("right", "down"), [(2, -1), (-3, 0), (0, 4)])
def test_a_shift_is_found_to_the_right_and_downwards(method, right, down):
    scene = texture()
    before, after = scene[20:84, 20:84], scene[20 - down : 84 - down, 20 - right : 84 - right]
    flow = flow_between(before.copy(), after.copy(), method)
    assert flow.shape == (64, 64, 2) and flow.dtype == np.float32
    np.testing.assert_allclose(flow[16:48, 16:48].mean(axis=(0, 1)), [right, down], atol=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_what_stands_still_has_no_flow(method):
    assert np.abs(flow_between(texture(64), texture(64), method)).max() < 0.05


def test_same_numbers_twice():
    before, after = texture(64), np.roll(texture(64), 2, axis=1)
    assert flow_between(before, after, "dis").tobytes() == flow_between(before, after, "dis").tobytes()
