"""Several processes as one run: they find each other through jax.distributed, wait for each other, and stop together.

Trials are independent, so each process trains its own on its own devices, and nothing is exchanged while it does. What is agreed upon goes
through JAX's coordination service, which process 0 keeps: points where all meet, a stop that one of them was asked for, an error that one
of them met. A process that is lost ends all others within `config.devices.heartbeat_s`; JAX does that, and says which one was lost.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import jax

from avemo_jax.runs.preemption import Preempted, StopRequest, listen

LOG = logging.getLogger(__name__)
_NEWS = "avemo/news"
_POLL_S = 0.2
_WEEK_MS = 7 * 24 * 3600 * 1000

Result = TypeVar("Result")


class Processes:
    """The processes of a run, as one of them sees them.

    Attributes:
      number: of this process; 0 leads: it owns the run directory, and evaluates and reports.
      count: of all.
    """

    def __init__(self, number: int = 0, count: int = 1):
        self.number = number
        self.count = count

    @property
    def leads(self) -> bool:
        return self.number == 0

    def leader_first(self, function: Callable[[], Result]) -> Result:
        """Call `function` in process 0, and when it is done there in all others: what it makes on the shared disk is made once.

        Devices are touched afterwards and by all at the same time: the first touch of each waits for the others, two minutes and no longer,
        and what makes features wants the devices of process 0 for itself.
        """
        if self.leads:
            result = function()
            self.meet("leader first")
        else:
            self.meet("leader first")
            result = function()
        self.meet("devices")
        jax.local_devices()
        return result

    def meet(self, point: str) -> None:
        """Wait until all processes have come to this point.

        Raises:
          Preempted: one of them was asked to stop.
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

        # In a thread of its own: a signal is noticed between two looks, and not after hours of waiting for the slowest.
        waiting = threading.Thread(target=wait, daemon=True)
        with listen() as own:
            stop = self.shared(own)
            waiting.start()
            while not outcome:
                waiting.join(_POLL_S)
                number = stop.signal_number if not outcome else None
                if stop.error:
                    raise RuntimeError(stop.error)
                if number is not None:
                    raise Preempted(number)
        if outcome[0] is not None:
            raise RuntimeError(f"the processes lost each other at the point {point!r}: {outcome[0]}")

    def shared(self, own: StopRequest) -> SharedStop:
        """A stop request that is told to all processes, and heard of from them."""
        return SharedStop(self, own)

    def announce(self, news: str) -> None:
        """Tell all processes: the number of a signal, or a sentence about an error. What was told first stands."""
        if self.count > 1 and _client() is not None and self.news() is None:
            _client().key_value_set(_NEWS, news, allow_overwrite=True)

    def news(self) -> str | None:
        """What was announced, by any process."""
        if self.count == 1 or _client() is None:
            return None
        try:
            return _client().key_value_try_get(_NEWS)
        except Exception as error:  # JAX raises its own kind for a key that is not there
            if "NOT_FOUND" in str(error):
                return None
            raise RuntimeError(f"process 0, which the processes speak through, cannot be reached: {error}") from error

    def leave(self) -> None:
        """Part with the others, when all have come to this point; from here on a process that ends is no loss."""
        if self.count > 1:
            jax.distributed.shutdown()

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Tell the other processes of an error or an interruption inside, so that they save and end as well."""
        try:
            yield
        except Preempted:
            raise
        except KeyboardInterrupt:
            self.announce(str(int(signal.SIGINT)))
            raise
        except Exception as error:
            self.announce(f"process {self.number} of {self.count} ended with an error: {error}")
            raise


class SharedStop:
    """A stop request of all processes; see `preemption.Stop`.

    Attributes:
      error: what another process ended with, where it was an error.
    """

    def __init__(self, processes: Processes, own: StopRequest):
        self._processes = processes
        self._own = own
        self.error = ""

    @property
    def signal_number(self) -> int | None:
        """The signal that any process was sent; SIGTERM where one of them ended with an error."""
        if self._own.signal_number is not None:
            self._processes.announce(str(self._own.signal_number))
            return self._own.signal_number
        news = self._processes.news()
        if news is None:
            return None
        if news.isdigit():
            return int(news)
        if not self.error:
            self.error = news
            LOG.error("%s; this process saves and ends as well", news)
        return signal.SIGTERM


ALONE = Processes()


def join(devices: Mapping[str, Any]) -> Processes:
    """Find the other processes of this run; must come before anything touches a device.

    Args:
      devices: `config.devices`: `distributed` leaves it to JAX to recognise SLURM, a TPU pod, Kubernetes or Open MPI; where processes are
        launched plainly, `coordinator` (host:port of process 0), `process` and `num_processes` say it.

    Raises:
      ValueError: the fields do not fit together, or JAX recognises nothing here.
      RuntimeError: the others cannot be reached.
    """
    coordinator, number, count = devices["coordinator"], devices["process"], devices["num_processes"]
    if not coordinator:
        if count or number:
            raise ValueError(
                f"config.devices.process={number} and num_processes={count} are for a plain launch and need "
                "--config.devices.coordinator=HOST:PORT, the address of process 0"
            )
        if not devices["distributed"]:
            return ALONE
    elif not 0 <= number < count or ":" not in coordinator:
        raise ValueError(
            f"expected --config.devices.coordinator=HOST:PORT with num_processes of at least 1 and process from 0 to one below it; got "
            f"coordinator={coordinator}, num_processes={count}, process={number}"
        )
    if devices["heartbeat_s"] < 1:
        raise ValueError(f"config.devices.heartbeat_s must be at least 1, got {devices['heartbeat_s']}")
    plain = dict(coordinator_address=coordinator, num_processes=count, process_id=number, cluster_detection_method="deactivate")
    try:
        jax.distributed.initialize(**(plain if coordinator else {}), heartbeat_timeout_seconds=devices["heartbeat_s"])
    except ValueError as error:
        raise ValueError(
            f"config.devices.distributed=True, but JAX recognises neither SLURM, a TPU pod, Kubernetes (pip install jax[k8s]) nor Open MPI "
            f"here ({error}); launch it there, or give --config.devices.coordinator=HOST:PORT, process and num_processes"
        ) from error
    state = _state()
    LOG.info("process %d of %d, coordinated at %s", state.process_id, state.num_processes, state.coordinator_address)
    return Processes(state.process_id, state.num_processes)


def _state() -> Any:
    # The coordination service's store of keys has no public name in JAX; Orbax takes it from the same place.
    from jax._src import distributed

    return distributed.global_state


def _client() -> Any:
    return _state().client
