"""Dimensions of emotion, such as valence and arousal, and the ratings of clips in them.

A rating is a number that raters gave a clip; readers of corpora keep it among the clip's attributes, by the name of its dimension.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.text import nearest, shorten_list


def check_dimensions(dimensions: Sequence[str], bounds: Sequence[float]) -> None:
    """Check the fields `corpus.dimensions` and `corpus.dimension_bounds`.

    Raises:
      ValueError: a dimension without a name or named twice, or bounds that are not two rising numbers.
    """
    if len(set(dimensions)) < len(dimensions) or not all(name.isidentifier() for name in dimensions):
        raise ValueError(
            f"--config.corpus.dimensions must be names of letters, digits and underscores, each once, such as ('valence','arousal'), got "
            f"{tuple(dimensions)}"
        )
    if bounds and (len(bounds) != 2 or bounds[0] >= bounds[1]):
        raise ValueError(
            "--config.corpus.dimension_bounds must be the lowest and the highest rating of the scale, such as (1.0,5.0), got "
            f"{tuple(bounds)}"
        )


def ratings_of(clips: Sequence[Clip], dimensions: Sequence[str], bounds: Sequence[float] = ()) -> np.ndarray:
    """Return the ratings of clips, (C, D) float64, NaN where a clip has none; a warning counts ratings outside of the scale.

    Args:
      dimensions: D names of attributes of the clips.
      bounds: lowest and highest rating of the scale; () has no ends. A rating outside counts as none: such numbers are codes for "not
        rated", such as -2 in AffectNet, or slips of a rater.

    Raises:
      ValueError: no clip has a rating in a dimension, with the attributes that the clips have; or a rating is no number.
    """
    found = np.full((len(clips), len(dimensions)), np.nan)
    for column, dimension in enumerate(dimensions):
        for row, clip in enumerate(clips):
            if text := clip.attributes.get(dimension, ""):
                found[row, column] = _number(clip, dimension, text)
        if bounds:
            is_outside = (found[:, column] < bounds[0]) | (found[:, column] > bounds[1])
            if is_outside.any():
                outside = [f"{clips[row].clip_id} ({found[row, column]:g})" for row in np.flatnonzero(is_outside).tolist()]
                warnings.warn(
                    f"{dimension}: {len(outside)} of {len(clips)} clips have a rating outside of the scale {bounds[0]:g} to {bounds[1]:g} "
                    f"(--config.corpus.dimension_bounds) and count as not rated: {shorten_list(outside)}",
                    stacklevel=2,
                )
                found[is_outside, column] = np.nan
        if np.isnan(found[:, column]).all():
            names = sorted({name for clip in clips for name in clip.attributes})
            raise ValueError(
                f"none of {len(clips)} clips has a rating of {dimension!r} (--config.corpus.dimensions){nearest(dimension, names)}; "
                f"attributes of the clips: {', '.join(names) or 'none'}"
            )
    return found


def _number(clip: Clip, dimension: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"clip {clip.clip_id}: expected a number as its {dimension} (--config.corpus.dimensions), got {text!r}") from None
