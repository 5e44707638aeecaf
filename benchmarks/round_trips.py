"""Round trips of systems through a model folder: the largest difference of a probability between a run and its folder.

    python -m benchmarks.round_trips                                   every system of the demo
    python -m benchmarks.round_trips --systems small:audio,functionals_linear --keep FOLDER

    python -m benchmarks.round_trips --programs=onnx,stablehlo        and whether the networks can be written for other runtimes

Each system is trained for one epoch on a tiny synthetic corpus, with random encoders where it has any, and exported; the run and a copy of
the folder then predict the same films. Prints one row a system: the number of models, the size of the folder, the largest difference, and
of each program "written" (ONNX files are checked against the network before) or why not. Systems of tables and of ONNX encoders, which a
synthetic corpus does not have, are left out by name. Exit code 1 where a difference is above --most, or a system cannot be trained,
exported or used for prediction.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.predict import demo_experiment

_NUM_FILES = 2


def round_trip(system: str, folder: Path, programs: Sequence[str]) -> tuple[int, float, float, dict[str, str]]:
    """Return the number of models of a system, its model folder's size in MB, the largest difference of a probability, and its programs.

    Args:
      folder: for the corpus and prepared sets, which systems share, and the run.
      programs: formats that are written too.

    Raises:
      ValueError, OSError: it cannot be trained here, exported, or used for prediction.
    """
    from avemo_jax import api
    from avemo_jax.config.overrides import with_fields
    from avemo_jax.modes.stored import stored_experiment

    experiment = demo_experiment(system, folder, num_actors=6, num_takes=1, num_folds=3)
    experiment = with_fields(experiment, {"late.num_inner_folds": 2})  # of the two speakers of a training part
    api.train(experiment)
    model = folder / "models" / system
    shutil.rmtree(model, ignore_errors=True)
    described = api.export(experiment, output=str(model), programs=programs)
    files = [str(path) for path in sorted((folder / "corpus").rglob("*.mp4"))[:_NUM_FILES]]
    outputs = [folder / "predictions" / system / kind for kind in ("run", "model")]
    for output in outputs:
        shutil.rmtree(output, ignore_errors=True)
    moved = stored_experiment(str(model), {"prepared_dir": experiment.prepared_dir, "weights_dir": experiment.weights_dir})
    found = [api.predict(one, files, output=str(output)) for one, output in zip((experiment, moved), outputs, strict=True)]
    differences = [
        np.abs(own.probabilities - theirs.probabilities).max()
        for of_run, of_model in zip(*found, strict=True)
        for own, theirs in zip(of_run.segments, of_model.segments, strict=True)
    ]
    size_mb = sum(path.stat().st_size for path in model.iterdir()) / 1e6
    if not differences:
        raise ValueError("nothing was predicted: " + "; ".join(one.detail for each in found[0] for one in each.problems))
    return len(described["members"]), size_mb, float(max(differences)), described.get("programs", {})


def main() -> int:
    from configs import demo

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=",".join(demo.SYSTEMS), help="names, separated by commas")
    parser.add_argument("--keep", type=Path, help="folder of corpus, runs and models; default: a temporary one")
    parser.add_argument("--most", type=float, default=1e-5, help="largest difference that is no failure")
    parser.add_argument("--programs", default="", help="stablehlo, onnx: formats that are written too, separated by commas")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.programs.split(",") if name]
    has_failed = False
    print(f"{'system':36} {'models':>6} {'MB':>7}  largest difference")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        for system in arguments.systems.split(","):
            if reason := why_left_out(system):
                print(f"{system:36} {'-':>6} {'-':>7}  left out: {reason}", flush=True)
                continue
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    num_models, size_mb, difference, programs = round_trip(system, folder, chosen)
            except Exception as error:  # whatever it is, it is this system's
                has_failed = True
                print(f"{system:36} {'-':>6} {'-':>7}  FAILED: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
                continue
            has_failed |= not difference <= arguments.most
            said = "".join(f"; {name} {what if what.startswith('not') else 'written'}" for name, what in programs.items())
            print(f"{system:36} {num_models:6} {size_mb:7.2f}  {difference:.1e}{said}", flush=True)
    return int(has_failed)


def why_left_out(system: str) -> str:
    """Return why a system cannot be trained on the synthetic corpus alone, or ""."""
    from configs import demo

    streams = demo.get_config(system).streams
    used = [streams[name] for name in demo.get_config(system).system.streams]
    if any(stream.view == "table" for stream in used):
        return "it reads a table, which has no row of new media, so that it cannot be exported"
    return "its encoder is an ONNX file" if any(stream.encoder == "onnx" for stream in used) else ""


if __name__ == "__main__":
    sys.exit(main())
