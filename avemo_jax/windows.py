"""What the prediction of new media takes from a system's views: windows that fit them, and the face detector."""

from __future__ import annotations

import itertools
from typing import Any

from avemo_jax.config import Experiment
from avemo_jax.system_views import views_in_use

WINDOW_S, HOP_S = 3.0, 1.0  # about as long as the clips of most corpora


def windows(experiment: Experiment, window_s: float | None = None, hop_s: float | None = None) -> tuple[float, float] | None:
    """Return length and distance of the windows in s that a system predicts, or None for segments as in training.

    Args:
      window_s: 0 for segments of the views' `segment_s`; None: 3 s, or such segments where the config has another `segment_s` than the
        run, or where the system cannot take another length, which is printed.
      hop_s: None: 1 s, or the length of a window where that is less.

    Raises:
      ValueError: a distance without windows.
    """
    from data_prep.live import why_no_windows

    if window_s == 0:
        if hop_s is not None:
            raise ValueError(f"--window_s=0 predicts segments as in training, which have no --hop_s, got {hop_s:g}; leave one of them out")
        return None
    if window_s is None and hop_s is None and _has_other_segments(experiment):
        return None
    if window_s is None and hop_s is None and (reason := why_no_windows(views_in_use(experiment))):
        print(f"predicting segments as in training and no windows of {WINDOW_S:g} s, because {reason}")
        return None
    length_s = WINDOW_S if window_s is None else window_s
    return length_s, min(HOP_S, length_s) if hop_s is None else hop_s


def face_detector(experiment: Experiment) -> dict[str, Any]:
    """Return the face detector of the first view that has one, so that an overlay boxes what the system sees; {} for the default."""
    found = (params for _, params in views_in_use(experiment).values() if "detector" in params)
    return {name: params[name] for params in itertools.islice(found, 1) for name in ("detector", "detector_path")}


def has_faces(experiment: Experiment) -> bool:
    """Return whether a system takes faces, and not only sound or whole pictures."""
    return bool(face_detector(experiment))


def _has_other_segments(experiment: Experiment) -> bool:
    """Return whether the config asks for segments of another length than those of its run."""
    from avemo_jax.atomic import read_json

    path = experiment.run_directory / "config.json"
    stored = read_json(path).get("views", {}) if path.is_file() else {}
    views = {name: params.get("segment_s") for name, (_, params) in views_in_use(experiment).items()}
    return any(segment_s != stored.get(name, {}).get("segment_s", segment_s) for name, segment_s in views.items())
