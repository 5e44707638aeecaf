"""Benchmark of the latency of predicting one clip, in a new process (`--mode=predict`) and in a running one.

    python -m benchmarks.predict                                     the demo's audio, audio_video, and A2 with random encoders
    python -m benchmarks.predict --system audio_video --rounds 9
    python -m benchmarks.predict --command                           the whole command on one sound
    python -m benchmarks.predict --command --against FOLDER          in turns with the checkout of another commit (`git worktree add`)

For each system a run of one epoch is trained on a small demo corpus, since the quality of its predictions does not matter here. In each
round a new process then predicts clips one after another and reports the seconds of each phase; all rounds except "first" find compiled
programs of an earlier round in the compilation cache.

Prints for each system a row "first" (with an empty cache), the median of the other rounds "cold", and the median of "warm" clips in a
process that has predicted clips of all lengths before; in seconds:

    import     the interpreter and its libraries
    restore    the config, encoders, checkpoint, networks
    views      decoding and the views of the clip, including the import of their libraries
    encoders   frozen encoders over the views, including their compilation or reading from the cache
    networks   all fold models, including their compilation or reading from the cache
    all        the whole prediction; for a new process by the clock of the process that started it

`--command` starts `run.py --mode=predict --input=SOUND` as a user does, which decodes in a worker process beside the restoring of the
networks: with the shipped model, and with --run=RUN of each system. After one uncounted call of each side, which fills its compilation
cache, the sides take turns. Printed are seconds to the answer on the terminal, to the end, and of processor time of all its processes; the
ratio of the answers; and milliseconds of one more prediction by `api.load(...).predict` in a running process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avemo_jax.config import Experiment, parse, to_plain
from benchmarks.turns import format_ratio

PHASES = ("import", "restore", "views", "encoders", "networks")
SYSTEMS = ("audio", "audio_video", "contextual_temporal")
_ROOT = Path(__file__).resolve().parents[1]
_TIMES = "benchmark times: "


def demo_experiment(system: str, folder: Path, *, num_actors: int, num_takes: int, num_folds: int | None = None) -> Experiment:
    """Return the demo with one epoch of training on a small corpus below `folder`."""
    from configs import demo

    config = demo.get_config(system)
    config.workdir, config.prepared_dir, config.corpus.root = str(folder / system), str(folder / "prepared"), str(folder / "corpus")
    config.corpus.num_actors, config.corpus.num_takes = num_actors, num_takes
    if num_folds:
        config.protocol.num_folds = num_folds
    config.train.num_epochs, config.train.tensorboard = 1, False
    config.protocol.baseline = config.protocol.near_duplicates = False
    return parse(config.to_dict())


def predict_clips(experiment: Experiment, files: Sequence[str], started_s: float) -> list[dict[str, float]]:
    """Predict clips one after another, as the mode `predict` does; return the seconds of the phases of each.

    For the first clip they include importing and restoring, and `all` counts from `started_s` in time.time().
    """
    import run  # noqa: F401  # the same imports at the same time as the command
    from avemo_jax import api
    from avemo_jax.experiment.backend import set_up_backend
    from avemo_jax.experiment.ensemble import load_ensemble
    from avemo_jax.experiment.live_features import LiveFeatures, encodes
    from data_prep.live import LiveViews

    marks = [started_s, time.time()]

    def passed() -> float:
        marks.append(time.time())
        return marks[-1] - marks[-2]

    set_up_backend(experiment, encodes=encodes(experiment))
    recordings = _Opened(LiveViews(api.views_in_use(experiment)))
    features = LiveFeatures(experiment, recordings)
    ensemble = load_ensemble(experiment, features.steps, recordings.segment_s, recordings.step_s)
    first = {"import": marks[1] - marks[0], "restore": passed()}
    found = []
    for number, file in enumerate(files):
        passed()
        recordings.make(Path(file))
        phases = {"views": passed()}
        streams, _ = features.open(Path(file))
        shown = {name: list(pieces) for name, pieces in streams.items()}
        phases["encoders"] = passed()
        if not list(ensemble.predict(shown)):
            raise SystemExit(f"error: {file} gave no segment")
        phases["networks"] = passed()
        phases = (first if number == 0 else {"import": 0.0, "restore": 0.0}) | phases
        found.append(phases | {"all": time.time() - started_s if number == 0 else sum(phases.values())})
    return found


class _Opened:
    """Recordings that make all views of a file before it is opened, so that making them can be timed separately."""

    def __init__(self, recordings: Any):
        self._recordings = recordings
        self.views, self.segment_s, self.step_s = recordings.views, recordings.segment_s, recordings.step_s
        self.window_s = recordings.window_s
        self._views: dict[str, list[Any]] = {}

    def make(self, path: Path) -> None:
        views, _ = self._recordings.open(path)
        self._views = {name: list(pieces) for name, pieces in views.items()}

    def open(self, path: Path) -> tuple[dict[str, list[Any]], list[Any]]:
        return self._views, []


def in_new_process(experiment: Experiment, files: Sequence[str]) -> list[dict[str, float]]:
    """Return the result of `predict_clips` in a new process."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    task = {"config": to_plain(experiment), "files": files, "started": time.time()}
    command = [sys.executable, "-m", "benchmarks.predict", "--predict", json.dumps(task)]
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(_TIMES)]
    if done.returncode or not lines:
        raise SystemExit(f"error: the process that predicts {files} failed:\n{done.stderr}")
    return json.loads(lines[0].removeprefix(_TIMES))


