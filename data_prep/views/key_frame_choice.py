"""The five steps by which system A chooses key frames."""

from __future__ import annotations

import cv2
import numpy as np

_BRIGHTNESS_RANGE = (0.1, 0.9)  # of full lightness
_LEAST_ENTROPY_BITS = 1.0


def key_frame_indices(images: list[np.ndarray], num_frames: int) -> list[int]:
    """Choose key frames by the five steps that `KeyFrames` describes.

    Args:
      images: (H, W, 3) uint8 RGB each, in order of time, at least one.
      num_frames: K.

    Returns:
      K indices in ascending order; repeated where fewer than K frames are distinct.
    """
    from scipy.stats import entropy  # late, as scikit-learn below: their import is slow
    from skimage.exposure import is_low_contrast

    grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    histograms = np.stack([cv2.calcHist([gray], [0], None, [256], [0, 256])[:, 0].astype(np.float64) / gray.size for gray in grays])
    difference, brightness = _luv_measures(images)
    good = (
        (brightness > _BRIGHTNESS_RANGE[0])
        & (brightness < _BRIGHTNESS_RANGE[1])
        & (entropy(histograms, base=2, axis=1) > _LEAST_ENTROPY_BITS)
        & [not is_low_contrast(gray[::4, ::4]) for gray in grays]  # a sixteenth of the pixels suffices
    )
    if not good.any():
        good[:] = True
    around = np.concatenate([[-np.inf], difference[1:], [-np.inf]])
    peak = np.concatenate([[True], (around[1:-1] > around[:-2]) & (around[1:-1] >= around[2:])])  # the first frame has no difference
    ranked = sorted(np.flatnonzero(good), key=lambda index: (not peak[index], -difference[index]))
    candidates = sorted(ranked[: max((good & peak).sum(), num_frames)])
    chosen = _sharpest_of_clusters([grays[index] for index in candidates], histograms[candidates], num_frames)
    # stretched over K places, which repeats frames in place where there are fewer than K
    return [int(candidates[chosen[place]]) for place in np.round(np.linspace(0, len(chosen) - 1, num_frames)).astype(int)]


def _luv_measures(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) mean absolute difference to the frame before in LUV, 0 for the first, and (T,) mean lightness in [0, 1].

    OpenCV sums the bytes, which is exact and faster than NumPy's mean.
    """
    difference, brightness = np.zeros(len(images)), np.zeros(len(images))
    before = None
    for index, image in enumerate(images):
        luv = cv2.cvtColor(image, cv2.COLOR_RGB2LUV)
        brightness[index] = cv2.sumElems(luv)[0] / luv[..., 0].size / 255
        if before is not None:
            difference[index] = cv2.norm(luv, before, cv2.NORM_L1) / luv.size
        before = luv
    return difference, brightness


def _sharpest_of_clusters(grays: list[np.ndarray], histograms: np.ndarray, num_clusters: int) -> list[int]:
    """Cluster grey pictures on their histograms (T, 256); return the sharpest of each cluster, in ascending order."""
    distinct, labels = np.unique(histograms, axis=0, return_inverse=True)
    if len(distinct) > num_clusters:  # otherwise each histogram is its own cluster
        from sklearn.cluster import KMeans

        labels = KMeans(num_clusters, n_init=10, random_state=0).fit(histograms).labels_
    sharpness = np.array([_laplacian_variance(gray) for gray in grays])
    return sorted(int(max(np.flatnonzero(labels == label), key=lambda index: sharpness[index])) for label in np.unique(labels))


def _laplacian_variance(gray: np.ndarray) -> float:
    """Variance of the Laplacian, which is whole numbers of at most 1020: their sums are exact too."""
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    mean = cv2.sumElems(laplacian)[0] / laplacian.size
    return cv2.norm(laplacian, cv2.NORM_L2SQR) / laplacian.size - mean**2
