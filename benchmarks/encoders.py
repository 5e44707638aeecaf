"""Benchmark of frozen encoders: ours against Keras and PyTorch with the same weights and inputs, in turns in one process (A B A B).

    python -m benchmarks.encoders                          all of them
    python -m benchmarks.encoders --net vgg16 --rounds 9
    KERAS_BACKEND=torch python -m benchmarks.encoders      Keras on another backend than TensorFlow, as one process has one of them
    python -m benchmarks.encoders --give_back              ours with the default settings of glibc's allocator
    XLA_FLAGS=... python -m benchmarks.encoders            the effect of a flag

Prints for each net and side the median time of a batch, inputs per second, the ratio of a round's times to ours (median over rounds, least
and largest), and the largest difference from our outputs, relative to their largest value. The side "plain" is ours without Winograd's
transforms (avemo_jax/models/winograd.py), so its ratio is their gain. The PyTorch side has no InceptionV3; Keras on PyTorch has. Of vision
transformers it is the transformers library, and Keras has none.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import keras
import numpy as np
import torch
import transformers

from avemo_jax.allocator import keep_freed_memory
from avemo_jax.experiment.features import compiler_flags
from avemo_jax.experiment.frozen_encoder import FrozenEncoder
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.encoders.vision_transformer.published import PUBLISHED
from avemo_jax.pretrained.load import load_pretrained
from benchmarks.turns import Run, Timing, format_ratio, measure_batch
from benchmarks.twins_torch import encoder_from_keras


class Net(NamedTuple):
    """One net on all sides.

    Attributes:
      batch: batch of inputs.
      spec: spec of our encoder.
      variables: weights of our encoder.
      model: the net in Keras; None where it has none.
      is_chain: whether its layers form a chain, which can be converted to PyTorch.
      twin: the net in PyTorch, where it is not converted from Keras: a batch as ours takes it -> features.
    """

    batch: np.ndarray
    spec: EncoderSpec
    variables: Any
    model: Any
    is_chain: bool = True
    twin: Run | None = None


def inception_v3(batch_size: int) -> Net:
    """Return InceptionV3: pictures of 299 px to 2048 features."""
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3), pooling="avg")
    batch = np.random.default_rng(0).uniform(-1, 1, (batch_size, 299, 299, 3)).astype(np.float32)
    spec = EncoderSpec("inception_v3")
    return Net(batch, spec, _through_a_file(model, spec, batch), model, is_chain=False)


def vgg16(batch_size: int) -> Net:
    """Return VGG16: pictures of 224 px to the 4096 features of fc7."""
    model = keras.applications.VGG16(weights=None)
    batch = np.random.default_rng(0).normal(0, 60, (batch_size, 224, 224, 3)).astype(np.float32)
    spec = EncoderSpec("vgg16")
    return Net(batch, spec, _through_a_file(model, spec, batch), keras.Model(model.input, model.get_layer("fc2").output))


def vgg16_48(batch_size: int) -> Net:
    """Return VGG16 on faces of 48 px, to the 512 features of the averaged last pooling."""
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(48, 48, 3), pooling="avg")
    batch = np.random.default_rng(0).normal(0, 60, (batch_size, 48, 48, 3)).astype(np.float32)
    spec = EncoderSpec("vgg16", "global_avg")
    return Net(batch, spec, _through_a_file(model, spec, batch), model)


def vggish(batch_size: int) -> Net:
    """Return VGGish: log-mel patches to 128 features; Keras has no such model, so it is built here from Keras layers."""
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
    return Net(batch, EncoderSpec("vggish"), {"params": weights}, model)


def _vision_transformer(name: str, batch_size: int, model: Any, prefix: str) -> Net:
    """Return one of our vision transformers with the weights of a module of the transformers library, through a folder of its own."""
    batch = np.random.default_rng(0).integers(0, 256, (batch_size, 224, 224, 3), np.uint8)
    spec = EncoderSpec(name)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        like = spec.variable_shapes(batch.shape[1:], "uint8")
        variables = load_pretrained(spec.record.weights, folder, Path(folder), like)[0]
    normalisation = PUBLISHED[name].design.normalisation
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (normalisation.mean, normalisation.deviation))
    encoder = getattr(model.eval(), prefix) if prefix else model.eval()

    def twin(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pictures = (torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - mean) / deviation
            return encoder(pictures).last_hidden_state[:, 0].numpy()

    return Net(batch, spec, variables, None, is_chain=False, twin=twin)


def vit_base_16(batch_size: int) -> Net:
    """Return ViT, base size: pictures of 224 px as 197 tokens of 768 numbers."""
    return _vision_transformer("vit_base_16", batch_size, transformers.ViTForImageClassification(transformers.ViTConfig()), "vit")


def dinov2_small(batch_size: int) -> Net:
    """Return DINOv2, small size: pictures of 224 px as 257 tokens of 384 numbers."""
    config = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)
    return _vision_transformer("dinov2_small", batch_size, transformers.Dinov2Model(config), "")


NETS = {
    "inception_v3": (inception_v3, 16),
    "vgg16": (vgg16, 8),
    "vgg16_48": (vgg16_48, 64),
    "vggish": (vggish, 32),
    "vit_base_16": (vit_base_16, 8),
    "dinov2_small": (dinov2_small, 8),
}


def _through_a_file(model: Any, spec: EncoderSpec, batch: np.ndarray) -> dict[str, Any]:
    """Return the weights of a Keras model as our variables, saved to a file and read like published weights."""
    like = spec.variable_shapes(batch.shape[1:], str(batch.dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.weights.h5"
        model.save_weights(path)
        return load_pretrained(spec.record.weights, str(path), path.parent, like)[0]


def _ours(net: Net) -> Run:
    """Return our side, which encodes as a run encodes a corpus."""

    def steps_of(batch: np.ndarray) -> np.ndarray:
        return batch[..., 0] if net.spec.record.input_rank == 2 else batch  # the other sides have an axis of channels

    steps = steps_of(net.batch)
    encode = FrozenEncoder(net.spec, net.variables, steps.shape[1:], str(steps.dtype)).compiled
    return lambda batch: np.asarray(encode(steps_of(batch)))


def _plain(net: Net) -> Run:
    """Return our side with plain kernels, as on accelerators."""
    shape = net.batch.shape[1:-1] if net.spec.record.input_rank == 2 else net.batch.shape[1:]
    module, variables = net.spec.frozen_module(net.variables, shape, str(net.batch.dtype), "gpu")
    on_device, encode = jax.device_put(variables), jax.jit(module.apply)
    return lambda batch: np.asarray(encode(on_device, batch.reshape(-1, *shape)))


def _keras(net: Net) -> Run:
    """Return Keras' side: the model's call, which is fastest for repeated batches, on TensorFlow as one graph."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        call = tf.function(lambda x: net.model(x, training=False))
        return lambda batch: call(tf.constant(batch)).numpy()

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return keras.ops.convert_to_numpy(net.model(batch, training=False))

    return run


