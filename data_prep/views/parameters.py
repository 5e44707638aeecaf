"""Checks of a view's parameters, with messages that name the field to change."""

from __future__ import annotations

from typing import Any

CROPS = ("whole", "centre", "face")


def check_positive(view: Any, *names: str) -> None:
    """Raise ValueError naming the first of these parameters that is not above 0."""
    for name in names:
        if not getattr(view, name) > 0:
            raise ValueError(f"config.views.{view.name}.{name} must be above 0, got {getattr(view, name)}")


def check_margin(view: Any) -> None:
    """Raise ValueError where the margin around a face would leave nothing of it."""
    if not view.margin > -0.5:
        raise ValueError(f"config.views.{view.name}.margin must be above -0.5 of a face's longer side, got {view.margin}")


def check_crop(view: Any) -> None:
    """Raise ValueError for a crop that no view knows."""
    if view.crop not in CROPS:
        raise ValueError(f"config.views.{view.name}.crop must be one of {', '.join(CROPS)}, got {view.crop!r}")
