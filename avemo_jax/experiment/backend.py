"""Settings of XLA, made before anything is compiled; every mode makes the same ones, so that results agree to the bit."""

from __future__ import annotations

import os
from pathlib import Path

import jax

from avemo_jax.allocator import keep_freed_memory
from avemo_jax.cache_folders import can_write
from avemo_jax.config import Experiment
from avemo_jax.experiment.compiled_programs import remove_damaged_programs
from avemo_jax.experiment.features import compiler_flags
from avemo_jax.experiment.networks import trained_encoder
from avemo_jax.text import nearest

# `devices.product_precision` -> JAX's name. "bfloat16" of JAX itself only asks for the fastest kind, which on a GPU is tensorfloat32.
PRECISIONS = {"default": None, "bfloat16": "BF16_BF16_F32", "tensorfloat32": "tensorfloat32", "float32": "float32"}


def set_up_backend(experiment: Experiment, *, encodes: bool = False) -> None:
    """Set precision, compilation cache and compiler flags.

    Args:
      encodes: whether frozen encoders run in this process too, as they do for new media.

    Raises:
      ValueError: an unknown `devices.product_precision`.
    """
    precision = experiment.devices.product_precision
    if precision not in PRECISIONS:
        raise ValueError(f"devices.product_precision must be one of {tuple(PRECISIONS)}, got {precision!r}{nearest(precision, PRECISIONS)}")
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])
    cache = Path(experiment.prepared_dir).resolve() / "xla"
    is_writable = can_write(cache)
    if experiment.devices.compilation_cache and (is_writable or cache.is_dir()):
        remove_damaged_programs(cache)
        jax.config.update("jax_compilation_cache_dir", str(cache))
        # JAX stores what took that long to compile, so nothing where the folder is read-only.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5 if is_writable else float("inf"))
    if encodes:
        keep_freed_memory()
    # On CPU trials run in parallel threads, and splitting small products over all cores makes the whole slower.
    flag = compiler_flags() if encodes else "" if convolves(experiment) else "--xla_cpu_multi_thread_eigen=false"
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


def convolves(experiment: Experiment) -> bool:
    """Return whether a stream in use trains a large convolutional encoder inside the network."""
    return any(trained_encoder(experiment, stream) is not None for stream in experiment.system.streams)
