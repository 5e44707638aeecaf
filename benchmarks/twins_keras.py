"""The networks of `benchmarks.cross_validation` as a Keras user writes them, trained fold after fold with `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers, ops

from avemo_jax.config import Train
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.training.stage import Stage
from benchmarks.made_experiment import parts_of


def contextual_temporal(audio: Any, video: Any, dropout_rate: float) -> Any:
    """A2's fused network: a GRU over each stream, both at one width and length, a GRU over the two."""
    nearest = ((2 * np.arange(video.shape[1]) + 1) * audio.shape[1]) // (2 * video.shape[1])
    audio = layers.Dense(128, "tanh")(layers.GRU(256, return_sequences=True)(audio))
    video = layers.Dense(128, "tanh")(layers.GRU(256, return_sequences=True)(video))
    joined = layers.Concatenate()([layers.Lambda(lambda x: ops.take(x, nearest, axis=1))(audio), video])
    return layers.Dropout(dropout_rate)(layers.GRU(256)(layers.Dense(128, "tanh")(joined)))


def gru_attention(x: Any, dropout_rate: float) -> Any:
    """E's audio network: three GRU layers with batch norm between them, attention over time, a dense layer, batch norm."""
    for _ in range(2):
        x = layers.Dropout(dropout_rate)(layers.BatchNormalization()(layers.GRU(256, return_sequences=True)(x)))
    x, last = layers.GRU(256, return_sequences=True, return_state=True)(x)
    return _attended(x, last, 256, dropout_rate)


def small_cnn(x: Any, dropout_rate: float) -> Any:
    """Our small network of pictures: three blocks of convolution, pooling and layer norm on each frame, a GRU, attention."""
    pictures = keras.Sequential()
    for width in (8, 16, 32):
        pictures.add(layers.Conv2D(width, 3, padding="same"))
        pictures.add(layers.MaxPooling2D())
        pictures.add(layers.GroupNormalization(1))  # one group: layer norm over the whole picture
        pictures.add(layers.ReLU())
    pictures.add(layers.GlobalAveragePooling2D())
    x = layers.TimeDistributed(pictures)(layers.Rescaling(1 / 127.5, -1)(x))
    x, last = layers.GRU(32, return_sequences=True, return_state=True)(x)
    return _attended(x, last, 32, dropout_rate)


def _attended(x: Any, last: Any, width: int, dropout_rate: float) -> Any:
    """Attention over time, asked by the last state; dropout, a dense layer, batch norm, dropout."""
    state, steps = layers.Dense(1, use_bias=False)(last), layers.Dense(1, use_bias=False)(x)
    weights = layers.Softmax(axis=1)(layers.Activation("tanh")(steps + layers.Reshape((1, 1))(state)))
    x = layers.Dropout(dropout_rate)(layers.Dot(axes=1)([x, weights]))
    x = layers.BatchNormalization()(layers.Dense(width, "relu")(layers.Reshape((width,))(x)))
    return layers.Dropout(dropout_rate)(x)


TWINS = {"ContextualTemporal": contextual_temporal, "GRUAttention": gru_attention, "SmallCNN": small_cnn}


def model(twin: str, shapes: Sequence[tuple[int, ...]], num_classes: int, dropout_rate: float) -> Any:
    """A twin for streams of the given shapes, (T, ...); its outputs are logits."""
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, layers.Dense(num_classes)(TWINS[twin](*inputs, dropout_rate)))


def fold_after_fold(twin: str, plan: GridPlan, stage: Stage) -> Callable[[], float]:
    """A function that trains one more epoch of each fold, one after another, and returns the mean validation loss."""
    recipe, train = plan.recipe(stage, plan.trials[0]), plan.experiment.train
    arrays = plan.data.arrays
    streams = [np.asarray(arrays[name], np.float32) for name in stage.streams]
    targets = keras.utils.to_categorical(arrays["label"], recipe.num_classes)
    keras.utils.set_random_seed(0)

    def compiled() -> Any:
        net = model(twin, [stream.shape[1:] for stream in streams], recipe.num_classes, train.dropout_rate)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=train.label_smoothing)
        net.compile(_optimizer(train, recipe.clip_norm), loss)
        return net

    nets = [compiled() for _ in plan.trials]
    rows = [[([stream[part] for stream in streams], targets[part]) for part in pair] for pair in parts_of(plan, stage)]

    def epoch() -> float:
        losses = []
        for net, (fitted, select) in zip(nets, rows, strict=True):
            net.fit(*fitted, batch_size=recipe.batch_size, verbose=0)
            losses.append(net.evaluate(*select, batch_size=64, verbose=0))
        return float(np.mean(losses))

    return epoch


def _optimizer(train: Train, clip_norm: float) -> Any:
    if train.optimizer == "sgd":
        return keras.optimizers.SGD(train.learning_rate, train.momentum, global_clipnorm=clip_norm)
    return keras.optimizers.AdamW(train.learning_rate, train.weight_decay, global_clipnorm=clip_norm)
