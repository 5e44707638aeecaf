"""The networks of a run as one program, which other runtimes read: from features to probabilities.

Views and frozen encoders are not inside; their features are its input. A second program takes sound in place of the features of those
views that are arithmetic on samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from avemo_jax.atomic import atomic_binary_file
from avemo_jax.experiment.onnx_program import as_onnx, check_onnx_packages
from avemo_jax.experiment.trained_members import TrainedMember
from avemo_jax.experiment.view_program import mel_steps, num_samples_of
from avemo_jax.inference.predict import TrainedNet
from avemo_jax.mel_arithmetic import MelArithmetic
from avemo_jax.text import nearest
from avemo_jax.training.frontend import network_input
from avemo_jax.training.steps import probabilities_of

PLATFORMS = ("cpu", "cuda", "tpu")
NOT_WRITTEN = "not written: "

Steps = Mapping[str, tuple[tuple[int, ...], str]]  # stream -> (step_shape, dtype)
Mean = Callable[[Mapping[str, Any]], jax.Array]


@dataclasses.dataclass(frozen=True)
class ProgramFormat:
    """A format of programs.

    Attributes:
      file: name of the file in a model folder.
      runtime: what reads it, for the model card.
      convert: function of (program, shapes of its arguments) -> bytes of the file.
      sizes: symbolic sizes that are tried, from the most general ones -> what they allow.
      check_packages: raises RuntimeError where a package is missing.
    """

    file: str
    runtime: str
    convert: Callable[[Mean, Mapping[str, jax.ShapeDtypeStruct]], bytes]
    sizes: Mapping[str, str]
    check_packages: Callable[[], None] = lambda: None

    @property
    def file_from_sound(self) -> str:
        """Name of the file of the program that takes sound."""
        stem, dot, suffix = self.file.partition(".")
        return f"{stem}_from_sound{dot}{suffix}"


def write_program(
    name: str,
    path: Path,
    members: Sequence[TrainedMember],
    steps: Steps,
    num_steps: Mapping[str, int],
    sound: Mapping[str, MelArithmetic] | None = None,
) -> str:
    """Write the mean probabilities of all members as a program, and return what its arguments are, or "not written: " and why.

    The program takes each stream, (B, T) + step_shape in the type of its features, and `<stream>_mask`, (B, T) bool, True where a step is
    real. It returns (B, K) float32, with the values of dimensions behind. Streams in `sound` are (B, S) float32 samples in [-1, 1], with
    a mask (B, S) that is True up to the end of a sound.

    Args:
      name: of a format in `PROGRAMS`.
      path: the file.
      members: of a run.
      steps: stream -> (step_shape, dtype).
      num_steps: stream -> steps, where the network takes no other number.
      sound: stream -> its view, computed inside the program.
    """
    sound = sound or {}
    if reason := why_no_program(members):
        return f"{NOT_WRITTEN}{reason}"
    one = PROGRAMS[name]
    program = _mean_probabilities([next(iter(member.nets.values())) for member in members])
    if sound:
        program = _from_sound(program, sound, num_steps)
    failures = []
    for sizes, allowed in one.sizes.items():
        if sound and "time" in sizes:
            continue  # a sound's number of samples is fixed
        arguments = _arguments(steps, num_steps, sizes, sound)
        try:
            content = one.convert(program, arguments)
        except Exception as error:  # what cannot be traced or converted with symbolic sizes raises errors of many kinds
            failures.append(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
            continue
        with atomic_binary_file(path) as stream:
            stream.write(content)
        shapes = ", ".join(f"{name} {own.dtype} ({', '.join(map(str, own.shape))})" for name, own in arguments.items())
        rates = "".join(f"; {stream} is sound of {view.sample_rate_hz} Hz" for stream, view in sound.items())
        return f"{shapes}: {allowed}{rates}"
    return f"{NOT_WRITTEN}this network cannot be converted: {failures[-1]}"


def check_programs(names: Sequence[str]) -> None:
    """Check that formats exist and that the packages which write them are installed.

    Raises:
      ValueError: an unknown format.
      RuntimeError: a package is missing; the message has the command that installs it.
    """
    for name in names:
        if name not in PROGRAMS:
            raise ValueError(f"--programs names {name!r}; expected {' or '.join(PROGRAMS)}{nearest(name, PROGRAMS)}")
        PROGRAMS[name].check_packages()


def why_no_program(members: Sequence[TrainedMember]) -> str:
    """Return why the models of a run are no single program, or ""."""
    if any(member.classifier is not None for member in members):
        return "programs hold networks, and this system is a classical one: its arrays are in weights.safetensors"
    if any(member.rule is not None or len(member.nets) != 1 for member in members):
        return "a program holds one network, and this system joins the probabilities of several (late fusion, or fusion.fallback)"
    return ""


def _mean_probabilities(nets: Sequence[TrainedNet]) -> Mean:
    def mean(batch: Mapping[str, Any]) -> jax.Array:
        found = [probabilities_of(one.net, one.variables, one.scaler, network_input(one.streams, one.scaler, dict(batch))) for one in nets]
        return jnp.mean(jnp.stack(found), axis=0)

    return mean


def _from_sound(program: Mean, sound: Mapping[str, MelArithmetic], num_steps: Mapping[str, int]) -> Mean:
    def from_sound(batch: Mapping[str, Any]) -> jax.Array:
        found = dict(batch)
        for stream, view in sound.items():
            found[stream], found[f"{stream}_mask"] = mel_steps(batch[stream], batch[f"{stream}_mask"], view, num_steps[stream])
        return program(found)

    return from_sound


def _arguments(
    steps: Steps, num_steps: Mapping[str, int], sizes: str, sound: Mapping[str, MelArithmetic]
) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of the arguments; streams have a symbolic length each, where `sizes` has "time"."""
    scope = export.SymbolicScope()
    (batch,) = export.symbolic_shape("batch", scope=scope) if "batch" in sizes else (1,)
    found = {}
    for name, (step_shape, dtype) in steps.items():
        length = num_steps[name]
        if name in sound:
            length, step_shape, dtype = num_samples_of(sound[name], length), (), "float32"
        (time,) = export.symbolic_shape(f"time_{name}", scope=scope) if "time" in sizes else (length,)
        found[name] = jax.ShapeDtypeStruct((batch, time, *step_shape), np.dtype(dtype))
        found[f"{name}_mask"] = jax.ShapeDtypeStruct((batch, time), np.bool_)
    return found


def _as_stablehlo(program: Mean, arguments: Mapping[str, jax.ShapeDtypeStruct]) -> bytes:
    """Return a program of `jax.export`: `deserialize` reads it, and `mlir_module()` of the result is StableHLO as text."""
    return bytes(export.export(jax.jit(program), platforms=PLATFORMS)(dict(arguments)).serialize())


_ANY_BATCH = {"batch": "any batch, the length of training", "": "a batch of 1, the length of training"}
PROGRAMS: Mapping[str, ProgramFormat] = {
    "stablehlo": ProgramFormat(
        "network.stablehlo",
        f"StableHLO for {', '.join(PLATFORMS)} (`jax.export.deserialize`)",
        _as_stablehlo,
        {"batch, time": "any batch, any length"} | _ANY_BATCH,
    ),
    # Of symbolic lengths, jax2onnx 0.17 cannot convert recurrence; shorter clips are padded, and their mask says so.
    "onnx": ProgramFormat("network.onnx", "ONNX (ONNX Runtime and others)", as_onnx, _ANY_BATCH, check_onnx_packages),
}
