"""Benchmark of the tf.data feed: its rate by itself, and the time that training of an encoder waits for it.

    python -m benchmarks.stream                              InceptionV3 at 299 px, all of it trained
    python -m benchmarks.stream --feed_only                  the feed alone
    taskset -c 0 python -m benchmarks.stream --feed_only     on one core

A prepared set of drawn faces is made, as `--config.views.still` makes one, and read with `devices.feed=stream`.

Prints for the feed alone, which reads, decompresses, pads and copies: pictures and MB per second, processor time of a picture, and the
number of cores for 1000 pictures a second. Then, for training steps without and with augmentation (which is part of the compiled step, not
of the feed): seconds of an epoch (its training steps and the validation part), pictures per second, and the stall, which is the share of
that time in which the loops waited for their next batch, whether or not the device was still busy. Each is the median over rounds, the
stall with its least and largest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.config import Experiment, parse
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.data.stream import StreamedSet
from avemo_jax.experiment.features import with_features
from avemo_jax.experiment.grid_plan import GridPlan, make_plan
from avemo_jax.labels import label_set
from avemo_jax.parallel import make_mesh
from avemo_jax.training.stage import NO_WARM_START
from avemo_jax.training.stream_program import StreamProgram
from configs import base
from data_prep.corpora import synthetic_face
from data_prep.sets.builders import write_prepared
from data_prep.sets.derived import DerivedSets
from data_prep.sets.staging import stage, staged_path
from data_prep.views.segments import ViewSegment

LABELS = "ravdess8"
NUM_SPEAKERS = 8
AUGMENTED = {"max_rotate_deg": 10.0, "max_zoom": 0.1, "max_shift": 0.1, "flip": True}


class Feed(NamedTuple):
    """Measurement of the feed alone: wall-clock and processor seconds, number of pictures and bytes of each."""

    wall_s: float
    cpu_s: float
    num_pictures: int
    picture_bytes: int


class Steps(NamedTuple):
    """Measurement of an epoch: its seconds, the seconds spent waiting for batches, and the number of pictures."""

    seconds: float
    waited_s: float
    num_pictures: int


def drawn_corpus(folder: Path, *, num_examples: int, size_px: int, gray: bool) -> PreparedCorpus:
    """Return a prepared set with one drawn face a clip, (size_px, size_px, 3) uint8 or grey, with eight speakers and emotions in turn."""
    emotions = label_set(LABELS).classes
    clips, staged = [], []
    for number in range(num_examples):
        speaker, emotion = number % NUM_SPEAKERS, emotions[number // NUM_SPEAKERS % len(emotions)]
        clips.append(Clip(clip_id=f"c{number:05d}", corpus="drawn", label=emotion, speaker=f"s{speaker}"))
        looks = synthetic_face.Looks.draw(np.random.default_rng([7, speaker]), male=bool(speaker % 2))
        *_, drawn = synthetic_face.frames(np.random.default_rng(number), looks, emotion, np.zeros(2), 2.0)
        picture = cv2.resize(drawn, (size_px, size_px))
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] if gray else picture
        segment = ViewSegment(picture[None], np.ones(1, bool), np.zeros(1, np.float32), 1)
        staged.append(stage(staged_path(folder / "staging", clips[-1].clip_id), clips[-1].clip_id, [segment]))
    faces = write_prepared(
        folder / "drawn-still",
        staged=staged,
        clips=clips,
        corpus="drawn",
        view="still",
        modality="video",
        view_params={},
        step_shape=(size_px, size_px, 1 if gray else 3),
        dtype="uint8",
        key="0" * 64,
    )
    return PreparedCorpus(tuple(clips), {"video": faces}, None)


def tuned_experiment(folder: Path, *, encoder: str, end_point: str, batch_size: int, augmentation: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a picture network with a trained encoder, fed from disk; end_point "" is the encoder's default one."""
    config = base.get_config()
    network = {
        "encoder": encoder,
        "encoder_trained_from": "all",
        "context": "none",
        "pooling": "mean",
        "dense_units": (),
        "batch_norm": False,
    }
    base.use(config, "tuned", ("video",), video=base.stream(view="still", standardize="none", **network))
    with config.unlocked():
        config.corpus.name, config.corpus.label_set = "drawn", LABELS
        config.workdir, config.prepared_dir = str(folder / "run"), str(folder / "prepared")
        config.protocol.name, config.protocol.baseline = "holdout_50_25_25", False
        config.train.stages, config.train.batch_size = ("video",), batch_size
        config.streams.video.augmentation.update(dict(augmentation))
        config.encoders[encoder].weights = "random"
        config.encoders[encoder].end_point = end_point or config.encoders[encoder].end_point
        config.devices.feed = "stream"
    return parse(config.to_dict())


def plans_on(drawn: PreparedCorpus, folder: Path, *, encoder: str, end_point: str, batch_size: int) -> dict[str, GridPlan]:
    """Return the plans of training on drawn pictures, "plain" and "augmented"."""
    plans = {}
    for name, augmentation in {"plain": {}, "augmented": AUGMENTED}.items():
        experiment = tuned_experiment(folder, encoder=encoder, end_point=end_point, batch_size=batch_size, augmentation=augmentation)
        store = DerivedSets(Path(experiment.prepared_dir), "drawn", drawn.clips)
        plans[name] = make_plan(experiment, with_features(experiment, drawn, store))
    return plans


