"""Features of a media file, computed while it is read, equal those of its prepared clip."""

import numpy as np
import pytest
from small_experiment import BOTH, small_config
from written_media import chirp, numbered_images, write_video

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.features import with_features
from avemo_jax.experiment.live_features import LiveFeatures, views_of
from data_prep.live import LiveViews
from data_prep.sets.derived import DerivedSets
from data_prep.sets.prepare import prepare_view

pytestmark = pytest.mark.slow


def test_live_features_are_the_prepared_ones(tmp_path):
    """Sound without an encoder, and two views of pictures through the same encoder, joined: three views in all."""
    config = small_config(
        system__streams=BOTH,
        streams__video__view="frames",
        streams__video__view_beside="still",
        streams__video__encoder="mini_xception",
        streams__video__encoder_beside="mini_xception",
        encoders__mini_xception__weights="random",
        views__frames__rate_fps=5.0,
        views__frames__size_px=16,
        views__still__size_px=16,
        views__mfcc__sample_rate_hz=16000,
        **{f"views__{view}__segment_s": 1.0 for view in ("mfcc", "frames", "still")},
    )
    clips = [Clip(clip_id=name, corpus="made", label="happy", speaker="1", audio=f"{name}.avi", video=f"{name}.avi") for name in ("a", "b")]
    for clip, length in zip(clips, (40, 45), strict=True):
        write_video(tmp_path / clip.video, numbered_images(length)[::-1], sound=chirp(length / 25, 16000))
    views = {name: config.views[name] for name in views_of(config)}
    assert list(views) == ["mfcc", "frames", "still"]
    sets = {
        name: prepare_view(
            corpus="made", root=tmp_path, clips=clips, view_name=name, view_params=params, prepared_dir=tmp_path / "prepared", num_workers=1
        )
        for name, params in views.items()
    }
    prepared = PreparedCorpus(tuple(clips), {"audio": sets["mfcc"], "video": sets["frames"]}, None, beside={"video": sets["still"]})
    encoded = with_features(config, prepared, DerivedSets(tmp_path / "prepared", "made", clips))
    live = LiveFeatures(config, LiveViews({name: (name, params) for name, params in views.items()}))
    assert live.steps == {"audio": ((13,), "float32"), "video": ((256,), "float32")}
    for clip in clips:
        streams, problems = live.open(tmp_path / clip.video)
        found = {stream: list(segments) for stream, segments in streams.items()}
        assert problems == []
        for stream, segments in found.items():
            expected = [one for one in encoded.sets[stream].examples() if one.clip_id == clip.clip_id]
            assert len(segments) == len(expected) == 2
            for one, other in zip(segments, expected, strict=True):
                np.testing.assert_array_equal(one.mask, other.mask)
                np.testing.assert_allclose(one.times_s, other.times_s, atol=1e-6)
                np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-4)
    first, second = (one.values for one in found["video"])
    assert np.abs(first[0, :128] - second[0, :128]).max() > 1e-3, "all pictures are alike, so this test could not fail"
