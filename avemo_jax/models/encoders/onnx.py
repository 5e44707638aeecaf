"""An ONNX file as a frozen encoder: what it takes from a view, and ONNX Runtime run over it.

The file is the user's: nothing of it is known but what the config says of it (`OnnxSettings`) and what its graph has. Both are compared
with the view before any work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.config.onnx import PADDINGS, OnnxSettings
from avemo_jax.pretrained.onnx_graph import CutGraph, GraphInput, cut_graph, graph_sha256

# Axes of a step of a view, by their number.
STEP_AXES = ("", "F", "HW", "HWC")
_LETTERS = "NTFHWC1"
_SOME_SAMPLES, _SOME_FRAMES = 16_000, 200  # of a segment that tells the shape of the features: enough for any network's windows
_INPUT_DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int16", "int32")


@dataclasses.dataclass(frozen=True)
class OnnxSpec:
    """An ONNX file as a system uses it.

    Attributes:
      name: key of `config.encoders`.
      settings: of `config.encoders.<name>`.

    Raises:
      ValueError: settings that contradict each other, or that no ONNX encoder has; the message names the flag.
    """

    name: str
    settings: OnnxSettings

    def __post_init__(self):
        own = self.settings
        for field in ("resize_px", "leave_out"):
            if getattr(own, field):
                raise ValueError(f"{self._field(field)}={getattr(own, field)!r}: an ONNX encoder has no {field}; leave it out")
        if own.weights in ("", "published", "random"):
            raise ValueError(f"encoder {self.name} needs an ONNX file, got weights={own.weights!r}; set --{self._field('weights')}=PATH")
        if own.end_point and own.layers:
            raise ValueError(f"encoder {self.name}: set end_point={own.end_point!r} or layers={own.layers!r}, not both")
        if own.pad_with not in PADDINGS:
            raise ValueError(f"--{self._field('pad_with')} must be one of {PADDINGS}, got {own.pad_with!r}")
        for field in ("axes", "feature_axes"):
            self._check_axes(field, getattr(own, field))
        if own.feature_axes and not self.takes_sequences:
            raise ValueError(f"--{self._field('feature_axes')} is for whole segments (an axis T in axes={own.axes!r}); leave it empty")

    def _check_axes(self, field: str, axes: str) -> None:
        known = _LETTERS if field == "axes" else "NTF1"
        twice = [letter for letter in axes if letter != "1" and axes.count(letter) > 1]
        if (field == "axes" or axes) and (axes.count("N") != 1 or twice or not set(axes) <= set(known)):
            raise ValueError(
                f"--{self._field(field)} must name the axes in their order, of {', '.join(known)}, N once and none but 1 twice; such "
                f"as 'NCHW' (pictures), 'NTF' (segments of frames) or 'NT' (waveforms); got {axes!r}"
            )

    def _field(self, name: str) -> str:
        return f"config.encoders.{self.name}.{name}"

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return Path(self.settings.weights)

    @property
    def takes_sequences(self) -> bool:
        """Whether the graph takes whole segments, not single steps."""
        return "T" in self.settings.axes

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that the features are read from; () stands for the graph's first output."""
        names = self.settings.layers.split(",") if self.settings.layers else [self.settings.end_point]
        return tuple(name.strip() for name in names if name.strip())

    @property
    def described(self) -> dict[str, Any]:
        """Everything beside the file that determines the features."""
        left_out = ("weights", "sha256", "licence", "trained_on", "resize_px", "leave_out", "overlap_s")
        values = {name: value for name, value in dataclasses.asdict(self.settings).items() if name not in left_out}
        return {"encoder": self.name} | {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def sha256(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
          FileNotFoundError, ValueError: there is no such file, it is no ONNX file, or not the one that `sha256` names.
        """
        found, expected = graph_sha256(self.path), self.settings.sha256.strip().lower()
        if expected and found != expected:
            raise ValueError(
                f"{self.path}: expected SHA-256 {expected} (--{self._field('sha256')}), found {found}: it is another file; get it anew"
            )
        return found

    def feature_shape(self, step_shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
        """Return the shape of one step of the features: (D,), or (L, D) with `layers`. The graph is run once on zeros."""
        features = _zeros_through(self, tuple(step_shape), dtype, *_state(self.path))
        return features.shape[2:] if self.takes_sequences else features.shape[1:]

    def session(self, step_shape: tuple[int, ...]) -> OnnxSession:
        """Return the graph, ready to run over steps of that shape.

        Raises:
          FileNotFoundError, ValueError: there is no such file or tensor, or the view does not fit the graph's input.
        """
        return _session(self, tuple(step_shape), *_state(self.path))


class OnnxSession:
    """A graph in ONNX Runtime, with the view's values brought into the order of its input's axes.

    Attributes:
      input: the graph's input.
      num_steps: fixed number of steps of the input; 0 where it is free or there is none.
      batch_size: fixed number of examples of the input; 0 where it is free.
    """

    def __init__(self, spec: OnnxSpec, step_shape: tuple[int, ...]):
        self._spec = spec
        cut = cut_graph(spec.path, spec.tensors, spec.settings.input)
        self.input = cut.input
        lengths = _lengths(spec, step_shape, self.input)
        self.num_steps, self.batch_size = lengths.get("T", 0), lengths.get("N", 0)
        self._mean, self._deviation = (_statistics(spec, name, step_shape) for name in ("mean", "deviation"))
        self._order = [_view_axes(spec, step_shape).index(letter) for letter in spec.settings.axes if letter != "1"]
        self._ones = [place for place, letter in enumerate(spec.settings.axes) if letter == "1"]
        self._session = _start(spec, cut)

    def run(self, values: np.ndarray) -> np.ndarray:
        """Run the graph.

        Args:
          values: (N, T, *step_shape) of whole segments, or (N, *step_shape) of single steps, as the view has them.

        Returns:
          float32: (N, T', D) of segments, (N, D) of steps; an axis of layers in front of D where several were named.

        Raises:
          ValueError: the graph fails on them, or its tensor is not of floating-point numbers or not as `feature_axes` says.
        """
        num_examples = len(values)
        if self.batch_size:
            values = np.concatenate([values, np.zeros((max(self.batch_size - num_examples, 0), *values.shape[1:]), values.dtype)])
        x = np.ascontiguousarray(np.expand_dims(values.transpose(self._order), tuple(self._ones)).astype(self.input.dtype))
        with _as_value_error(f"{self._spec.path}: it cannot be run on an input of shape {x.shape}"):
            found = self._session.run(None, {self.input.name: x})
        outputs = [self._as_features(one, name, len(values))[:num_examples] for one, name in zip(found, self._names, strict=True)]
        if not self._spec.settings.layers:
            return outputs[0]
        shapes = {one.shape for one in outputs}
        if len(shapes) > 1:
            raise ValueError(
                f"{self._spec.path}: expected layers of one shape, found {', '.join(map(str, sorted(shapes)))}; name those of one"
            )
        return np.stack(outputs, axis=-2)

    def normalized(self, values: np.ndarray) -> np.ndarray:
        """Return values less `mean`, divided by `deviation`, float32; unchanged where neither is set."""
        if self._mean is None and self._deviation is None:
            return values
        centred = values.astype(np.float32) - (0 if self._mean is None else self._mean)
        return centred / np.float32(1 if self._deviation is None else self._deviation)

    @property
    def _names(self) -> list[str]:
        return [one.name for one in self._session.get_outputs()]

    def _as_features(self, values: np.ndarray, name: str, num_examples: int) -> np.ndarray:
        if not (isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.floating)):
            kind = getattr(values, "dtype", type(values).__name__)
            raise ValueError(f"{self._spec.path}: expected floating-point numbers in the tensor {name!r}, found {kind}; name another one")
        values = values.astype(np.float32)
        if not self._spec.takes_sequences:
            if values.ndim < 2 or len(values) != num_examples:
                raise ValueError(
                    f"{self._spec.path}: expected (N, ...) in the tensor {name!r} for {num_examples} steps, found {values.shape}"
                )
            return values.reshape(num_examples, -1)
        axes = self._spec.settings.feature_axes or ("NF" if values.ndim == 2 else "NTF")
        if values.ndim != len(axes) or "F" not in axes:
            raise ValueError(
                f"{self._spec.path}: the tensor {name!r} has the shape {values.shape}, which the axes {axes!r} do not fit; set "
                f"--{self._spec._field('feature_axes')} to its axes, of N, T, F and 1"
            )
        values = values.squeeze(tuple(place for place, letter in enumerate(axes) if letter == "1"))
        letters = axes.replace("1", "")
        values = values.transpose([letters.index(letter) for letter in "NTF" if letter in letters])
        return values if "T" in letters else values[:, None]


def check_onnx(spec: OnnxSpec, step_shape: tuple[int, ...], dtype: str) -> str:
    """Check a file against a view; return its SHA-256.

    Raises:
      FileNotFoundError, ValueError: see `OnnxSpec.sha256` and `OnnxSpec.session`.
    """
    sha256 = spec.sha256()
    spec.feature_shape(step_shape, dtype)
    return sha256


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, which stand for its content; zeros where it is missing, which its reader says."""
    with contextlib.suppress(OSError):
        return path.stat().st_size, path.stat().st_mtime_ns
    return 0, 0


@functools.lru_cache(maxsize=4)
def _session(spec: OnnxSpec, step_shape: tuple[int, ...], *_: int) -> OnnxSession:
    return OnnxSession(spec, step_shape)


@functools.lru_cache(maxsize=16)
def _zeros_through(spec: OnnxSpec, step_shape: tuple[int, ...], dtype: str, *state: int) -> np.ndarray:
    session = spec.session(step_shape)
    some_steps = _SOME_FRAMES if step_shape else _SOME_SAMPLES
    steps = (session.num_steps or some_steps,) if spec.takes_sequences else ()
    return session.run(np.zeros((session.batch_size or 1, *steps, *step_shape), dtype))


def _view_axes(spec: OnnxSpec, step_shape: Sequence[int]) -> str:
    return ("NT" if spec.takes_sequences else "N") + STEP_AXES[len(step_shape)]


def _lengths(spec: OnnxSpec, step_shape: tuple[int, ...], own: GraphInput) -> Mapping[str, int]:
    """Return axis -> its fixed length, for those that the graph fixes.

    Raises:
      ValueError: the graph's input does not have the axes that the config says, or the view's steps do not fit them.
    """
    axes, shape = spec.settings.axes, own.shape
    flag = f"--{spec._field('axes')}"
    if own.dtype not in _INPUT_DTYPES:
        raise ValueError(f"{spec.path}: expected an input of numbers, {own.name!r} has the type {own.dtype or 'unknown'}")
    if len(axes) != len(shape):
        raise ValueError(f"{spec.path}: its input {own.name!r} has {len(shape)} axes, {shape}, and {flag} names {len(axes)}: {axes}")
    wanted = _view_axes(spec, step_shape) if len(step_shape) < len(STEP_AXES) else ""
    if sorted(axes.replace("1", "")) != sorted(wanted):
        expected = f"the axes {', '.join(wanted)} in the order of the graph's input" if wanted else "a view of fewer axes"
        raise ValueError(
            f"{spec.path}: the view has steps of {step_shape}, which do not fit {flag}={axes}; expected {expected} {shape}, or another view"
        )
    fixed = {letter: length for letter, length in zip(axes, shape, strict=True) if isinstance(length, int) and length}
    own_lengths = dict(zip(STEP_AXES[len(step_shape)], step_shape, strict=True)) | {"1": 1}
    for letter, length in fixed.items():
        if own_lengths.get(letter, length) != length:
            raise ValueError(
                f"{spec.path}: its input {own.name!r} has the shape {shape}, so axis {letter} of {flag}={axes} has the length {length}, "
                f"and the view {own_lengths[letter]} (steps of {step_shape}); set the view to that size, or correct the axes"
            )
    return fixed


def _statistics(spec: OnnxSpec, name: str, step_shape: tuple[int, ...]) -> np.ndarray | None:
    numbers = getattr(spec.settings, name)
    if numbers and len(numbers) not in (1, *step_shape[-1:]):
        raise ValueError(f"--{spec._field(name)} must have one number or {step_shape[-1] if step_shape else 1}, got {numbers}")
    return np.asarray(numbers, np.float32) if numbers else None


def _start(spec: OnnxSpec, cut: CutGraph) -> Any:
    import onnxruntime  # late: an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes need the cores
    options.log_severity_level = 3  # errors
    with _as_value_error(f"{spec.path}: ONNX Runtime {onnxruntime.__version__} cannot load it"):
        return onnxruntime.InferenceSession(cut.content, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _as_value_error(what: str):
    """Turn the errors of ONNX Runtime, which have no common type but Exception, into a sentence of one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{what}: {str(error).splitlines()[0]}") from error
