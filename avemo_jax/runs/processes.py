"""Several processes as one run: connect through jax.distributed, wait at barriers, and stop together.

Trials are independent, so each process trains its own trials on its own devices and exchanges nothing meanwhile. Barriers, stop requests
and errors go through JAX's coordination service, which runs in process 0. When a process is lost, JAX ends all others within
`devices.heartbeat_s` and names the lost one.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax

from avemo_jax.config import Devices
from avemo_jax.runs.preemption import Preempted, Stopped, StopRequest, listen
from avemo_jax.runs.time_spent import phase

LOG = logging.getLogger(__name__)
_MESSAGE_KEY = "avemo/message"
_POLL_S = 0.2
_SHORTEST_JOIN_S = 60  # processes import libraries first, from a shared disk perhaps
_NOT_JOINED = (
    "the processes of this run did not find each other within %d s (--config.devices.heartbeat_s, at least %d): one of them did not start "
    "or was lost, or the coordinator cannot be reached; this process ends now. See the logs of the others, and start all of them again"
)
_WEEK_MS = 7 * 24 * 3600 * 1000

Result = TypeVar("Result")


class Processes:
    """The processes of a run, from the viewpoint of one of them.

    Attributes:
      number: of this process. Process 0 is the primary process: it owns the run directory, evaluates and reports.
      count: number of processes.
    """

    def __init__(self, number: int = 0, count: int = 1):
        self.number = number
        self.count = count

    @property
    def is_primary(self) -> bool:
        return self.number == 0

    def run_on_primary_first(self, function: Callable[[], Result]) -> Result:
        """Call `function` in the primary process, then in all others, so that files on the shared disk are written once.

        All processes initialise their devices afterwards, at the same time: JAX waits at most two minutes for the other processes when it
        initialises devices, and frozen encoders need the devices of the primary process exclusively before that.
        """
        if self.is_primary:
            result = function()
            self.barrier("primary first")
        else:
            self.barrier("primary first")
            result = function()
        self.barrier("devices")
        jax.local_devices()
        return result

    def barrier(self, point: str) -> None:
        """Wait until all processes have reached this barrier.

        Raises:
          Preempted: one of them received a stop signal.
          RuntimeError: one of them ended with an error.
        """
        if self.count == 1:
            return
        client = _client()
        outcome: list[BaseException | None] = []

        def wait() -> None:
            try:
                client.wait_at_barrier(f"avemo/{point}", _WEEK_MS)
                outcome.append(None)
            except Exception as error:
                outcome.append(error)

        # In a separate thread, so that this process handles signals while it waits for the slowest one.
        waiting = threading.Thread(target=wait, daemon=True)
        with listen() as own:
            stop = self.shared(own)
            waiting.start()
            while not outcome:
                with phase("wait"):
                    waiting.join(_POLL_S)
                number = stop.signal_number if not outcome else None
                if stop.error:
                    raise RuntimeError(stop.error)
                if number is not None:
                    raise Preempted(number)
        if outcome[0] is not None:
            raise RuntimeError(f"the barrier {point!r} failed, because a process was lost: {outcome[0]}")

    def shared(self, own: StopRequest) -> SharedStop:
        """Return a stop request that is sent to all processes and received from them."""
        return SharedStop(self, own)

    def broadcast(self, message: str) -> None:
        """Send all processes the number of a signal or the text of an error; only the first message is sent."""
        if self.count > 1 and _client() is not None and self.message() is None:
            _client().key_value_set(_MESSAGE_KEY, message, allow_overwrite=True)

    def message(self) -> str | None:
        """Return the message that any process has broadcast, or None."""
        if self.count == 1 or _client() is None:
            return None
        try:
            return _client().key_value_try_get(_MESSAGE_KEY)
        except Exception as error:  # JAX raises its own type for a missing key
            if "NOT_FOUND" in str(error):
                return None
            raise RuntimeError(f"cannot reach process 0, which runs the coordination service: {error}") from error

    def leave(self) -> None:
        """Wait until all processes have reached this point, then disconnect; afterwards a process may end without ending the others."""
        if self.count > 1:
            jax.distributed.shutdown()

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Broadcast an error or an interruption of the block, so that the other processes save and end as well."""
        try:
            yield
        except Preempted:
            raise
        except KeyboardInterrupt as stop:
            self.broadcast(str(int(stop.signal_number if isinstance(stop, Stopped) else signal.SIGINT)))
            raise
        except Exception as error:
            self.broadcast(f"process {self.number} of {self.count} ended with an error: {error}")
            raise


