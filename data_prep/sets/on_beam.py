"""Preparing on Apache Beam, for corpora that one machine does not decode: the same files as the workers here make, on many machines.

An extra (pip install "apache-beam>=2.77,<3"). Beam's workers need this repository on their path, the media, and the folder of prepared
sets, both on a disk that all of them see. What bounds a clip's memory and time is Beam's runner, and not ours: a decoder that crashes
is tried again by Beam, and ends the pipeline if it goes on; clips that are staged by then stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
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
          ImportError: Beam is not installed, with the command that mends it.
        """
        run_on_beam(stage_media, tasks, self.runner, self._pipeline_options())

    def download_config(self) -> dict[str, Any]:
        """TFDS's own options, with which it writes the shards of a set on Beam."""
        return {"beam_runner": self.runner, "beam_options": self._pipeline_options()}

    def _pipeline_options(self) -> Any:
        _beam()
        from apache_beam.options.pipeline_options import PipelineOptions

        return PipelineOptions(list(self.options))


def beam_of(config: Mapping[str, Any]) -> Beam | None:
    """The Beam that a config asks for, or None."""
    if not config["beam_runner"]:
        if config["beam_options"]:
            raise ValueError("config.beam_options is for a config.beam_runner, such as DirectRunner, and none is named")
        return None
    return Beam(config["beam_runner"], tuple(config["beam_options"]))


def run_on_beam(function: Callable[[_Task], object], tasks: Iterable[_Task], runner: Any, options: Any) -> None:
    """Apply `function`, which keeps its results on the disk, to every task in one pipeline with that runner and these PipelineOptions."""
    beam = _beam()
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        # Shuffled, or the runner may take all tasks, which are one small list, for one piece of work.
        _ = pipeline | beam.Create(list(tasks)) | beam.Reshuffle() | beam.Map(function)


def _beam() -> Any:
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(f'config.beam_runner needs Apache Beam ({error}): pip install "apache-beam>=2.77,<3"') from error
    return apache_beam
