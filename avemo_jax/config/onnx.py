"""The config of an encoder that is an ONNX file of the user."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from avemo_jax.bounds import Bounds
from avemo_jax.config.experiment import EncoderSettings

# Names of these encoders in `config.encoders`: a system with sound and picture may use two files.
ONNX_ENCODERS = ("onnx", "onnx_2")
PADDINGS = ("zero", "least")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxSettings(EncoderSettings):
    """An encoder that is an ONNX file, run by ONNX Runtime; always frozen.

    Attributes:
      weights: path of the ONNX file.
      sha256: SHA-256 of the file as its owner states it, which is then checked; "" does not check it. It is stored with every result.
      input: name of the graph's input that takes the view; "" where the graph has one input.
      axes: axes of that input, a letter each: N (clips, or steps of clips), T (steps of the view, or samples of a waveform), F (numbers of
        a step), H, W and C (height, width and channels of a picture), 1 (an axis of length 1). "NCHW" or "NHWC" takes pictures one by
        one, "NFT" or "NTF" whole segments of log-mel frames, "NT" whole waveforms.
      end_point: name of the tensor that the features are read from, an output of the graph or any tensor inside it; "" takes the graph's
        first output.
      feature_axes: axes of that tensor, as those of the input: "NTF", "NFT" or "NF" (one vector a segment). "" takes "NTF" for three axes
        and "NF" for two; features of single pictures need none, their axes behind N are flattened.
      layers: names of several tensors of one shape, separated by commas, in place of an end point; they are returned side by side.
      mean: subtracted from the view's values, one number or one for each channel (or band); () subtracts nothing. In the units of the
        view: 0 to 255 for pictures.
      deviation: the values are then divided by it, one number or one for each channel (or band); () divides by nothing.
      pad_with: value of the steps behind the end of a segment, where the graph has a fixed number of steps: "zero", or "least", the least
        value of the segment, which is silence for log-mel frames.
      pad_front: pad a segment in front of its first step, not behind its last.
      licence: of the file, as its owner states it; shown wherever the encoder is.
      trained_on: names of the corpora that the network was trained on, as configs have them, or of other collections. The leak audit
        refuses the encoder on these corpora; () is "not stated".
      resize_px: no ONNX encoder has it; set the size of the view.
      leave_out: no ONNX encoder has it; name an end point.
      overlap_s: no ONNX encoder has it; each segment is encoded by itself.
    """

    weights: str = ""
    sha256: str = ""
    input: str = ""
    axes: str = ""
    feature_axes: str = ""
    mean: Annotated[tuple[float, ...], Bounds(least=-1e9, most=1e9)] = ()
    deviation: Annotated[tuple[float, ...], Bounds(least=1e-9, most=1e9)] = ()
    pad_with: str = "zero"
    pad_front: bool = False
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    overlap_s: Annotated[float, Bounds(least=0, most=0)] = 0.0
