"""A profile of training steps, written by JAX's profiler for XProf (TensorBoard) and Perfetto (`devices.profile`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

LOG = logging.getLogger(__name__)


class Profiler:
    """Profiles the epochs after the first one, which compiles, until a number of steps is covered; of a single epoch that one.

    An epoch is one compiled program, so whole epochs are profiled: at least the number of steps that is asked for, in each trial.

    Args:
      folder: for the files: plugins/profile/<time>/*.xplane.pb for XProf, and perfetto_trace.json.gz for ui.perfetto.dev.
      num_steps: steps to profile; 0 profiles nothing.
    """

    def __init__(self, folder: Path, num_steps: int):
        self._folder = folder
        self._num_steps = num_steps
        self._is_running = False
        self._num_covered = 0

    @contextmanager
    def open(self) -> Iterator[Profiler]:
        """Stop the profile at the end of the block where it still runs, also after an error or a stop signal."""
        try:
            yield self
        finally:
            self._stop()

    def before(self, number: int, num_epochs: int) -> None:
        """Start the profile where epoch `number` of the `num_epochs` that are trained now is the first to profile."""
        if self._num_steps and number == min(1, num_epochs - 1):
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._is_running = True

    def after(self, steps_of_epoch: int, result: Any) -> None:
        """Stop the profile where the epoch that computes `result` has covered the steps; waits for it first."""
        if self._is_running:
            self._num_covered += steps_of_epoch
            if self._num_covered >= self._num_steps:
                jax.block_until_ready(result)
                self._stop()

    def _stop(self) -> None:
        if self._is_running:
            self._is_running = False
            jax.profiler.stop_trace()
            LOG.info(
                "profile of %d steps: %s; open it with `xprof --logdir=%s`, or its perfetto_trace.json.gz in https://ui.perfetto.dev",
                *(self._num_covered, self._folder, self._folder),
            )


def no_profile() -> Profiler:
    """Return a profiler that profiles nothing."""
    return Profiler(Path(), 0)
