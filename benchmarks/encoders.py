"""Frozen encoders: ours against Keras on TensorFlow, the same weights and inputs, in one process, turn by turn (A B A B).

    python -m benchmarks.encoders                        all of them
    python -m benchmarks.encoders --net vgg16 --rounds 9
    XLA_FLAGS=... python -m benchmarks.encoders          what a flag is worth

Prints for each net the median time of a batch of either side, inputs per second, the median over rounds of the ratio of a round's two
times with its least and largest, and the largest difference of their outputs, as a part of the largest output.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import keras
import numpy as np
import tensorflow as tf

from avemo_jax.experiment.features import compiler_flags
from avemo_jax.models.inception_v3 import InceptionV3, fold_batch_norm
from avemo_jax.models.vgg import VGG16
from avemo_jax.models.vggish import VGGish
from avemo_jax.pretrained.load import load_pretrained


class Pair(NamedTuple):
    """One net on both sides: a batch, and functions from it to features that wait until they are there."""

    batch: np.ndarray
    ours: Callable[[np.ndarray], Any]
    theirs: Callable[[np.ndarray], Any]


def inception_v3(batch_size: int) -> Pair:
    """Pictures of 299 px to 2048 numbers, batch norm folded on our side; Keras' graph compiler folds what it can."""
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3), pooling="avg")
    batch = np.random.default_rng(0).uniform(-1, 1, (batch_size, 299, 299, 3)).astype(np.float32)
    variables = fold_batch_norm(_through_a_file(model, "inception_v3", InceptionV3(), batch))
    return Pair(batch, _compiled(InceptionV3(folded=True), variables), _graph(model))


def vgg16(batch_size: int) -> Pair:
    """Pictures of 224 px to the 4096 numbers of fc7."""
    model = keras.applications.VGG16(weights=None)
    batch = np.random.default_rng(0).normal(0, 60, (batch_size, 224, 224, 3)).astype(np.float32)
    variables = _through_a_file(model, "vgg16", VGG16("fc7"), batch)
    return Pair(batch, _compiled(VGG16("fc7"), variables), _graph(keras.Model(model.input, model.get_layer("fc2").output)))


def vgg16_48(batch_size: int) -> Pair:
    """Faces of 48 px to the 512 numbers of the averaged last pooling."""
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(48, 48, 3), pooling="avg")
    batch = np.random.default_rng(0).normal(0, 60, (batch_size, 48, 48, 3)).astype(np.float32)
    variables = _through_a_file(model, "vgg16", VGG16("global_avg"), batch)
    return Pair(batch, _compiled(VGG16("global_avg"), variables), _graph(model))


def vggish(batch_size: int) -> Pair:
    """Log-mel patches to 128 numbers; Keras has no such model, so its layers are put together here."""
    layers = keras.layers
    names = ["conv1", "conv2", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "fc1_1", "fc1_2", "fc2"]
    inputs = x = keras.Input((96, 64, 1))
    for name, channels, is_pooled in zip(names, (64, 128, 256, 256, 512, 512), (1, 1, 0, 1, 0, 1), strict=False):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2)(x) if is_pooled else x
    x = layers.Flatten()(x)
    for name, width, activation in (("fc1_1", 4096, "relu"), ("fc1_2", 4096, "relu"), ("fc2", 128, None)):
        x = layers.Dense(width, activation=activation, name=name)(x)
    model = keras.Model(inputs, x)
    batch = np.random.default_rng(0).normal(size=(batch_size, 96, 64, 1)).astype(np.float32)
    weights = {name: dict(zip(("kernel", "bias"), model.get_layer(name).get_weights(), strict=True)) for name in names}
    return Pair(batch, _compiled(VGGish(), {"params": weights}), _graph(model))


NETS = {"inception_v3": (inception_v3, 16), "vgg16": (vgg16, 8), "vgg16_48": (vgg16_48, 64), "vggish": (vggish, 32)}


def _through_a_file(model: Any, encoder: str, module: Any, batch: np.ndarray) -> dict[str, Any]:
    """The weights of a Keras model as our variables, by the way that published ones come."""
    like = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(batch.shape, batch.dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.weights.h5"
        model.save_weights(path)
        return load_pretrained(encoder, str(path), path.parent, like)[0]


def _compiled(module: Any, variables: Any) -> Callable[[np.ndarray], Any]:
    apply, on_device = jax.jit(module.apply), jax.device_put(variables)
    return lambda batch: np.asarray(apply(on_device, batch))


def _graph(model: Any) -> Callable[[np.ndarray], Any]:
    """Keras' fastest way for repeated batches: its call as one TensorFlow graph."""
    call = tf.function(lambda x: model(x, training=False))
    return lambda batch: call(tf.constant(batch)).numpy()


def measure(pair: Pair, num_rounds: int) -> tuple[list[float], list[float], float]:
    """Seconds of a batch of each round, ours and theirs, after a first call of each that compiles; and the difference of the outputs."""
    ours, theirs = pair.ours(pair.batch), pair.theirs(pair.batch)
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(num_rounds):
        for run, taken in zip((pair.ours, pair.theirs), seconds, strict=True):
            start = time.perf_counter()
            run(pair.batch)
            taken.append(time.perf_counter() - start)
    return *seconds, difference


def _row(name: str, batch_size: int, ours: list[float], theirs: list[float], difference: float) -> str:
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    a, b = statistics.median(ours), statistics.median(theirs)
    speeds = f"{a * 1e3:9.1f} {b * 1e3:9.1f} {batch_size / a:9.1f} {batch_size / b:9.1f}"
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    return f"{name:14} {batch_size:5} {speeds} {ratio:>20} {difference:11.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=NETS, action="append", help="may be given several times; all by default")
    parser.add_argument("--batch_size", type=int, default=0, help="0: each net's own")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.environ.setdefault("XLA_FLAGS", compiler_flags())  # as the process has in which a run makes its features
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, keras {keras.__version__}, tensorflow {tf.__version__}")
    print(f"{len(os.sched_getaffinity(0))} cores, XLA_FLAGS={os.environ.get('XLA_FLAGS', '')!r}, {arguments.rounds} rounds")
    print(f"{'net':14} {'batch':>5} {'ours ms':>9} {'keras ms':>9} {'ours /s':>9} {'keras /s':>9} {'keras / ours':>20} {'difference':>11}")
    for name in arguments.net or NETS:
        make, batch_size = NETS[name]
        batch_size = arguments.batch_size or batch_size
        keras.utils.set_random_seed(0)
        ours, theirs, difference = measure(make(batch_size), arguments.rounds)
        print(_row(name, batch_size, ours, theirs, difference))
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
