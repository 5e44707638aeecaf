"""New media in a worker process: the same segments as in this process, and a file that ends the worker costs that file alone."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_media import chirp, numbered_images, write_sound, write_video

from data_prep.live import LiveViews
from data_prep.live_worker import IsolatedViews

MFCC = ("mfcc", {"num_coefficients": 5, "sample_rate_hz": 16000, "segment_s": 2.0})
FRAMES = ("frames", {"rate_fps": 5.0, "size_px": 16, "segment_s": 2.0})


@dataclasses.dataclass
class Fatal:
    """Views of which the video ends the process in its second segment of files named bad."""

    live: LiveViews

    def __post_init__(self) -> None:
        self.views, self.segment_s, self.step_s = self.live.views, self.live.segment_s, self.live.step_s
        self.window_s = self.live.window_s

    def open(self, path: Path, absent: dict[str, list[str]], person: Any = None) -> Any:
        streams, problems = self.live.open(path, absent)
        if path.stem == "bad":
            streams["video"] = self._ended(streams["video"])
        return streams, problems

    def _ended(self, segments: Any) -> Any:
        yield next(segments)
        os._exit(3)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("live") / "film.mkv"
    write_video(path, numbered_images(125), sound=chirp(5.0, 16000))
    return path


def read(views: Any, path: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """All segments of a file, the streams in turn, and its problems."""
    streams, problems = views.open(path)
    found: dict[str, list[Any]] = {name: [] for name in streams}
    while streams:
        for name, segments in list(streams.items()):
            if (segment := next(segments, None)) is None:
                del streams[name]
            else:
                found[name].append(segment)
    return found, [f"{one.kind}: {one.detail}" for one in problems]


def test_segments_and_problems_are_those_of_this_process(film, tmp_path):
    live = LiveViews({"audio": MFCC, "video": FRAMES})
    write_sound(tmp_path / "voice.wav", chirp(3.0, 16000), rate_hz=16000, codec="pcm_s16le")
    (tmp_path / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    with IsolatedViews(live) as isolated:
        for path in (film, tmp_path / "voice.wav", tmp_path / "cut.mkv", tmp_path / "none.wav"):
            ours, theirs = read(isolated, path), read(live, path)
            assert ours[1] == theirs[1]
            assert ours[0].keys() == theirs[0].keys()
            for name, segments in theirs[0].items():
                assert len(ours[0][name]) == len(segments)
                for mine, other in zip(ours[0][name], segments, strict=True):
                    np.testing.assert_array_equal(mine.values, other.values)
                    np.testing.assert_array_equal(mine.mask, other.mask)
                    np.testing.assert_array_equal(mine.times_s, other.times_s)


def test_what_segments_lack_is_that_of_this_process(tmp_path):
    write_sound(tmp_path / "half.wav", np.concatenate([chirp(2.0, 16000), np.zeros(32000)]), rate_hz=16000, codec="pcm_s16le")
    live = LiveViews({"audio": MFCC})
    with IsolatedViews(live) as isolated:
        found: dict[str, list[str]] = {}
        streams, _ = isolated.open(tmp_path / "half.wav", found)
        assert len(list(streams["audio"])) == 2
    assert found["audio"][1] == "silence" != found["audio"][0]


def test_a_file_that_ends_the_worker_costs_its_stream_alone(film):
    bad = film.with_name("bad.mkv")
    bad.write_bytes(film.read_bytes())
    live = LiveViews({"audio": MFCC, "video": FRAMES})
    with IsolatedViews(Fatal(live)) as isolated:
        segments, problems = read(isolated, bad)
        assert len(segments["audio"]) == 3 and len(segments["video"]) == 1
        (problem,) = problems
        assert problem.startswith("undecodable: bad.mkv") and "exit code 3" in problem
        assert [len(found) for found in read(isolated, film)[0].values()] == [3, 3]
