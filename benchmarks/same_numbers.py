"""Check that a change of code changes no result: the same small runs before and after it, with predictions compared byte for byte.

    python -m benchmarks.same_numbers --record FOLDER     # at the commit before
    python -m benchmarks.same_numbers --against FOLDER    # at the commit after; exit code 1 where a file differs

The runs are every published system with all of its stages on a small synthetic corpus, three demo runs, a sweep, a search and the classical
system. Both commits must run on the same computer, since processors round differently. `make same-numbers` does all of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ("audio", "video", "audio_video")
SMALL = (
    "corpus.num_actors=6",
    "corpus.num_takes=1",
    "protocol.num_folds=3",
    "train.num_epochs=2",
    "train.batch_size=16",
    "train.tensorboard=False",
    "late.num_inner_folds=2",
    "views.keyframes.num_frames=2",
    "views.keyframes.size_px=75",
    "views.faces.rate_fps=2.0",
    "views.faces.size_px=32",
    "views.speech_faces.num_frames=2",
    "views.speech_faces.size_px=32",
)
_NARROW = ("streams.audio.context_units=(4,)", "streams.video.context_units=(4,)")
_JOINED = (*_NARROW, "fusion.width=4", "fusion.num_units=4")
# Run -> (config, its overrides in addition to SMALL).
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a1_late": ("handcrafted_late_fusion", (*_JOINED, "views.hog.rate_fps=2.0", "views.faces.size_px=112")),
    "a2": ("contextual_temporal", _JOINED),
    "a3": ("contextual_temporal:attention", _JOINED),
    "b_vote": (
        "vgg19_lstm_attention",
        (
            *("fusion.width=4", "streams.video.frame_units=512"),  # tokens of one width
            *("encoders.vgg19.end_point=global_avg", "encoders.vgg19.resize_px=32", "views.speech_segments.shift_frames=100"),
        ),
    ),
    "c_audio": ("mfcc_lstm:small_corpus", ()),
    "c_image": ("image_cnn", ("streams.video.encoder_units=(4,4)",)),
    "c_joined": (
        "image_audio_fusion",
        ("streams.image.encoder_units=(4,4)", "streams.video.encoder_units=(4,4)", "train.overrides=('audio:train.num_epochs=3',)"),
    ),
    "d_stacked": ("stacking", _JOINED),
    "d_out_of_fold": ("stacking:out_of_fold", _JOINED),
    "e_fused": ("gru_attention:fused", (*_NARROW, "views.mfcc.sample_rate_hz=16000")),
    "e_small": ("gru_attention_small", ("streams.audio.context_units=(4,)",)),
    "svm": ("functionals_svm", ()),
    "linear": ("functionals_linear", ()),
    "sweep": ("audio", ("sweep.learning_rate=(1e-3,3e-3)", "sweep.fields=('streams.audio.context_units=(4,)|(8,)',)")),
    "search": (
        "audio",
        ("search.space=('learning_rate=3e-4..3e-2 log','streams.audio.pooling=attention|last')", "search.num_settings=4", "search.batch=2"),
    ),
}


def run_all(folder: Path, work: Path) -> bool:
    """Train every run below `work`, and copy its predictions to `folder` as RUN.csv; return whether all of them ended well."""
    folder.mkdir(parents=True, exist_ok=True)
    shared = (f"corpus.root={work / 'corpus'}", f"prepared_dir={work / 'prepared'}")
    whole = (f"corpus.root={work / 'demo_corpus'}", f"prepared_dir={work / 'prepared'}")
    wanted = {f"demo_{name}": (name, whole) for name in DEMO}
    wanted |= {name: (system, (*shared, *SMALL, *own)) for name, (system, own) in RUNS.items()}
    failed = []
    for name, (system, overrides) in wanted.items():
        if (folder / f"{name}.csv").exists():  # recorded by an earlier call
            continue
        started = time.perf_counter()
        fields = (f"workdir={work / 'runs' / name}", *overrides)
        command = [sys.executable, "run.py", f"--config=configs/demo.py:{system}", *(f"--config.{field}" for field in fields)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: FAILED\n{' '.join(command)}\n{done.stderr[-2000:]}", flush=True)
            failed.append(name)
            continue
        (folder / f"{name}.csv").write_bytes((work / "runs" / name / "predictions.csv").read_bytes())
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return not failed


def differences(before: Path, after: Path) -> list[str]:
    """Return the names of runs with different predictions, or that only one of the two folders has."""
    names = {path.stem for folder in (before, after) for path in folder.glob("*.csv")}
    return sorted(name for name in names if _content(before / f"{name}.csv") != _content(after / f"{name}.csv"))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--record", type=Path, metavar="FOLDER", help="write the predictions of this commit here")
    choice.add_argument("--against", type=Path, metavar="FOLDER", help="compare the predictions of this commit with those recorded here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        if arguments.record:
            return int(not run_all(arguments.record, Path(work)))
        is_whole = run_all(Path(work) / "after", Path(work))
        found = differences(arguments.against, Path(work) / "after")
        same = len(list(arguments.against.glob("*.csv"))) - len(found)
        print(f"{same} runs have the same predictions byte for byte; {len(found)} differ: {', '.join(found) or 'none'}")
        return int(bool(found) or not is_whole)


if __name__ == "__main__":
    sys.exit(main())
