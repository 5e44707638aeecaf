"""The record of an encoder: all that configs, networks, weights and the leak audit know about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from avemo_jax.pretrained.layout import WeightsLayout


@dataclasses.dataclass(frozen=True)
class Encoder:
    """One encoder. There are two kinds, behind one contract (`contract.encode`):

    - an encoder of steps (`times` is None): its module maps x (N, ...), steps of any clips, to features (N, ...);
    - an encoder of sequences (`times` is given): its module maps a whole segment, values (B, T, ...) and mask (B, T), to features
      (B, T', D) and their mask (B, T'), where T' may differ from T. Masked steps are zero in `values`, real ones may be followed by any
      number of masked ones, and neither may change the features of real steps.

    Attributes:
      name: key of `ENCODERS`.
      make: (end_point, **attributes) -> the module. Attributes are those below that the encoder has: `resize_px`, `tokens`, `folded`,
        `winograd`, `lora_rank`, and `layers`, a tuple of names, where several layers are asked for.
      end_points: in order of computation.
      features: the end point that systems use by default.
      input_kind: what a step of its view holds, for messages: "log-mel patch", "picture", "frames", "optical flow", "log-mel frame".
      input_rank: axes of a step: 2 for a spectrogram patch (frames, bands), 3 for a picture (H, W, C), 4 for a window of frames, 1 for a
        frame of a spectrogram, 0 for a sample of a waveform.
      licence: of the weights, as their owner states it.
      trained_on: names of corpora as configs have them, or of other collections; None where the owner does not state them. The leak audit
        compares them with the corpora of a run.
      weights: layouts and assets of the published weights; several where a second file completes the first. () where none is published.
      layers: end points whose features have one shape, which the field `layers` selects by index; () where there is no such choice.
      resized: it has the attribute `resize_px`, a size to which it resizes its pictures.
      tokens: values of its attribute `tokens`, which part of a layer a feature is read from, the default first; () where it has none.
      fold: variables -> those of the module with folded=True, which gives the same features faster and is for frozen use alone: batch
        norms are folded into convolutions. None where there are none.
      winograd: the module has the attribute winograd, for frozen use on CPU: wide kernels are transformed. Libraries of accelerators
        have such transforms themselves.
      takes_lora: the module has the attribute lora_rank: its attention can be trained along by matrices of low rank.
      times: of an encoder of sequences: (T,) float32, times of a view's steps in s -> (T',) float32, times of the features. Its length
        decides T' of a segment of T steps.
      chunk_steps: of an encoder of sequences: largest number of steps of its view that are encoded together, where a clip has several
        segments, which are read in chunks that overlap (`experiment.overlapping_chunks`); 0 encodes each segment by itself.
      fewest_steps: of an encoder of sequences: shorter segments are padded to so many steps.
      growth: its largest activations in units of its inputs as float32, roughly; frozen use sizes batches by it.
    """

    name: str
    make: Callable[..., nn.Module]
    end_points: tuple[str, ...]
    features: str
    input_kind: str
    input_rank: int
    licence: str
    trained_on: tuple[str, ...] | None
    weights: tuple[WeightsLayout, ...] = ()
    layers: tuple[str, ...] = ()
    resized: bool = False
    tokens: tuple[str, ...] = ()
    fold: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    winograd: bool = False
    takes_lora: bool = False
    times: Callable[[np.ndarray], np.ndarray] | None = None
    chunk_steps: int = 0
    fewest_steps: int = 1
    growth: int = 50

    def __post_init__(self):
        unknown = [point for point in (self.features, *self.layers) if point not in self.end_points]
        if unknown:
            raise ValueError(f"encoder {self.name}: expected end points among {self.end_points}, got {', '.join(unknown)}")

    @property
    def takes_sequences(self) -> bool:
        """Whether it is an encoder of sequences, not of steps."""
        return self.times is not None

    def frozen_on(self, backend: str) -> tuple[str, ...]:
        """What a frozen module is made with, of "folded" and "winograd", on a backend as `jax.default_backend()` names it."""
        fits = {"folded": self.fold is not None, "winograd": self.winograd and backend == "cpu"}
        return tuple(name for name, does in fits.items() if does)

    def feature_times(self, times_s: np.ndarray) -> np.ndarray:
        """Return the times (T',) float32 in s of the features of a segment whose steps have the times (T,)."""
        return times_s if self.times is None else np.asarray(self.times(times_s), np.float32)
