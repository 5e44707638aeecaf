"""Who works on which round of a search: claims in a log that all processes share.

A round is what one process trains together. The log is an Optuna study of its own whose trials are its entries: a trial enters in one
transaction and its number puts all entries in one order, whichever database it is. Of several processes that claim the same round at
the same moment the first entry counts.

A process that works gives a sign of life: it counts up a number. Whoever waits looks at that number and at its own clock, so clocks of
hosts need not agree: where the number has stood still for the lease, the process is taken for dead, and its round may be claimed again. A
process that was merely slow does no harm: what it finishes first counts, what it finishes second is refused (see studies.py).

Differs from Optuna's own heartbeat, which is of single trials in `Study.optimize`, has no part in ask-and-tell, and whose retried trial is
lost where the process that retries it dies between marking the old one and adding the new one.
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
_LEFT = -1  # in place of the number of a process that has said good-bye


class Leases:
    """The log, seen by one process.

    Args:
      storage: an Optuna storage.
      name: of the search.
      lease_s: a process without a sign of life for so long is taken for dead.
      is_alone: no other process can be there: whatever is claimed by others is theirs no longer.
    """

    def __init__(self, storage: Any, name: str, *, lease_s: float, is_alone: bool):
        import optuna

        self.worker = uuid.uuid4().hex
        self.lease_s = lease_s
        self._is_alone = is_alone
        self._study = optuna.create_study(storage=storage, study_name=f"{name}/claims", direction="maximize", load_if_exists=True)
        self._seen: dict[str, tuple[int, float]] = {}  # worker -> its number, and since when it has been that one, by our clock

    def bind(self, facts: Mapping[str, Any], compare: Callable[[Any, Any], list[str]]) -> None:
        """Tie the search to what it is a search of: the first process's facts stay, all others have to have the same.

        Args:
          compare: sentences of what differs between the facts that are there and ours.

        Raises:
          ValueError: ours differ.
        """
        if not any("facts" in entry for entry in self._entries()):
            self._append({"facts": json.dumps(facts, sort_keys=True)})
        first = next(json.loads(entry["facts"]) for entry in self._entries() if "facts" in entry)
        if differences := compare(first, json.loads(json.dumps(facts))):
            raise ValueError(
                "the storage has a search of that name of another experiment:\n  "
                + "\n  ".join(differences)
                + "\nGive this one another --config.search.name, or make all of its processes alike."
            )

    def claim(self, number: int) -> bool:
        """Claim a round that is free; whether it is ours now."""
        owner, attempt = self._owners().get(number, (None, -1))
        if owner is not None and self._is_held(owner):
            return False
        self._append({"round": number, "attempt": attempt + 1, "worker": self.worker})
        return self._owners()[number] == (self.worker, attempt + 1)

    def free(self, numbers: list[int]) -> list[int]:
        """Which of these rounds nobody else works on."""
        owners = self._owners()
        return [number for number in numbers if number not in owners or not self._is_held(owners[number][0])]

    @contextmanager
    def signs_of_life(self) -> Iterator[None]:
        """Count up while the block runs, and say good-bye at its end, however it ends; who is alone has nobody to tell."""
        if self._is_alone:
            yield
            return
        over = threading.Event()

        def count() -> None:
            number = 0
            while not over.is_set():
                number += 1
                try:
                    self._study.set_user_attr(f"alive {self.worker}", number)
                except Exception as error:  # the database may be away for a moment; the work itself will tell if it stays away
                    LOG.debug("no sign of life: %s", type(error).__name__)
                over.wait(self.lease_s / 5)

        thread = threading.Thread(target=count, name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=self.lease_s)
            try:
                self._study.set_user_attr(f"alive {self.worker}", _LEFT)
            except Exception as error:
                LOG.debug("no good-bye: %s", type(error).__name__)

    def _is_held(self, worker: str) -> bool:
        """Whether a round of this process is to be left to it: it is another one, and it lives."""
        if worker == self.worker or self._is_alone:
            return False
        number = self._study.user_attrs.get(f"alive {worker}", 0)
        now = time.monotonic()
        before, since = self._seen.get(worker, (None, now))
        if number != before:
            since = now
        self._seen[worker] = (number, since)
        return number != _LEFT and now - since < self.lease_s

    def _owners(self) -> dict[int, tuple[str, int]]:
        """Round -> (process, attempt) of the last attempt's first entry."""
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
