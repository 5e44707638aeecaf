"""The loop of a search: one or more processes train round after round until every setting of every fold is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from avemo_jax.search.leases import Leases
from avemo_jax.search.studies import Setting, Studies

Train = Callable[[int, Sequence[Setting]], Mapping[tuple[int, int], float]]


def run_rounds(studies: Studies, leases: Leases, *, batch: int, train: Train, progress: Callable[[int], None] = lambda done: None) -> None:
    """Train all unfinished rounds; wait for rounds that other processes have leased until they are finished or the lease expires.

    Args:
      batch: number of settings of each fold in a round; a round is proposed, trained and recorded together.
      train: called with the number of a round and its unfinished settings of all folds; returns (fold, slot) -> score.
      progress: called with the number of finished settings of all folds.
    """
    rounds = [range(start, min(start + batch, studies.num_settings)) for start in range(0, studies.num_settings, batch)]
    with leases.heartbeat():
        while True:
            finished = [{one.slot for one in studies.settings(fold) if one.value is not None} for fold in range(studies.num_folds)]
            progress(sum(map(len, finished)))
            left = [number for number, slots in enumerate(rounds) if not all(done.issuperset(slots) for done in finished)]
            if not left:
                return
            available = leases.available(left)
            if not available:
                time.sleep(min(1.0, leases.lease_s / 5))
                continue
            if not leases.acquire(available[0]):
                continue
            asked = [setting for fold in range(studies.num_folds) for setting in studies.ask(fold, rounds[available[0]])]
            values = train(available[0], asked) if asked else {}
            for setting in asked:
                studies.tell(setting, values[setting.fold, setting.slot])
