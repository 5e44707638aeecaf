"""Train the small grid on several devices, or as one of several processes, and save the results; run by tests/training/test_parallel.py.

python grid_on_devices.py FOLDER NAME... [--coordinator=localhost:PORT --process=0 --num_processes=2]

A NAME is `<data_shards>_<trials>_<steps>`; its states, metrics and probabilities are saved in FOLDER/NAME.<process>.npz. The
caller sets virtual devices in XLA_FLAGS.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--coordinator")
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--num_processes", type=int, default=1)
    given = parser.parse_args()
    if given.coordinator:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(given.coordinator, given.num_processes, given.process)

    from avemo_jax import parallel  # after jax.distributed is initialised: importing must not start a backend

    for name in given.names:
        data_shards, execution = name.split("_", 1)
        mesh = parallel.make_mesh(data_shards=int(data_shards), devices=jax.devices())  # those of all processes
        assert mesh.devices.size == jax.device_count() == 4, mesh
        np.savez(given.folder / f"{name}.{given.process}.npz", **results(mesh, execution))


def results(mesh, execution: str) -> dict[str, np.ndarray]:
    """All numbers that training and prediction give, one named array each."""
    from small_grid import make_trial_inputs, program, run

    _, inputs = make_trial_inputs()
    one = program(execution, mesh=mesh)
    states, metrics = run(one, inputs)
    rows = one.lanes([np.arange(20, dtype=np.int32)] * len(inputs))
    probabilities = one.trials(one.predict(one.lanes(states), rows), len(inputs))
    return {f"leaf_{number:04d}": np.asarray(leaf) for number, leaf in enumerate(jax.tree.leaves((states, metrics, probabilities)))}


if __name__ == "__main__":
    main()
