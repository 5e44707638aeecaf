"""Leases on the rounds of a search, in a log that all processes share.

A round is a set of settings that one process trains together. The log is a separate Optuna study with one trial an entry: a database adds
a trial in one transaction, and the trial numbers put all entries in one order, whichever database it is. If several processes lease the
same round at the same moment, the first entry holds.

A working process sends a heartbeat: it increments a number. A waiting process compares this number with its own clock, so the clocks of
the hosts need not agree. If the number has not changed for `lease_s`, the lease has expired and another process may lease the round. A
process that was only slow does no harm: the first value of a setting counts, the second is refused (see studies.py).

Differs from Optuna's own heartbeat, which covers single trials of `Study.optimize` and not ask-and-tell, and which loses a retried trial if
the retrying process dies between marking the old trial and adding the new one.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LOG = logging.getLogger(__name__)
_RELEASED = -1  # heartbeat of a process that has released its leases


class Leases:
    """The leases of a search, from the viewpoint of one process.

    Args:
      storage: an Optuna storage.
      name: of the search.
      lease_s: seconds without a heartbeat after which the leases of a process expire.
      is_single_process: no other process can use the storage, so that leases of earlier processes have expired.
    """

    def __init__(self, storage: Any, name: str, *, lease_s: float, is_single_process: bool):
        import optuna

        self.worker = uuid.uuid4().hex
        self.lease_s = lease_s
        self._is_single_process = is_single_process
        self._study = optuna.create_study(storage=storage, study_name=f"{name}/leases", direction="maximize", load_if_exists=True)
        self._seen: dict[str, tuple[int, float]] = {}  # worker -> its last heartbeat, and when we first saw it, by our clock

    def bind(self, facts: Mapping[str, Any], compare: Callable[[Any, Any], list[str]]) -> None:
        """Store the facts of the experiment that is searched, if this process is the first; else compare them with the stored ones.

        Args:
          facts: JSON values, e.g. config and fold hash.
          compare: called with the stored and our facts; returns one line for each difference.

        Raises:
          ValueError: our facts differ from the stored ones.
        """
        if not any("facts" in entry for entry in self._entries()):
            self._append({"facts": json.dumps(facts, sort_keys=True)})
        first = next(json.loads(entry["facts"]) for entry in self._entries() if "facts" in entry)
        if differences := compare(first, json.loads(json.dumps(facts))):
            raise ValueError(
                "the storage holds a search of the same name for another experiment:\n  "
                + "\n  ".join(differences)
                + "\nSet another --config.search.name, or start all processes of this search with the same config."
            )

    def acquire(self, number: int) -> bool:
        """Lease an available round; return whether this process holds the lease."""
        owner, attempt = self.owners().get(number, (None, -1))
        if owner is not None and self._is_held(owner):
            return False
        self._append({"round": number, "attempt": attempt + 1, "worker": self.worker})
        return self.owners()[number] == (self.worker, attempt + 1)

    def available(self, numbers: list[int]) -> list[int]:
        """Return those of these rounds that no other process has leased."""
        owners = self.owners()
        return [number for number in numbers if number not in owners or not self._is_held(owners[number][0])]

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Send heartbeats while the block runs and release the leases at its end, also after an error; a single process sends none."""
        if self._is_single_process:
            yield
            return
        done = threading.Event()

        def beat() -> None:
            number = 0
            while not done.is_set():
                number += 1
                try:
                    self._study.set_user_attr(f"heartbeat {self.worker}", number)
                except Exception as error:  # the database may be unreachable for a moment; if it stays so, asking or telling fails
                    LOG.debug("heartbeat not sent: %s", type(error).__name__)
                done.wait(self.lease_s / 5)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=self.lease_s)
            try:
                self._study.set_user_attr(f"heartbeat {self.worker}", _RELEASED)
            except Exception as error:
                LOG.debug("leases not released: %s", type(error).__name__)

    def _is_held(self, worker: str) -> bool:
        """Return whether the leases of this worker hold: it is another process, and its last heartbeat is younger than the lease."""
        if worker == self.worker or self._is_single_process:
            return False
        number = self._study.user_attrs.get(f"heartbeat {worker}", 0)
        now = time.monotonic()
        before, since = self._seen.get(worker, (None, now))
        if number != before:
            since = now
        self._seen[worker] = (number, since)
        return number != _RELEASED and now - since < self.lease_s

    def owners(self) -> dict[int, tuple[str, int]]:
        """Return round -> (worker, attempt) of the first entry of its latest attempt."""
        owners: dict[int, tuple[str, int]] = {}
        for entry in self._entries():
            if "round" in entry and entry["attempt"] > owners.get(entry["round"], ("", -1))[1]:
                owners[entry["round"]] = (entry["worker"], entry["attempt"])
        return owners

    def _entries(self) -> list[Mapping[str, Any]]:
        trials = self._study.get_trials(deepcopy=False)
        return [trial.user_attrs for trial in sorted(trials, key=lambda trial: trial.number)]

    def _append(self, entry: Mapping[str, Any]) -> None:
        import optuna

        self._study.add_trial(optuna.trial.create_trial(value=0.0, user_attrs=dict(entry)))
