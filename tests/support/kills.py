"""Kill a run with SIGKILL repeatedly, restart it each time, and compare its results with those of an uninterrupted run.

python tests/support/kills.py [NUM_KILLS [SEED]]

The moments are drawn from a seed: over the whole run, and over preparation and training separately, so that short phases are hit too.
When a run finishes, its results are compared, and the next run starts from scratch.
"""

from __future__ import annotations

import functools
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo_run import DemoRun

NUM_EPOCHS = 40
CHANGES = {"train.num_epochs": NUM_EPOCHS, "protocol.baseline": False, "train.tensorboard": False}
# Phase -> what a run prints when the phase begins; the delay of a kill counts from there.
ANCHORS = {"start": "", "preparation": r"clips to prepare", "training": r"audio: +\d+%"}


def kills(folder: Path, num_kills: int, *, seed: int = 0, say: Callable[[str], None] = print) -> None:
    """Kill runs `num_kills` times.

    Args:
      folder: an empty folder for the runs.
      num_kills: total number of kills.
      seed: of the moments.
      say: called with a line for every run and every kill.

    Raises:
      AssertionError: a restart failed, or the results of a killed run differ from those of the uninterrupted one.
    """
    straight = DemoRun(folder / "straight", folder / "straight" / "run", "audio", CHANGES)
    straight.shelf.mkdir(parents=True)
    seconds = _seconds_of_phases(straight)
    say("straight run: " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))
    expected = straight.outcome()
    chance = random.Random(seed)
    done = number = 0
    while done < num_kills:
        number += 1
        shelf = folder / f"killed_{number}"
        shelf.mkdir()
        (shelf / "corpus").symlink_to(straight.shelf / "corpus")
        run = DemoRun(shelf, shelf / "run", "audio", CHANGES)
        ended, own = False, 0
        while not ended and done < num_kills:
            anchor = chance.choice(["training"] * 2 + (["start"] if _is_prepared(run) else ["start", "preparation"]))
            delay_s = chance.uniform(0, seconds[anchor])
            ended = not _kill(run, anchor, delay_s)
            if ended:  # this run was faster than the uninterrupted one was: kill earlier
                seconds = {name: value * 0.6 for name, value in seconds.items()}
            else:
                done, own = done + 1, own + 1
                say(f"kill {done}, {delay_s:.2f} s after {anchor}: {_state(run)}")
        if not ended:
            run()
        found = run.outcome()
        assert _names(run) == _names(straight), f"run {number}, killed {own} times, has other files than the uninterrupted run"
        for name in expected:
            assert found[name] == expected[name], f"run {number}, killed {own} times: {name} differs from the uninterrupted run's"
        say(
            f"run {number}, killed {own} times: predictions.csv, {len(found['metrics.jsonl'])} rows of metrics and "
            f"{len(found['checkpoints'])} arrays of the last checkpoint equal those of the uninterrupted run, bit for bit"
        )


def _seconds_of_phases(run: DemoRun) -> dict[str, float]:
    """Run to the end; return phase -> seconds: of the whole run ("start"), of preparation, and of training until the end."""
    process = run.start()
    began = {"start": time.monotonic()}
    printed = []
    assert process.stdout is not None
    for line in process.stdout:
        printed.append(line)
        for name, pattern in ANCHORS.items():
            if name not in began and re.search(pattern, line):
                began[name] = time.monotonic()
    assert process.wait() == 0, "".join(printed)
    end = time.monotonic()
    return {
        "start": end - began["start"],
        "preparation": began["training"] - began["preparation"],
        "training": end - began["training"],
    }


def _kill(run: DemoRun, anchor: str, delay_s: float) -> bool:
    """Start a run and kill it `delay_s` after it printed the anchor; return False if it finished before."""
    process = run.start()
    assert process.stdout is not None
    printed = ""
    if ANCHORS[anchor]:
        for line in process.stdout:
            printed += line
            if re.search(ANCHORS[anchor], line):
                break
    try:
        printed += process.communicate(timeout=delay_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0, printed
    return False


def _is_prepared(run: DemoRun) -> bool:
    return any((run.shelf / "prepared").glob("*/manifest.json"))


def _names(run: DemoRun) -> list[str]:
    """Return the names of all files and folders of the run, its checkpoints and the prepared sets."""
    places = (run.workdir, run.workdir / "checkpoints" / "audio", run.shelf / "prepared")
    return sorted(str(path.relative_to(run.shelf)) for place in places for path in place.iterdir())


def _state(run: DemoRun) -> str:
    """Return a description of the files of a killed run."""
    if not _is_prepared(run):
        staged = len(list((run.shelf / "prepared").glob("*.partial/staging/*.zip")))
        return f"in preparation, {staged} clips staged"
    steps = [path for path in (run.workdir / "checkpoints" / "audio").glob("*") if path.is_dir()]
    whole = sorted(int(path.name) for path in steps if (path / "manifest.json").is_file())
    unfinished = sorted(path.name for path in steps if not (path / "manifest.json").is_file())
    text = f"epoch {whole[-1]} of {NUM_EPOCHS} saved" if whole else "prepared, nothing saved"
    if unfinished:
        text += f", in saving ({', '.join(unfinished)} unfinished)"
    return text + (", predictions there" if (run.workdir / "predictions.csv").is_file() else "")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        arguments = [int(argument) for argument in sys.argv[1:]]
        kills(Path(place), *(arguments[:1] or [20]), seed=sum(arguments[1:2]), say=functools.partial(print, flush=True))
