"""The results on several devices and processes are those of one device."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import grid_on_devices
import jax
import numpy as np
import pytest

from avemo_jax import parallel

pytestmark = pytest.mark.parallel

TESTS = Path(grid_on_devices.__file__).parent
TOLERANCE = 2e-5
ON_MESHES = ("1_vmap_scan", "2_loop_scan")  # meshes of 4 x 1 and 2 x 2
OVER_PROCESSES = ("2_vmap_scan",)  # one mesh over the devices of two processes


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    """The grid on one device of this process."""
    return grid_on_devices.results(parallel.make_mesh(devices=jax.devices()[:1]), "loop_scan")


def start(code: list[str], *, num_devices: int) -> subprocess.Popen:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={num_devices}"
    paths = os.pathsep.join([str(TESTS.parents[1]), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, *code],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes: list[subprocess.Popen]) -> str:
    """Wait for all processes and return their output; fail where one of them failed."""
    try:
        printed = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(printed)
    return "\n".join(printed)


def assert_same(path: Path, alone: dict[str, np.ndarray]) -> None:
    with np.load(path) as found:
        assert sorted(found) == sorted(alone)
        for name, expected in alone.items():
            assert found[name].dtype == expected.dtype
            np.testing.assert_allclose(found[name], expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@pytest.fixture(scope="module")
def on_four_devices(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    finish([start([str(TESTS / "grid_on_devices.py"), str(folder), *ON_MESHES], num_devices=4)])
    return folder


@pytest.mark.parametrize("name", ON_MESHES)
def test_four_devices_give_the_results_of_one(name, on_four_devices, alone):
    assert_same(on_four_devices / f"{name}.0.npz", alone)


@pytest.mark.long  # as do whole runs in tests/runs/test_processes.py
def test_two_processes_give_the_results_of_one(tmp_path, alone):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    script = [str(TESTS / "grid_on_devices.py"), str(tmp_path), *OVER_PROCESSES, f"--coordinator={address}", "--num_processes=2"]
    finish([start([*script, f"--process={number}"], num_devices=2) for number in range(2)])
    for name in OVER_PROCESSES:
        for number in range(2):
            assert_same(tmp_path / f"{name}.{number}.npz", alone)


PLACEMENT = """
import jax, numpy as np
from avemo_jax import parallel

def held(array):
    return sorted((shard.device.id, shard.data.shape) for shard in array.addressable_shards)

batch = np.zeros((8, 3), np.float32)
trials, square = parallel.make_mesh(), parallel.make_mesh(data_shards=2)
assert dict(trials.shape) == {"trial": 4, "data": 1} and dict(square.shape) == {"trial": 2, "data": 2}
assert held(parallel.place_trials(batch, trials)) == [(i, (2, 3)) for i in range(4)]
assert held(parallel.place_trials(batch, square)) == [(i, (4, 3)) for i in range(4)]
assert held(parallel.place_everywhere(batch, square)) == [(i, (8, 3)) for i in range(4)]
assert held(parallel.place_batch(batch, square)) == [(i, (2, 3)) for i in range(4)]
assert held(parallel.place_batch(batch[:7], square)) == [(i, (7, 3)) for i in range(4)]
split = jax.jit(lambda one: parallel.split_batch(one * 1, square))
assert held(split(parallel.place_everywhere(batch, square))) == [(i, (4, 3)) for i in range(4)]
lanes = parallel.place_trials(np.zeros((2, 8, 3), np.float32), square)
both = jax.jit(parallel.over_trials(lambda one: parallel.split_batch(one * 1, square), 0))(lanes)
assert held(both) == [(i, (1, 4, 3)) for i in range(4)]
assert [parallel.pad_trials(n, trials) for n in (1, 4, 5)] == [4, 4, 8]
try:
    parallel.make_mesh(data_shards=3)
except ValueError as error:
    assert "data_shards=3 does not divide the number of devices, 4" in str(error)
else:
    raise AssertionError("three shards of four devices")
print("all placed")
"""


def test_trials_and_batches_are_spread_over_the_devices():
    assert "all placed" in finish([start(["-c", PLACEMENT], num_devices=4)])
