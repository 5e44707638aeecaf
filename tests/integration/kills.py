"""Kill a run with SIGKILL again and again, start it again, and compare what comes out with a run that nobody disturbed.

python tests/integration/kills.py [NUM_KILLS [SEED]]

The moments are drawn from a seed, over the whole run and, so that short phases are met too, over preparation and training by
themselves. When a run gets to its end its outcome is compared, and the next one begins from nothing.
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
# What a run prints when a phase begins: that is where the clock of a kill starts.
ANCHORS = {"start": "", "preparation": r"clips to prepare", "training": r"audio: +\d+%"}


def kills(folder: Path, num_kills: int, *, seed: int = 0, say: Callable[[str], None] = print) -> None:
    """Kill runs `num_kills` times.

    Args:
      folder: an empty one to work in.
      num_kills: in all.
      seed: of the moments.
      say: takes a line for every run and every kill.

    Raises:
      AssertionError: a restart failed, or a run that was killed ended otherwise than the straight one.
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
            if ended:  # the machine has become faster than the straight run knew it: aim earlier
                seconds = {name: value * 0.6 for name, value in seconds.items()}
            else:
                done, own = done + 1, own + 1
                say(f"kill {done}, {delay_s:.2f} s after {anchor}: {_state(run)}")
        if not ended:
            run()
        found = run.outcome()
        assert _names(run) == _names(straight), f"run {number}, killed {own} times, has other files than the straight run"
        for name in expected:
            assert found[name] == expected[name], f"run {number}, killed {own} times: {name} differs from the straight run's"
        say(
            f"run {number}, killed {own} times: predictions.csv, {len(found['metrics.jsonl'])} rows of metrics and "
            f"{len(found['checkpoints'])} arrays of the last checkpoint are those of the straight run, bit for bit"
        )


def _seconds_of_phases(run: DemoRun) -> dict[str, float]:
    """Run to the end; how long it takes from each anchor to the beginning of the next one, from the start to the end."""
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
    """Start a run and kill it some time after it has printed the anchor; False where it came to its end before that."""
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
    """Files and folders of the run, its checkpoints and the prepared sets: nothing half-made is left, nothing lacks."""
    places = (run.workdir, run.workdir / "checkpoints" / "audio", run.shelf / "prepared")
    return sorted(str(path.relative_to(run.shelf)) for place in places for path in place.iterdir())


def _state(run: DemoRun) -> str:
    """What a killed run has left on disk."""
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
