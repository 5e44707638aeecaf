"""Prepared sets of made-up segments, written by the product's own builder."""

from __future__ import annotations

import numpy as np

from avemo_jax.data.prepared import Damage, PreparedSet
from data_prep.sets.builders import write_prepared
from data_prep.sets.staging import stage, stage_lost
from data_prep.views.segments import ViewSegment


def write_set(
    directory, clips, segments_of, *, step_shape, modality="audio", view="made", dtype="float32", key="0" * 64, doubts=None
) -> PreparedSet:
    """A prepared set of these clips, made by the builder; segments_of(i) gives the segments of clip i, or its Damage.

    `doubts`: clip id -> what is wrong with a clip that has examples all the same.
    """

    def staged_clip(i, clip):
        path, made = directory / f"{modality}-{view}-{clip.clip_id}.zip", segments_of(i)
        if isinstance(made, Damage):
            return stage_lost(path, clip.clip_id, made)
        return stage(path, clip.clip_id, made, lambda: (doubts or {}).get(clip.clip_id))

    staged = [staged_clip(i, clip) for i, clip in enumerate(clips)]
    facts = {"corpus": "made", "view": view, "modality": modality, "view_params": {}, "dtype": dtype, "key": key}
    name = f"{modality}-set" if view == "made" else f"{modality}-{view}-set"
    return write_prepared(directory / name, staged=staged, clips=clips, step_shape=step_shape, **facts)


def segment(length, width, seed, offset=0.0):
    values = np.random.default_rng(seed).normal(size=(length, width)).astype(np.float32) + np.float32(offset)
    return ViewSegment(values=values, mask=np.ones(length, bool), times_s=np.arange(length, dtype=np.float32), num_seen=length)


def spanning_pictures(values):
    """The values as uint8 pictures that are black in one pixel and white in another, as a film of faces is sooner or later."""
    pictures = values.astype(np.uint8)
    pictures.flat[0], pictures.flat[-1] = 0, 255
    return pictures