def _torch(net: Net) -> Run:
    module = encoder_from_keras(net.model)

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(batch).permute(0, 3, 1, 2)).numpy()

    return run


def sides_of(net: Net) -> dict[str, Run]:
    """Return name of a side -> function from a batch to features on the host, "ours" first."""
    sides = {"ours": _ours(net)} | ({"plain": _plain(net)} if net.spec.record.winograd else {})
    if net.model is not None:
        sides |= {f"keras-{keras.backend.backend()}": _keras(net)}
    if net.twin is not None:
        return sides | {"torch": net.twin}
    return sides | ({"torch": _torch(net)} if net.is_chain else {})


def measure(net: Net, num_rounds: int, *, keeps: bool = True) -> dict[str, Timing]:
    """Return the timings of all sides; `keeps` says whether our sides keep freed memory, as in a run."""
    return measure_batch(sides_of(net), net.batch, num_rounds, keeping=("ours", "plain") if keeps else ())


def _row(name: str, batch_size: int, side: str, timing: Timing, ours: Timing) -> str:
    median = statistics.median(timing.seconds)
    ratio = "" if timing is ours else format_ratio(timing.seconds, ours.seconds)
    return f"{name:14} {batch_size:5} {side:>16} {median * 1e3:9.1f} {batch_size / median:8.1f} {ratio:>18} {timing.difference:11.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=NETS, action="append", help="may be given several times; all by default")
    parser.add_argument("--batch_size", type=int, default=0, help="batch size; 0: that of each net")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--give_back", action="store_true", help="our sides give freed memory back to the system too")
    arguments = parser.parse_args()
    os.environ.setdefault("XLA_FLAGS", compiler_flags())  # as in the process that makes features for a run
    if not arguments.give_back:
        keep_freed_memory()  # before threads start
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, keras {keras.__version__}, torch {torch.__version__}")
    print(f"{len(os.sched_getaffinity(0))} cores, XLA_FLAGS={os.environ.get('XLA_FLAGS', '')!r}, {arguments.rounds} rounds")
    print(f"{'net':14} {'batch':>5} {'side':>16} {'ms':>9} {'inputs/s':>8} {'side / ours':>18} {'difference':>11}")
    for name in arguments.net or NETS:
        make, batch_size = NETS[name]
        batch_size = arguments.batch_size or batch_size
        keras.utils.set_random_seed(0)
        timings = measure(make(batch_size), arguments.rounds, keeps=not arguments.give_back)
        for side, timing in timings.items():
            print(_row(name, batch_size, side, timing, timings["ours"]), flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
