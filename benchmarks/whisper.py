"""Benchmark of Whisper's encoder in float32: ours against other libraries with the same weights and inputs, in turns (A B A B).

    python -m benchmarks.whisper                                   base: eight clips of 30 s, one of 30 s, one of 3.5 s
    python -m benchmarks.whisper --clips 1x30 16x4 --rounds 9      number of clips x their length in s
    python -m benchmarks.whisper --weights FOLDER                  the owner's weights in place of random ones

The other sides are the encoder of the transformers library on torch, the same network exported to onnxruntime, and CTranslate2
(`pip install ctranslate2`; without it that side is missing). All give the last hidden state. Those of the transformers library take clips
of 30 s alone; for shorter ones their table of positions is cut, as ours is.

Prints for each side the median time of a batch, its median processor time over all threads, the ratio of a round's times to ours (median
over rounds, least and largest), the same of processor times, and the largest difference from our outputs, relative to their largest value.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
import transformers

from avemo_jax.allocator import keep_freed_memory
from avemo_jax.experiment.features import compiler_flags
from avemo_jax.experiment.frozen_encoder import FrozenEncoder
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.encoders.whisper import SIZES
from avemo_jax.models.encoders.whisper.module import FRAMES_A_STEP
from avemo_jax.pretrained.load import load_pretrained
from benchmarks.random_whisper import random_whisper
from benchmarks.turns import Run, Timing, format_ratio, measure_batch

FRAMES_A_SECOND = 100
NUM_CORES = len(os.sched_getaffinity(0))


def ours(name: str, folder: Path, num_mels: int) -> Run:
    """Return our side, which encodes as a run encodes a corpus."""
    spec = EncoderSpec(name, layers="-1")
    variables, _ = load_pretrained(spec.record.weights, str(folder), folder, spec.variable_shapes((num_mels,), "float32"))
    encode = FrozenEncoder(spec, variables, (num_mels,), "float32").compiled
    return lambda batch: np.asarray(encode(batch, np.ones(batch.shape[:2], bool)).features)


class OfTransformers(torch.nn.Module):
    """The encoder of the transformers library, (B, T, M) to (B, T / 2, D), for clips of one length."""

    def __init__(self, whisper: Any, num_frames: int):
        super().__init__()
        self.encoder = whisper.model.encoder
        num_steps = num_frames // FRAMES_A_STEP
        self.encoder.embed_positions = torch.nn.Embedding.from_pretrained(self.encoder.embed_positions.weight[:num_steps])
        self.encoder.max_source_positions = self.encoder.config.max_source_positions = num_steps

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.encoder(batch.transpose(1, 2)).last_hidden_state


def of_torch(module: torch.nn.Module, device: str = "cpu") -> Run:
    """Return the side of torch, from a batch on the host to its outputs on the host."""
    module = module.to(device)

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(batch).to(device)).cpu().numpy()

    return run


def of_onnxruntime(module: torch.nn.Module, batch: np.ndarray, folder: Path) -> Run:
    """Return the side of onnxruntime: the module, exported for batches of that shape, with all of its graph optimisations."""
    import onnxruntime  # late: `benchmarks.gpu` measures the side of torch where it is missing

    path = folder / "encoder.onnx"
    with torch.inference_mode():
        torch.onnx.export(module, (torch.from_numpy(batch),), path, input_names=["batch"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = NUM_CORES
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"batch": batch})[0]


def of_ctranslate2(whisper: Any, folder: Path) -> Run:
    """Return the side of CTranslate2, whose file is written from the module, as folders without a tokenizer have no converter."""
    import ctranslate2
    from ctranslate2.converters.transformers import WhisperLoader

    spec = WhisperLoader().get_model_spec(whisper)
    spec.register_vocabulary([str(number) for number in range(whisper.config.vocab_size)])
    spec.validate()
    spec.optimize()
    folder.mkdir()
    spec.save(str(folder))
    model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32", intra_threads=NUM_CORES)

    def run(batch: np.ndarray) -> np.ndarray:
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(batch.swapaxes(1, 2)))
        return np.array(model.encode(features, to_cpu=True))

    return run


def sides_of(name: str, whisper: Any, batch: np.ndarray, folder: Path) -> dict[str, Run]:
    """Return name of a side -> function from log-mel frames (B, T, M) to the last hidden state (B, T / 2, D), "ours" first.

    Args:
      name: of our encoder.
      whisper: of the transformers library; its positions are cut to the length of the clips.
      batch: float32.
      folder: for the files of the other sides.
    """
    whisper.save_pretrained(folder / "safetensors")
    sides = {"ours": ours(name, folder / "safetensors", batch.shape[-1])}
    translated = {"ctranslate2": of_ctranslate2(whisper, folder / "ctranslate2")} if find_spec("ctranslate2") else {}
    module = OfTransformers(whisper, batch.shape[1]).eval()
    return sides | {"torch": of_torch(module), "onnxruntime": of_onnxruntime(module, batch, folder)} | translated


def _row(clips: str, side: str, timing: Timing, ours: Timing) -> str:
    median, processor = (statistics.median(values) * 1e3 for values in (timing.seconds, timing.processor_s))
    ratios = ("", "") if timing is ours else map(format_ratio, timing[:2], ours[:2])
    return f"{clips:8} {side:>12} {median:9.1f} {processor:13.1f} {''.join(f'{one:>19}' for one in ratios)} {timing.difference:11.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", choices=SIZES, default="whisper_base")
    parser.add_argument("--weights", type=Path, help="folder with config.json and model.safetensors; random weights by default")
    parser.add_argument("--clips", nargs="+", default=["8x30", "1x30", "1x3.5"], help="number of clips x their length in s")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.environ.setdefault("XLA_FLAGS", compiler_flags())  # as in the process that makes features for a run
    keep_freed_memory()  # before threads start
    torch.set_num_threads(NUM_CORES)
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, torch {torch.__version__}, onnxruntime {version('onnxruntime')}")
    print(f"{NUM_CORES} cores, load {os.getloadavg()[0]:.1f}, XLA_FLAGS={os.environ['XLA_FLAGS']!r}, {arguments.rounds} rounds")
    print(f"{'clips':8} {'side':>12} {'ms':>9} {'processor, ms':>13} {'side / ours':>19}{'of processor time':>19} {'difference':>11}")
    for clips in arguments.clips:
        count, _, seconds = clips.partition("x")
        shape = (int(count), round(float(seconds) * FRAMES_A_SECOND), SIZES[arguments.name][0].num_mels)
        batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        from_pretrained = transformers.WhisperForConditionalGeneration.from_pretrained
        whisper = from_pretrained(arguments.weights) if arguments.weights else random_whisper(SIZES[arguments.name][0])
        with tempfile.TemporaryDirectory() as folder:
            sides = sides_of(arguments.name, whisper.float().eval(), batch, Path(folder))
            timings = measure_batch(sides, batch, arguments.rounds, keeping=("ours",))
        for side, timing in timings.items():
            print(_row(clips, side, timing, timings["ours"]), flush=True)


if __name__ == "__main__":
    main()
