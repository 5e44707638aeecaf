"""The ONNX file of a model folder that takes sound, beside the prediction of the folder: the largest difference of a probability.

    python -m benchmarks.from_sound --model my_model /data/RAVDESS/Actor_01/*.wav

The files are predicted whole, as in training (`--window_s=0`), and each segment goes through ONNX Runtime as samples. The folder is one of
`--mode=export --programs=onnx` of a system that takes sound alone. Exit code 1 where a difference is above --most.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FILE = "network_from_sound.onnx"


def largest_difference(model: Path, files: Sequence[Path]) -> tuple[float, int, float]:
    """Return the largest difference of a probability, the number of segments, and ms a segment in ONNX Runtime.

    Raises:
      ValueError: the folder has no program that takes sound, or one that takes other streams too.
    """
    import onnxruntime

    from avemo_jax import api
    from avemo_jax.modes.stored import stored_experiment
    from avemo_jax.system_views import views_in_use
    from data_prep.decoding.sound import stream_audio
    from data_prep.views import make_view

    session = onnxruntime.InferenceSession(model / FILE, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    ((_, (name, params)),) = views_in_use(stored_experiment(str(model), {})).items()
    if len(names) != 2:
        raise ValueError(f"{model / FILE}: expected the stream of a system that takes sound alone, found {', '.join(names)}")
    view, num_samples = make_view(name, **params), session.get_inputs()[0].shape[1]
    differences, spent_s = [], 0.0
    with api.load(model, window_s=0) as loaded:
        for path in files:
            pieces = stream_audio(path, rate_hz=view.sample_rate_hz, segment_s=view.segment_s)
            for segment, piece in zip(loaded.predict(path).segments, pieces, strict=False):  # a short last piece is no segment
                if len(piece) > num_samples:
                    print(f"{path}: left out {len(piece) / view.sample_rate_hz:.1f} s, more than the longest clip of training")
                    continue
                samples = np.zeros((1, num_samples), np.float32)
                samples[0, : len(piece)] = piece
                start_s = time.perf_counter()
                (found,) = session.run(None, {names[0]: samples, names[1]: np.arange(num_samples)[None] < len(piece)})
                spent_s += time.perf_counter() - start_s
                differences.append(float(np.abs(found[0] - segment.probabilities).max()))
    return max(differences), len(differences), 1000 * spent_s / len(differences)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--most", type=float, default=1e-4, help="largest difference that is no failure")
    parser.add_argument("files", nargs="+", type=Path, help="recordings")
    arguments = parser.parse_args()
    found = largest_difference(arguments.model, arguments.files)
    described = json.loads((arguments.model / "model.json").read_text())
    print("{}: largest difference {:.1e} over {} segments; {:.1f} ms a segment".format(described["system"], *found))
    return int(not found[0] <= arguments.most)


if __name__ == "__main__":
    sys.exit(main())