def measure(experiment: Experiment, files: Sequence[str], num_rounds: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Yield ("first", phases), ("cold", phases of each round) and ("warm", phases of each clip of all rounds).

    Every round predicts all clips twice; the second time is the warm one.
    """
    shutil.rmtree(Path(experiment.prepared_dir) / "xla", ignore_errors=True)
    yield "first", in_new_process(experiment, files)[:1]
    rounds = [in_new_process(experiment, [*files, *files]) for _ in range(num_rounds)]
    yield "cold", [clips[0] for clips in rounds]
    yield "warm", [clip for clips in rounds for clip in clips[len(files) :]]


def format_row(system: str, name: str, phases: Sequence[Mapping[str, float]]) -> str:
    """Return a row with the median of each phase, and the median, least and largest of the whole prediction."""
    medians = [f"{statistics.median(one[phase] for one in phases):9.3f}" for phase in PHASES]
    whole = sorted(one["all"] for one in phases)
    return f"{system:20} {name:6} {len(phases):3} {' '.join(medians)} {statistics.median(whole):8.3f} ({whole[0]:.3f}-{whole[-1]:.3f})"


def compare(system: str, folder: Path, *, num_actors: int, num_takes: int, num_clips: int, num_rounds: int) -> Iterator[str]:
    """Train a run of a system and yield its rows."""
    experiment = demo_experiment(system, folder, num_actors=num_actors, num_takes=num_takes)
    if not (experiment.run_directory / "results.json").is_file():
        train_in_new_process(experiment)
    films = sorted((folder / "corpus").rglob("*.mp4"))
    files = [str(films[place]) for place in range(0, len(films), max(1, len(films) // num_clips))][:num_clips]
    for name, phases in measure(experiment, files, num_rounds):
        yield format_row(system, name, phases)


class Call(NamedTuple):
    """One call of the command.

    Attributes:
      answer_s: from the start of its process to the line with the prediction.
      end_s: to the end of the process.
      processor_s: processor time of the process and its workers.
    """

    answer_s: float
    end_s: float
    processor_s: float


def call_command(root: Path, arguments: Sequence[str], sound: Path, folder: Path) -> Call:
    """Return the measurements of one `--mode=predict` of a sound, run in `folder`."""
    output = tempfile.mkdtemp(dir=folder)
    command = [sys.executable, "-u", str(root / "run.py"), "--mode=predict", f"--input={sound}", f"--output={output}", *arguments]
    before, start_s, answer_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if line.startswith("  trained on "):  # the last line of an answer
            answer_s = time.perf_counter() - start_s
    error = process.stderr.read()
    if process.wait() or not answer_s:
        raise SystemExit(f"error: {' '.join(command)} ended with {process.returncode} and no answer:\n{error}")
    end_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Call(answer_s, end_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


_WARM = """
import statistics, sys, time
from avemo_jax import api
sound, folder = sys.argv[1:]
with api.load(folder) as model:
    seconds = []
    for number in range(25):
        start = time.perf_counter()
        model.predict(sound)
        seconds.append(time.perf_counter() - start)
print(1000 * statistics.median(seconds[5:]))
"""


def warm_ms(root: Path, model: Path, sound: Path, folder: Path) -> float:
    """Return the median milliseconds of one more prediction in a running process."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", _WARM, str(sound), str(model)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: api.load({model}) cannot predict {sound}:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def compare_commands(models: Mapping[str, Sequence[str]], sides: Mapping[str, Path], sound: Path, num_rounds: int) -> Iterator[str]:
    """Yield a row for each model and side.

    Args:
      models: name -> flags of the command; none for the shipped model.
      sides: name -> root of a checkout.
    """
    yield f"{'model':12} {'side':8} {'n':>3} {'answer s':>9} {'end s':>7} {'processor s':>12} {'warm ms':>8} {'answer / first side':>20}"
    for model, flags in models.items():
        with ExitStack() as folders:
            own = {side: Path(folders.enter_context(tempfile.TemporaryDirectory())) for side in sides}
            calls: dict[str, list[Call]] = {side: [] for side in sides}
            for number in range(num_rounds + 1):
                for side, root in sides.items():
                    call = call_command(root, flags, sound, own[side])
                    calls[side] += [call] if number else []
            first = [call.answer_s for call in next(iter(calls.values()))]
            for side, root in sides.items():
                shipped = next(path.parent for path in (root / "models").glob("*/model.json"))
                folder = Path(flags[0].partition("=")[2]) if flags else shipped
                medians = [statistics.median(getattr(call, name) for call in calls[side]) for name in Call._fields]
                ratio = format_ratio([call.answer_s for call in calls[side]], first)
                texts = f"{medians[0]:9.2f} {medians[1]:7.2f} {medians[2]:12.2f} {warm_ms(root, folder, sound, own[side]):8.1f} {ratio:>20}"
                yield f"{model:12} {side:8} {num_rounds:3} {texts}"


def train_by_command(root: Path, system: str, folder: Path, size: Mapping[str, int]) -> None:
    """Train the run of `demo_experiment` by the command line of a checkout, so that the older of two can read its config."""
    fields = {f"corpus.{name}": value for name, value in size.items()} | {"workdir": folder / system, "prepared_dir": folder / "prepared"}
    fields |= {"corpus.root": folder / "corpus", "train.num_epochs": 1, "train.tensorboard": False}
    fields |= {"protocol.baseline": False, "protocol.near_duplicates": False}
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    command = [sys.executable, str(root / "run.py"), f"--config=configs/demo.py:{system}", *flags]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed:\n{done.stderr}")


def commands(systems: Sequence[str], folder: Path, *, against: Path | None, num_rounds: int, size: Mapping[str, int]) -> Iterator[str]:
    """Train a run of each system where it is missing, and yield the rows of `compare_commands`."""
    sides = ({"before": against.resolve()} if against else {}) | {"here": _ROOT}
    models: dict[str, Sequence[str]] = {"shipped": ()}
    for system in systems:
        if not (folder / system / "results.json").is_file():
            train_by_command(next(iter(sides.values())), system, folder, size)
        models[system] = (f"--run={folder / system}",)
    sound = folder / "sound.wav"
    samples = np.random.default_rng(0).normal(scale=0.05, size=3 * 16000) + 0.3 * np.sin(np.arange(3 * 16000) * 0.06)
    with wave.open(str(sound), "wb") as stream:
        stream.setparams((1, 2, 16000, 0, "NONE", ""))
        stream.writeframes((32767 * samples.clip(-1, 1)).astype("<i2").tobytes())
    yield from compare_commands(models, sides, sound, num_rounds)


def train_in_new_process(experiment: Experiment) -> None:
    """Train in a separate process, so that this one has no threads of JAX."""
    command = [sys.executable, "-m", "benchmarks.predict", "--train", json.dumps(to_plain(experiment))]
    done = subprocess.run(command, cwd=_ROOT, env=os.environ | {"PYTHONPATH": str(_ROOT)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: the run to predict with could not be trained:\n{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", action="append", help=f"of configs/demo.py; may be given several times; default {', '.join(SYSTEMS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=4, help="number of clips that each process predicts, twice")
    parser.add_argument("--actors", type=int, default=4)
    parser.add_argument("--takes", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="folder of corpora and runs, which are used again; default: a temporary one")
    parser.add_argument("--command", action="store_true", help="measure the whole command on one sound, with sounds alone by default")
    parser.add_argument("--against", type=Path, help="root of another checkout, for --command")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--predict", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        from avemo_jax import api

        api.train(parse(json.loads(arguments.train)))
        return
    if arguments.predict:
        task = json.loads(arguments.predict)
        print(_TIMES + json.dumps(predict_clips(parse(task["config"]), task["files"], task["started"])))
        return
    if arguments.command:
        size = {"num_actors": arguments.actors, "num_takes": arguments.takes}
        print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, {arguments.rounds} rounds")
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.folder or Path(temporary)).resolve()
            rows = commands(arguments.system or ["audio"], folder, against=arguments.against, num_rounds=arguments.rounds, size=size)
            for line in rows:
                print(line, flush=True)
        return
    print(f"{len(os.sched_getaffinity(0))} cores, {arguments.rounds} rounds of {arguments.clips} clips, seconds")
    print(f"{'system':20} {'':6} {'n':>3} {' '.join(f'{phase:>9}' for phase in PHASES)} {'all':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        for system in arguments.system or SYSTEMS:
            for line in compare(
                system,
                folder,
                num_actors=arguments.actors,
                num_takes=arguments.takes,
                num_clips=arguments.clips,
                num_rounds=arguments.rounds,
            ):
                print(line, flush=True)


if __name__ == "__main__":
    main()
