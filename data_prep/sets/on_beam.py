"""Preparation on Apache Beam, for corpora too large for one machine: many machines write the same files as the workers here.

An extra (pip install "apache-beam>=2.77,<3"). Beam's workers need this repository on their path, the media, and the folder of prepared
sets, both on a disk that all of them share. A clip's memory and time are limited by Beam's runner alone: Beam retries a decoder that
crashes, and the pipeline fails where it crashes again; clips that are staged by then stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from data_prep.sets.staging import StageTask, stage_media

_Task = TypeVar("_Task")


@dataclasses.dataclass(frozen=True)
class Beam:
    """A runner and the options of its pipelines, as Beam names them.

    Attributes:
      runner: such as "DirectRunner", "FlinkRunner", "DataflowRunner".
      options: such as ("--flink_master=host:8081", "--parallelism=64").
    """

    runner: str
    options: tuple[str, ...] = ()

    def stage(self, tasks: Iterable[StageTask]) -> None:
        """Decode clips and make their views, each into its own staged file.

        Raises:
          ImportError: Beam is not installed, with the command that installs it.
        """
        run_on_beam(stage_media, tasks, self.runner, self._pipeline_options())

    def write(self, shards: Iterable[Any]) -> None:
        """Write the shards of a prepared set.

        Raises:
          ImportError: Beam is not installed, with the command that installs it.
        """
        from data_prep.sets.shards import write_shard  # late: brings array_record

        run_on_beam(write_shard, shards, self.runner, self._pipeline_options())

    def _pipeline_options(self) -> Any:
        _beam()
        from apache_beam.options.pipeline_options import PipelineOptions

        return PipelineOptions(list(self.options))


def beam_of(runner: str, options: Sequence[str]) -> Beam | None:
    """Return the Beam that config.beam_runner and config.beam_options ask for, or None where no runner is named.

    Raises:
      ValueError: options without a runner.
    """
    if not runner:
        if options:
            raise ValueError("config.beam_options is for a config.beam_runner, such as DirectRunner, and none is named")
        return None
    return Beam(runner, tuple(options))


def run_on_beam(function: Callable[[_Task], object], tasks: Iterable[_Task], runner: Any, options: Any) -> None:
    """Apply `function`, which writes its results to disk, to every task in one pipeline with that runner and these PipelineOptions."""
    beam = _beam()
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        # Shuffled, because a runner may treat one small list as a single bundle of work.
        _ = pipeline | beam.Create(list(tasks)) | beam.Reshuffle() | beam.Map(function)


def _beam() -> Any:
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(f'config.beam_runner needs Apache Beam ({error}): pip install "apache-beam>=2.77,<3"') from error
    return apache_beam
