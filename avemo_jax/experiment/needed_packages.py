"""Packages that are imported late, after hours of training: checked before any work."""

from __future__ import annotations

import importlib.util
import re

from avemo_jax.config import ONNX_ENCODERS, Experiment
from avemo_jax.experiment.sources import used_encoders
from avemo_jax.machine import TENSORFLOW, pip_install
from avemo_jax.pretrained.onnx_graph import PACKAGES as ONNX_PACKAGES
from avemo_jax.runs.writers import TENSORBOARD_PACKAGES, TRACKERS
from avemo_jax.text import nearest


def check_packages(experiment: Experiment) -> None:
    """Check that every package which a run imports late is installed.

    Raises:
      ValueError: an unknown tracker.
      RuntimeError: some are missing; the message names those that are missing, what needs them, and the command that installs them.
    """
    needed = {"pandas": "its tables", "statsmodels": "its paired tests"}
    if experiment.train.tensorboard:
        needed |= dict.fromkeys(TENSORBOARD_PACKAGES, "train.tensorboard=True")
    for tracker in experiment.train.trackers:
        if tracker not in TRACKERS:
            raise ValueError(f"train.trackers names {tracker!r}; expected {' or '.join(TRACKERS)}{nearest(tracker, TRACKERS)}")
        needed |= dict.fromkeys(TRACKERS[tracker], f"train.trackers={tracker}")
    if experiment.devices.feed == "stream":
        needed[TENSORFLOW] = "devices.feed=stream"
    if experiment.search.space:
        needed |= dict.fromkeys(("optuna", "sqlalchemy"), "search.space")
    if any(name in ONNX_ENCODERS for name in used_encoders(experiment)):
        needed |= dict.fromkeys(ONNX_PACKAGES, "an encoder that is an ONNX file")
    missing = [name for name in needed if not is_installed(name)]
    if missing:
        reasons = ", ".join(f"{_name(one)} (for {needed[one]})" for one in missing)
        raise RuntimeError(f"a run of this config needs packages that are not installed: {reasons}; {pip_install(*missing)}")


def is_installed(requirement: str) -> bool:
    """Whether there is a package that pip is asked for as `requirement`, of whatever version."""
    return importlib.util.find_spec(_name(requirement)) is not None


def _name(requirement: str) -> str:
    """Return the name that a requirement begins with."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
