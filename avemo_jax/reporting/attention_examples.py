"""attention.npz of a run, and what the report shows of it: attention weights over time for a few test clips, beside their predictions.

    clip             (N,) str           clip ids
    fold, seed       (N,) str, int      of the trial; with `clip` they name rows of predictions.csv
    NAME_weights     (N, T) float32     attention over the steps of the stream NAME, mean over heads; each row sums to 1 over its real steps
    NAME_times_s     (N, T) float32     middle of each step in s from the beginning of the clip; NaN where a step is padding
    NAME_keyframes   (N, T, H, W, 3) uint8, RGB: the picture of each step, where the stream has pictures

Files of earlier runs have `keyframes`, those of the stream `video`. Arrays are read without pickle.
"""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from avemo_jax.atomic import atomic_binary_file
from avemo_jax.evaluation.predictions import PredictionSource
from avemo_jax.reporting.charts import STYLES, weight_chart
from avemo_jax.reporting.pages import data_address

_KEYS = ("clip", "fold", "seed")
_OF_A_STREAM = ("_weights", "_times_s", "_keyframes")
_EARLIER_KEYFRAMES = ("keyframes", "video_keyframes")
_NUM_FRAMES = 16
_FRAME_SIZE_PX = 112  # key frames are shown small; full size would make a page of many MB


def write_attention(path: Path, **arrays: np.ndarray) -> None:
    """Write attention.npz in the format of this module's docstring.

    Raises:
      ValueError: `clip`, `fold` or `seed` is missing, a name is unknown, or the arrays do not agree on N or on the number of steps.
    """
    if unknown := sorted(name for name in arrays if name not in _KEYS and not name.endswith(_OF_A_STREAM)):
        raise ValueError(f"unknown arrays {unknown}; attention.npz has {', '.join(_KEYS)} and NAME{', NAME'.join(_OF_A_STREAM)}")
    if missing := sorted(set(_KEYS) - arrays.keys()):
        raise ValueError(f"attention.npz needs the arrays {missing}")
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    num_clips = len(arrays["clip"])
    for stream in _streams(arrays):
        shapes = {name: arrays[name].shape[:2] for name in (stream + ending for ending in _OF_A_STREAM) if name in arrays}
        pair = {f"{stream}_weights", f"{stream}_times_s"} & shapes.keys()
        if len(pair) == 1 or len(set(shapes.values())) > 1 or any(shape[0] != num_clips for shape in shapes.values()):
            raise ValueError(f"expected {stream}_weights and {stream}_times_s of one shape ({num_clips}, T), got {shapes}")
        frames = arrays.get(f"{stream}_keyframes")
        if frames is not None and (frames.dtype != np.uint8 or frames.ndim != 5):
            raise ValueError(f"expected {stream}_keyframes (N, T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    for name in ("clip", "fold"):
        arrays[name] = arrays[name].astype(str)
    with atomic_binary_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def attention_examples(path: Path, predictions: PredictionSource | None) -> list[dict[str, Any]]:
    """Return what the page shows of each clip: charts and key frames of each stream, prediction; [] where there is no attention.npz."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    earlier, now = _EARLIER_KEYFRAMES
    if earlier in arrays:
        arrays[now] = arrays.pop(earlier)
    clips = []
    for row, clip_id in enumerate(arrays["clip"].tolist()):
        real = {stream: np.isfinite(arrays[f"{stream}_times_s"][row]) for stream in _streams(arrays)}
        real = {stream: steps for stream, steps in real.items() if steps.any()}
        times_s = {stream: arrays[f"{stream}_times_s"][row][steps] for stream, steps in real.items()}
        weights = {stream: arrays[f"{stream}_weights"][row][steps] for stream, steps in real.items()}
        end_s = max((float(times.max()) for times in times_s.values()), default=0.0)
        charts, frames = [], []
        for stream, style in zip(real, itertools.cycle(STYLES)):
            title = f"attention of {clip_id} over {stream}"
            charts.append({"stream": stream, "svg": weight_chart(times_s[stream], weights[stream], title=title, style=style, end_s=end_s)})
            if f"{stream}_keyframes" in arrays:
                pictures = arrays[f"{stream}_keyframes"][row][real[stream]]
                own = [
                    {"source": picture_address(picture), "time_s": float(time_s), "weight": float(weight)}
                    for picture, time_s, weight in zip(pictures, times_s[stream], weights[stream], strict=True)
                ]
                frames.append({"stream": stream, "frames": _evenly_spaced(own, _NUM_FRAMES)})
        prediction = _prediction_of(predictions, clip_id, str(arrays["fold"][row]), int(arrays["seed"][row]))
        clips.append({"clip": clip_id, "charts": charts, "frames": frames, "prediction": prediction})
    return clips


def _streams(arrays: dict[str, np.ndarray]) -> list[str]:
    """Names of the streams, in the order of the arrays."""
    found = [name.removesuffix(ending) for name in arrays for ending in _OF_A_STREAM if name.endswith(ending)]
    return list(dict.fromkeys(found))


def _evenly_spaced(items: list, count: int) -> list:
    """At most `count` of the items, evenly spaced, with both ends."""
    if len(items) <= count:
        return items
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]


def _prediction_of(predictions: PredictionSource | None, clip_id: str, fold: str, seed: int) -> dict[str, Any] | None:
    """Label, predicted class and the three most probable classes of a clip."""
    if predictions is None or (seed, fold) not in predictions.trials:
        return None
    part = predictions.part(seed, fold)
    rows = np.flatnonzero(part.clip == clip_id)
    if not len(rows):
        return None
    probabilities = part.probabilities[rows[0]]
    top = np.argsort(-probabilities, kind="stable")[:3]
    label, predicted = part.label[rows[0]], part.predicted[rows[0]]
    return {
        "label": predictions.classes[label],
        "predicted": predictions.classes[predicted],
        "is_correct": bool(label == predicted),
        "fold": fold,
        "seed": seed,
        "top": [(predictions.classes[index], float(probabilities[index])) for index in top],
    }


def picture_address(picture: np.ndarray) -> Markup:
    """Return a picture (H, W, 3) uint8 as a small JPEG in a data URL."""
    from PIL import Image  # comes with matplotlib

    image = Image.fromarray(picture)
    image.thumbnail((_FRAME_SIZE_PX, _FRAME_SIZE_PX))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return data_address(buffer.getvalue(), "image/jpeg")