def feed_alone(stream: StreamedSet, *, batch_size: int, num_pictures: int) -> Feed:
    """Return the measurement of reading at least `num_pictures` pictures in batches, without using them."""
    rows = np.arange(len(stream.arrays["clip"]), dtype=np.int32)
    order = np.resize(rows, -(-num_pictures // batch_size) * batch_size)
    step_shape, dtype = stream.step_of("video")
    wall_s, cpu_s, found = time.perf_counter(), time.process_time(), 0
    for batch in stream.batches(order, np.ones(len(order), bool), batch_size):
        found += int(batch["video_mask"].sum())
    picture_bytes = int(np.prod(step_shape)) * np.dtype(dtype).itemsize
    return Feed(time.perf_counter() - wall_s, time.process_time() - cpu_s, found, picture_bytes)


class Watched:
    """A stream that measures how long its caller waits for each batch."""

    def __init__(self, stream: StreamedSet):
        self._stream = stream
        self.waited_s, self.num_pictures = 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def batches(self, order: np.ndarray, real: np.ndarray, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        batches = self._stream.batches(order, real, batch_size)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited_s += time.perf_counter() - start
            if batch is None:
                return
            self.num_pictures += int(batch["video_mask"].sum())
            yield batch


def epochs(plan: GridPlan, num_rounds: int) -> Iterator[Steps]:
    """Train one trial; yield the measurement of an epoch in each round, after a first one that compiles."""
    stage, trial = plan.stages[0], plan.trials[0]
    inputs = plan.inputs(stage, [trial])
    mesh = make_mesh(data_shards=1)
    watched = Watched(plan.data.only(stage.streams))
    num_steps = -(-int(inputs[0].train_count) // plan.recipe(stage, trial).batch_size)
    program = StreamProgram(plan.blueprint.net(stage, trial.fields), plan.recipe(stage, trial), watched, mesh, num_steps)  # type: ignore[arg-type]
    lanes = program.lanes(inputs)
    states = program.init(lanes, program.lanes([NO_WARM_START]))
    for number in range(num_rounds + 1):
        watched.waited_s, watched.num_pictures = 0.0, 0
        start = time.perf_counter()
        states, metrics = program.epoch(lanes, states)
        jax.block_until_ready((states, metrics))
        if number:
            yield Steps(time.perf_counter() - start, watched.waited_s, watched.num_pictures)


def format_feed(feeds: list[Feed]) -> str:
    rate = statistics.median(feed.num_pictures / feed.wall_s for feed in feeds)
    cpu_s = statistics.median(feed.cpu_s / feed.num_pictures for feed in feeds)
    speed = f"{rate:.0f} pictures/s, {rate * feeds[0].picture_bytes / 1e6:.0f} MB/s"
    return f"feed alone: {speed}; {cpu_s * 1e3:.2f} ms of a processor a picture, so {1000 * cpu_s:.1f} cores for 1000 pictures/s"


def format_steps(name: str, rounds: list[Steps]) -> str:
    stalls = sorted(one.waited_s / one.seconds for one in rounds)
    seconds = statistics.median(one.seconds for one in rounds)
    rate = statistics.median(one.num_pictures / one.seconds for one in rounds)
    stall = f"{statistics.median(stalls):.2%} ({stalls[0]:.2%}-{stalls[-1]:.2%})"
    return f"{name:10} {seconds:9.2f} {rate:12.2f} {stall:>24}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="inception_v3")
    parser.add_argument("--end_point", default="", help="end point of the encoder; default: that of its record")
    parser.add_argument("--size_px", type=int, default=299)
    parser.add_argument("--gray", action="store_true")
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=2048, help="number of pictures that the feed alone reads in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--feed_only", action="store_true")
    arguments = parser.parse_args()
    for line in measure(**vars(arguments)):
        print(line, flush=True)


def measure(
    *, encoder: str, end_point: str, size_px: int, gray: bool, examples: int, batch_size: int, pictures: int, rounds: int, feed_only: bool
) -> Iterator[str]:
    """Yield the lines of the report; the arguments are those of the command."""
    hardware = f"{len(os.sched_getaffinity(0))} cores, {jax.devices()[0].device_kind}"
    yield f"{hardware}; {encoder} at {size_px} px, batches of {batch_size}, {rounds} rounds"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        drawn = drawn_corpus(folder, num_examples=examples, size_px=size_px, gray=gray)
        plans = plans_on(drawn, folder, encoder=encoder, end_point=end_point, batch_size=batch_size)
        stream = plans["plain"].data
        feed_alone(stream, batch_size=batch_size, num_pictures=batch_size)  # loads TensorFlow
        yield format_feed([feed_alone(stream, batch_size=batch_size, num_pictures=pictures) for _ in range(rounds)])
        if feed_only:
            return
        yield f"{'steps':10} {'epoch s':>9} {'pictures/s':>12} {'stall':>24}"
        for name, plan in plans.items():
            yield format_steps(name, list(epochs(plan, rounds)))


if __name__ == "__main__":
    main()
