"""The search itself: round after round, by one process or by many, until every setting of every fold is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from avemo_jax.search.leases import Leases
from avemo_jax.search.studies import Setting, Studies

Train = Callable[[int, Sequence[Setting]], Mapping[tuple[int, int], float]]


def run_rounds(studies: Studies, claims: Leases, *, batch: int, train: Train, progress: Callable[[int], None] = lambda done: None) -> None:
    """Ask, train and tell what is left; where other processes have the rest, wait until they have finished it or are gone.

    Args:
      batch: settings of each fold in a round, which are asked together, trained together and told together.
      train: called with the number of a round and its unfinished settings of all folds; gives the value of each by (fold, slot).
      progress: called with the number of finished settings of all folds.
    """
    rounds = [range(start, min(start + batch, studies.num_settings)) for start in range(0, studies.num_settings, batch)]
    with claims.signs_of_life():
        while True:
            finished = [{one.slot for one in studies.settings(fold) if one.value is not None} for fold in range(studies.num_folds)]
            progress(sum(map(len, finished)))
            left = [number for number, slots in enumerate(rounds) if not all(done.issuperset(slots) for done in finished)]
            if not left:
                return
            free = claims.free(left)
            if not free:
                time.sleep(min(1.0, claims.lease_s / 5))
                continue
            if not claims.claim(free[0]):
                continue
            asked = [setting for fold in range(studies.num_folds) for setting in studies.ask(fold, rounds[free[0]])]
            values = train(free[0], asked) if asked else {}
            for setting in asked:
                studies.tell(setting, values[setting.fold, setting.slot])
