"""The networks of a run as one StableHLO program, which other runtimes read: from features to probabilities.

Views and frozen encoders are not inside; their features are its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from avemo_jax.atomic import atomic_binary_file
from avemo_jax.experiment.ensemble import TrainedMember
from avemo_jax.inference.predict import TrainedNet
from avemo_jax.training.frontend import network_input
from avemo_jax.training.steps import probabilities_of

STABLEHLO_FILE = "network.stablehlo"
PLATFORMS = ("cpu", "cuda", "tpu")
# Symbolic sizes that are tried, from the most general ones -> what they allow.
_SIZES = {
    "batch, time": "any batch, any length",
    "batch": "any batch, the length of training",
    "": "a batch of 1, the length of training",
}


def write_stablehlo(
    path: Path,
    members: Sequence[TrainedMember],
    steps: Mapping[str, tuple[tuple[int, ...], str]],
    num_steps: Mapping[str, int],
) -> str:
    """Write the mean probabilities of all members as a program of `jax.export`, and return what its arguments are.

    The program takes a dict: each stream, (B, T) + step_shape in the type of its features, and `<stream>_mask`, (B, T) bool, True where a
    step is real. It returns (B, K) float32, with the values of dimensions behind. `jax.export.deserialize` reads it, and `mlir_module()`
    of the result is StableHLO as text.

    Args:
      path: the file.
      members: networks of one stage each.
      steps: stream -> (step_shape, dtype).
      num_steps: stream -> steps, where the network takes no other number.

    Raises:
      ValueError: the members are no single networks.
    """
    if reason := why_no_stablehlo(members):
        raise ValueError(reason)
    nets = [next(iter(member.nets.values())) for member in members]
    program = jax.jit(_mean_probabilities(nets))
    failures = []
    for sizes in _SIZES:
        arguments = _arguments(steps, num_steps, sizes)
        try:
            exported = export.export(program, platforms=PLATFORMS)(arguments)
        except Exception as error:  # what cannot be traced with symbolic sizes raises errors of many kinds
            failures.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        with atomic_binary_file(path) as stream:
            stream.write(exported.serialize())
        shapes = ", ".join(f"{name} {one.dtype} ({', '.join(map(str, one.shape))})" for name, one in arguments.items())
        return f"{shapes}: {_SIZES[sizes]}"
    raise ValueError(f"the network cannot be exported as StableHLO: {failures[-1]}")


def why_no_stablehlo(members: Sequence[TrainedMember]) -> str:
    """Return why the models of a run are no single program, or ""."""
    if any(member.classifier is not None for member in members):
        return "StableHLO holds networks, and this system is a classical one: its arrays are in weights.safetensors"
    if any(member.rule is not None or len(member.nets) != 1 for member in members):
        return "StableHLO holds one network, and this system joins the probabilities of several (late fusion, or fusion.fallback)"
    return ""


def _mean_probabilities(nets: Sequence[TrainedNet]) -> Callable[[Mapping[str, Any]], jax.Array]:
    def mean(batch: Mapping[str, Any]) -> jax.Array:
        found = [probabilities_of(one.net, one.variables, one.scaler, network_input(one.streams, one.scaler, dict(batch))) for one in nets]
        return jnp.mean(jnp.stack(found), axis=0)

    return mean


def _arguments(
    steps: Mapping[str, tuple[tuple[int, ...], str]], num_steps: Mapping[str, int], sizes: str
) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of the arguments; streams have a symbolic length each, where `sizes` has "time"."""
    scope = export.SymbolicScope()
    (batch,) = export.symbolic_shape("batch", scope=scope) if "batch" in sizes else (1,)
    found = {}
    for name, (step_shape, dtype) in steps.items():
        (time,) = export.symbolic_shape(f"time_{name}", scope=scope) if "time" in sizes else (num_steps[name],)
        found[name] = jax.ShapeDtypeStruct((batch, time, *step_shape), np.dtype(dtype))
        found[f"{name}_mask"] = jax.ShapeDtypeStruct((batch, time), np.bool_)
    return found
