"""The views that the streams of a system are made from: their parameters, and the steps that they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avemo_jax.config import Experiment


def views_in_use(experiment: Experiment) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return name -> (view, its parameters), for all views of the system's streams."""
    from avemo_jax.experiment.live_features import views_of
    from avemo_jax.text import nearest

    for name in views_of(experiment):
        if name not in experiment.views:
            raise ValueError(f"a stream names the view {name!r}, which does not exist{nearest(name, experiment.views)}")
    return {name: (name, experiment.views[name]) for name in views_of(experiment)}


def view_steps(experiment: Experiment) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return name -> (step shape, dtype), for all views of the system's streams."""
    from data_prep.views import make_view

    views = {name: make_view(name, **params) for name, (_, params) in views_in_use(experiment).items()}
    return {name: (tuple(view.step_shape), view.dtype) for name, view in views.items()}


def views_of_streams(experiment: Experiment) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return stream -> (its view, the view's parameters)."""
    return {name: (stream.view, experiment.views[stream.view]) for name, stream in experiment.streams_in_use.items()}


def check_copies(experiment: Experiment) -> None:
    """Raise ValueError where a copy of the training clips would be the clips themselves, since no stream has its medium."""
    from avemo_jax.degradation import parse_copies
    from data_prep.sets.prepare import is_degraded
    from data_prep.views import make_view

    views = [make_view(name, **params) for name, params in views_in_use(experiment).values()]
    for copy in parse_copies(experiment.train.copies):
        if not any(is_degraded(view, copy) for view in views):
            raise ValueError(
                f"train.copies holds {copy.text!r}, which changes {copy.modality}, and no stream of {experiment.system.name} is made from "
                f"{copy.modality}: the copies would be the clips themselves; leave it out of --config.train.copies"
            )
