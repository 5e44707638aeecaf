"""The demo at the smallest size that still has folds, started from the command line: `python run.py ...` in a separate process."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
NUM_ACTORS, NUM_FOLDS, NUM_EPOCHS = 6, 3, 3
NUM_CLIPS = NUM_ACTORS * 8
TINY = {
    "corpus.num_actors": NUM_ACTORS,
    "corpus.num_takes": 1,
    "protocol.num_folds": NUM_FOLDS,
    "views.faces.rate_fps": 2.5,
    "views.faces.size_px": 16,
    "views.mouths.rate_fps": 2.5,
    "views.mouths.size_px": 16,
    "train.num_epochs": NUM_EPOCHS,
    "train.checkpoint_every_epochs": 1,
}
TINY_SOUND = {"context_units": (4,), "dense_units": (4,)}
TINY_PICTURES = TINY_SOUND | {"encoder_units": "(4,)"}
# System of the demo -> its streams, with the fields that make each small.
STREAMS = {
    "audio": {"audio": TINY_SOUND},
    "video": {"video": TINY_PICTURES},
    "audio_video": {"audio": TINY_SOUND, "video": TINY_PICTURES},
    "audio_face_mouth": {"audio": TINY_SOUND, "face": TINY_PICTURES, "mouth": TINY_PICTURES},
}


@dataclasses.dataclass(frozen=True)
class DemoRun:
    """One experiment on a tiny synthetic corpus.

    Attributes:
      shelf: folder with the corpus and the prepared sets, which experiments share.
      workdir: its run directory.
      system: a key of STREAMS.
      changes: fields of the config that differ from the tiny demo.
    """

    shelf: Path
    workdir: Path
    system: str = "audio"
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        places = {"workdir": self.workdir, "corpus.root": self.shelf / "corpus", "prepared_dir": self.shelf / "prepared"}
        tiny = {f"streams.{stream}.{name}": value for stream, own in STREAMS[self.system].items() for name, value in own.items()}
        fields = places | TINY | tiny | self.changes
        flags = [f"--config.{name}={value}" for name, value in fields.items()]
        return [sys.executable, str(ROOT / "run.py"), f"--config={ROOT / 'configs' / 'demo.py'}:{self.system}", *flags, *arguments]

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start it and return the process, with its output in `stdout`."""
        return subprocess.Popen(
            self.command(*arguments), cwd=self.workdir.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __call__(self, *arguments: str) -> str:
        """Run it, assert that it succeeds, and return its output."""
        process = self.start(*arguments)
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        return printed

    def refuse(self, *arguments: str) -> str:
        """Run it, assert that it fails with a message and without a traceback, and return its output."""
        process = self.start(*arguments)
        printed, _ = process.communicate()
        assert process.returncode not in (0, None) and process.returncode > 0, printed
        assert "Traceback" not in printed, printed
        return printed

    def file(self, name: str) -> bytes:
        return (self.workdir / name).read_bytes()

    def outcome(self) -> dict[str, Any]:
        """Return all results of training: predictions, metrics without times, and every array of the last checkpoints."""
        rows = [json.loads(line) for line in self.file("metrics.jsonl").splitlines()]
        return {
            "predictions.csv": self.file("predictions.csv"),
            "metrics.jsonl": [{name: value for name, value in row.items() if name != "seconds"} for row in rows],
            "checkpoints": checkpoint_arrays(self.workdir),
        }


def checkpoint_arrays(workdir: Path) -> dict[str, bytes]:
    """Return name -> bytes of every array of every stage's newest checkpoint."""
    import orbax.checkpoint as ocp

    arrays = {}
    for stage in sorted((workdir / "checkpoints").iterdir()):
        newest = max((step for step in stage.iterdir() if step.name.isdigit()), key=lambda step: int(step.name))
        with ocp.StandardCheckpointer() as checkpointer:
            for trial, leaves in checkpointer.restore(newest).items():
                arrays |= {f"{stage.name}/{newest.name}/{trial}/{name}": np.asarray(leaf).tobytes() for name, leaf in leaves.items()}
    assert arrays
    return arrays


def files_of(folder: Path) -> dict[str, bytes]:
    """Return path -> content of every file below a folder, without the lock, which names the process that held it last."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
