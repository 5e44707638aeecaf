"""A small search in a separate process: python searching_process.py train|alone|search WORKDIR SETS [ADDRESS]

`train` is a complete run, `alone` only its search, `search` joins the search of another run. SETS is a folder of `small_corpus`, WORKDIR
the run directory.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NUM_SETTINGS, BATCH = 28, 2
FIELDS: dict[str, Any] = {
    "train__stages": ("audio",),
    "train__num_epochs": 6,
    "search__space": ("learning_rate=1e-3..1e-1 log", "dropout_rate=0.0..0.5"),
    "search__num_settings": NUM_SETTINGS,
    "search__batch": BATCH,
    "search__lease_s": 2.0,
    "devices__compilation_cache": False,  # all tests share one cache
}


def start(mode: str, workdir: Path, sets: Path, address: str = "") -> subprocess.Popen:
    """Start it and return the process; its output goes to a log file next to the run directory."""
    arguments = [mode, str(workdir), str(sets), address]
    with workdir.with_name(f"{workdir.name}.log").open("a") as log:
        return subprocess.Popen([sys.executable, __file__, *arguments], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def kill(process: subprocess.Popen) -> None:
    """Kill it with SIGKILL; it must still be running."""
    assert process.poll() is None, "it came to its end before it was killed"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]
    import conftest  # noqa: F401  (sets the compiler options of all tests)
    from small_experiment import small_clips, small_config

    from avemo_jax.data.prepared import PreparedCorpus, PreparedSet
    from avemo_jax.experiment.grid_plan import make_plan
    from avemo_jax.experiment.searching import search
    from avemo_jax.modes.search import join_search
    from avemo_jax.modes.train import train
    from avemo_jax.runs.run_directory import open_run

    given_mode, given_workdir, given_sets, given_address = sys.argv[1:]
    given = small_config(Path(given_workdir), **FIELDS, search__storage=given_address)
    corpus = PreparedCorpus(small_clips(), {"audio": PreparedSet.open(Path(given_sets) / "audio-mfcc-set")}, None)

    def alone(experiment, prepared):
        with open_run(Path(given_workdir), experiment) as directory:
            search(make_plan(experiment, prepared), directory, {})

    {"train": train, "alone": alone, "search": join_search}[given_mode](given, corpus)
