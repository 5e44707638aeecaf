"""Train a small experiment as one of several processes; run by tests/runs/test_processes.py.

python experiment_on_processes.py SETS WORKDIR FIELDS [EPOCH_S]

SETS is a folder of `small_experiment.small_corpus`, FIELDS the fields of `small_config` as JSON, with coordinator, process and count.
Every epoch takes at least EPOCH_S, so that the run is still training when a test interrupts it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from small_experiment import open_small_corpus, small_config

from avemo_jax.modes.train import train as train_grid
from avemo_jax.runs.preemption import Preempted
from avemo_jax.runs.processes import join
from avemo_jax.training.execution import TrialProgram


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    sets, workdir, fields = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    if len(sys.argv) > 4:
        epoch = TrialProgram.epoch

        def slowly(self, inputs, states):
            time.sleep(float(sys.argv[4]))
            return epoch(self, inputs, states)

        TrialProgram.epoch = slowly
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    config = small_config(workdir, **fields)
    processes = join(config.devices)
    try:
        with processes.as_one():
            corpus = processes.run_on_primary_first(lambda: open_small_corpus(sets, config.system.streams))
            train_grid(config, corpus, processes)
    except Preempted as stop:
        return 128 + stop.signal_number
    return 0


if __name__ == "__main__":
    sys.exit(main())
