"""The benchmark of the feed at its smallest size: every picture is read, waiting is measured, and the lines have these numbers."""

from __future__ import annotations

import time

import numpy as np
import pytest

from avemo_jax.data.stream import open_stream
from benchmarks.stream import Feed, Steps, Watched, drawn_corpus, feed_alone, format_feed, format_steps, measure


def test_the_feed_reads_the_drawn_pictures(tmp_path):
    corpus = drawn_corpus(tmp_path, num_examples=5, size_px=12, gray=False)
    stream = open_stream(corpus.clips, [0] * 5, corpus.sets)
    feed = feed_alone(stream, batch_size=4, num_pictures=9)
    assert feed.num_pictures == 12 and feed.picture_bytes == 12 * 12 * 3 and feed.wall_s > 0  # whole batches
    pictures = [example.values for example in corpus.sets["video"].examples()]
    assert pictures[0].shape == (1, 12, 12, 3) and len({picture.tobytes() for picture in pictures}) == 5


def test_waiting_is_counted_and_working_is_not():
    class Slow:
        def batches(self, order, real, batch_size):
            for _ in range(2):
                time.sleep(0.02)
                yield {"video_mask": np.ones((batch_size, 3), bool)}

    watched = Watched(Slow())  # type: ignore[arg-type]
    for _ in watched.batches(np.arange(4), np.ones(4, bool), 2):
        time.sleep(0.2)
    assert 0.04 <= watched.waited_s < 0.3 and watched.num_pictures == 12


def test_lines_by_hand():
    feed = Feed(2.0, 1.0, 500, 4000)
    assert format_feed([feed]) == ("feed alone: 250 pictures/s, 1 MB/s; 2.00 ms of a processor a picture, so 2.0 cores for 1000 pictures/s")
    line = format_steps("plain", [Steps(2.0, 0.5, 10), Steps(4.0, 0.2, 10), Steps(2.0, 0.2, 10)])
    assert line.split() == ["plain", "2.00", "5.00", "10.00%", "(5.00%-25.00%)"]


@pytest.mark.long  # a whole run of a script that measures
def test_the_report():
    small = {"encoder": "mini_xception", "end_point": "stem", "size_px": 16, "gray": True, "examples": 32, "batch_size": 16}
    lines = list(measure(**small, pictures=8, rounds=1, feed_only=False))
    assert lines[0].endswith("mini_xception at 16 px, batches of 16, 1 rounds") and lines[1].startswith("feed alone: ")
    assert [line.split()[0] for line in lines[2:]] == ["steps", "plain", "augmented"]