class SharedStop:
    """A stop request that all processes share; see `preemption.Stop`.

    Attributes:
      error: with which another process ended, or "".
    """

    def __init__(self, processes: Processes, own: StopRequest):
        self._processes = processes
        self._own = own
        self.error = ""

    @property
    def signal_number(self) -> int | None:
        """Return the signal that any process received, SIGTERM if one of them ended with an error, or None."""
        if self._own.signal_number is not None:
            self._processes.broadcast(str(self._own.signal_number))
            return self._own.signal_number
        message = self._processes.message()
        if message is None:
            return None
        if message.isdigit():
            return int(message)
        if not self.error:
            self.error = message
            LOG.error("%s; this process saves and ends as well", message)
        return signal.SIGTERM


SINGLE_PROCESS = Processes()


def join(devices: Devices) -> Processes:
    """Connect to the other processes of this run; call it before anything uses a device.

    Args:
      devices: with `distributed`, JAX detects SLURM, a TPU pod, Kubernetes or Open MPI; for a plain launch set `coordinator`
        (host:port of process 0), `process` and `num_processes`.

    Raises:
      ValueError: the fields contradict each other, or JAX detects no launcher.
      RuntimeError: the other processes cannot be reached.
    """
    coordinator, number, count = devices.coordinator, devices.process, devices.num_processes
    if not coordinator:
        if count or number:
            raise ValueError(
                f"config.devices.process={number} and num_processes={count} are for a plain launch and need "
                "--config.devices.coordinator=HOST:PORT, the address of process 0"
            )
        if not devices.distributed:
            return SINGLE_PROCESS
    elif not 0 <= number < count or ":" not in coordinator:
        raise ValueError(
            f"expected --config.devices.coordinator=HOST:PORT with num_processes of at least 1 and process from 0 to one below it; got "
            f"coordinator={coordinator}, num_processes={count}, process={number}"
        )
    if devices.heartbeat_s < 1:
        raise ValueError(f"config.devices.heartbeat_s must be at least 1, got {devices.heartbeat_s}")
    plain: dict[str, Any] = dict(
        coordinator_address=coordinator, num_processes=count, process_id=number, cluster_detection_method="deactivate"
    )
    join_s = max(_SHORTEST_JOIN_S, devices.heartbeat_s)
    # JAX ends this process without an exception when the time is over, so the reason is logged a second before.
    explained = threading.Timer(join_s - 1, LOG.error, (_NOT_JOINED, join_s, _SHORTEST_JOIN_S))
    explained.daemon = True
    explained.start()
    try:
        jax.distributed.initialize(
            **(plain if coordinator else {}), heartbeat_timeout_seconds=devices.heartbeat_s, initialization_timeout=join_s
        )
    except ValueError as error:
        raise ValueError(
            f"config.devices.distributed=True, but JAX detects neither SLURM, a TPU pod, Kubernetes (pip install jax[k8s]) nor Open MPI "
            f"({error}); start the run under one of them, or set --config.devices.coordinator=HOST:PORT, process and num_processes"
        ) from error
    finally:
        explained.cancel()
    state = _state()
    LOG.info("process %d of %d, coordinated at %s", state.process_id, state.num_processes, state.coordinator_address)
    return Processes(state.process_id, state.num_processes)


def _state() -> Any:
    # The coordination service's key-value store has no public name in JAX; Orbax imports it from here too.
    from jax._src import distributed

    return distributed.global_state


def _client() -> Any:
    return _state().client
