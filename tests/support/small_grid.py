"""A small problem for the engine's tests: two folds of a corpus of feature sequences, four trials, a network of a few units."""

from __future__ import annotations

import dataclasses

import numpy as np

from avemo_jax import parallel
from avemo_jax.config import SWEPT
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.training.execution import Execution, TrialProgram
from avemo_jax.training.state import Recipe, StreamRecipe
from avemo_jax.training.trials import make_inputs, make_trials

NUM_CLIPS, NUM_STEPS, NUM_FEATURES, NUM_CLASSES = 50, 7, 3, 4
HYPER = dict.fromkeys(SWEPT, 0.0) | {
    "learning_rate": 0.02,
    "momentum": 0.9,
    "weight_decay": 0.01,
    "dropout_rate": 0.2,
    "label_smoothing": 0.1,
}
NOTHING = {"params": {}, "batch_stats": {}}


def stream_recipes(*names: str, **fields) -> tuple[StreamRecipe, ...]:
    """Recipes of streams that are all of a system, in this order."""
    return tuple(StreamRecipe(name=name, key_index=index, **fields) for index, name in enumerate(names))


RECIPE = Recipe(
    num_classes=NUM_CLASSES,
    num_clips=NUM_CLIPS,
    num_epochs=3,
    batch_size=8,
    optimizer="adam",
    clip_norm=5.0,
    schedule="cosine",
    warmup_epochs=0,
    plateau_patience_epochs=5,
    plateau_factor=0.5,
    early_stop_patience_epochs=0,
    metric="uar",
    streams=stream_recipes("audio"),
)


def make_data(seed: int = 0) -> dict[str, np.ndarray]:
    """Sequences with a mean that depends on the class, of 4 to 7 real steps."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, NUM_CLASSES, NUM_CLIPS).astype(np.int32)
    centre = rng.normal(size=(NUM_CLASSES, 1, NUM_FEATURES))
    audio = (centre[label] + rng.normal(size=(NUM_CLIPS, NUM_STEPS, NUM_FEATURES))).astype(np.float32)
    mask = np.arange(NUM_STEPS)[None] < rng.integers(4, NUM_STEPS + 1, NUM_CLIPS)[:, None]
    clip = np.arange(NUM_CLIPS, dtype=np.int32)
    return {"audio": audio, "audio_mask": mask, "label": label, "clip": clip, "usable": np.ones(NUM_CLIPS, bool)}


def make_net() -> EmotionNet:
    return EmotionNet(NUM_CLASSES, {"audio": BranchSpec(context_units=(5,), dense_units=(4,))})


def make_trial_inputs():
    """Four trials: two folds of unequal size x two learning rates."""
    trials = make_trials(num_folds=2, seeds=(3,), hyper=HYPER, sweep={"learning_rate": (0.02, 0.05)})
    rows = np.arange(NUM_CLIPS)
    parts = [(rows[:30], rows[30:40]), (rows[13:], rows[:13])]
    return trials, make_inputs(trials, [parts[trial.fold] for trial in trials])


def program(execution: str = "loop_scan", *, recipe: Recipe = RECIPE, mesh=None, data=None, num_steps: int = 5) -> TrialProgram:
    mesh = mesh or parallel.make_mesh(devices=parallel.jax.devices()[:1])
    return TrialProgram(make_net(), recipe, make_data() if data is None else data, Execution(*execution.split("_")), mesh, num_steps)


def run(one: TrialProgram, inputs, num_epochs: int = 3):
    """Train from scratch; return states and, epoch after epoch, metrics, as lists of numpy trees."""
    lanes = one.lanes(inputs)
    states = one.init(lanes, one.lanes([NOTHING] * len(inputs)))
    metrics = []
    for _ in range(num_epochs):
        states, record = one.epoch(lanes, states)
        metrics.append(one.trials(record, len(inputs)))
    return one.trials(states, len(inputs)), metrics


def changed(**fields) -> Recipe:
    return dataclasses.replace(RECIPE, **fields)
