"""The config of an experiment as frozen dataclasses: the only place that says which fields there are, their defaults and their meaning.

`configs/base.py` makes the ConfigDict of the command line from these types, `parsing.parse` turns it back into them once. Units are suffixes
of the names. Numbers that follow from others (steps of an epoch, the name of the work directory) are computed and are no fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemo_jax.config.stream import Fusion, Stream
from avemo_jax.config.training import Late, Search, Sweep, Train

# Parameters of a view by name; the view's own dataclass in data_prep/views checks them.
ViewParameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """Which clips.

    Attributes:
      name: of the corpus, a module of data_prep/corpora; several joined by "+".
      root: folder of the corpus as its owner distributes it; the synthetic corpus writes its own.
      label_set: classes and what each emotion of the corpus counts as, see `avemo_jax.labels`.
      label_target: what the labels are, stored with every result: "acted", "crowd" (raters' votes) or "found" (the source's own).
      channel: RAVDESS: "speech", "song" or "all".
      unsegmented: eNTERFACE'05: also read the recordings that hold all sentences of an emotion uncut (subject 6).
      first_frames: CK+: also read the first frame of each labelled sequence, as a neutral face (label set ck_plus8).
      num_actors: synthetic corpus: speakers.
      num_takes: synthetic corpus: clips of one actor and emotion.
      seed: synthetic corpus.
    """

    name: str = "synthetic"
    root: str | None = None
    label_set: str = "ravdess8"
    label_target: str = "acted"
    channel: str = "speech"
    unsegmented: bool = False
    first_frames: bool = False
    num_actors: int = 12
    num_takes: int = 3
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """How an encoder with published weights is used; which one a stream uses is `streams.<name>.encoder`.

    Attributes:
      end_point: end point whose features are taken; "" takes the default of the encoder's record.
      layers: layers taken in place of an end point, of encoders that have such: "" none, "6", "4,5,6" or "all".
      resize_px: side that pictures are resized to inside the encoder; 0 leaves them as the view has them.
      weights: "published", the owner's file in `weights_dir`; "random", one fixed draw; or the path of a file of the same kind.
    """

    end_point: str = ""
    layers: str = ""
    resize_px: int = 0
    weights: str = "published"


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """What a system is called and which streams it has.

    Attributes:
      name: of the system, part of the work directory's name.
      streams: names of the streams in use, keys of `config.streams`, in the order in which the fusion takes them.
      segment_rule: how the segments of a clip become one prediction: "mean" of their probabilities, or their "vote" (system B).
    """

    name: str = ""
    streams: tuple[str, ...] = ()
    segment_rule: str = "mean"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Folds, selection and the leak audit.

    Attributes:
      name: of the protocol, or several, e.g. "random10,luna5": one grid trains all and reports the gap; the last is the run's own.
      num_folds: folds of the protocols that leave it open (random_k, speaker_k).
      seed: of the shuffles that make folds, where the protocol has any.
      select: part that epochs and settings are chosen on: "validation"; "test" reproduces how some published results were made, and
        every number is then flagged.
      metric: what early stopping and the best epoch look at on that part: "uar", "war" or "loss".
      baseline: fit the classical baseline (functionals and SVM) on the same folds beside every result with sound.
      allow_leaks: findings of the leak audit that may not stop the run, e.g. ("near_duplicate_in_two_parts",); every table then lists
        them. What a protocol consists of (random10 draws clips and shares speakers) is allowed by choosing it by name.
      near_duplicates: look for recordings that the corpus holds twice; 12 s for RAVDESS' 1,440 sounds on two cores, once.
    """

    name: str = "speaker_k"
    num_folds: int = 5
    seed: int = 0
    select: str = "validation"
    metric: str = "uar"
    baseline: bool = True
    allow_leaks: tuple[str, ...] = ()
    near_duplicates: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Robustness:
    """What `--mode=robustness` does to test clips.

    Attributes:
      conditions: noise:DB, codec:KBIT/S, occlusion:SHARE, frame_drop:SHARE, missing:STREAM, where * stands for each stream in turn.
    """

    conditions: tuple[str, ...] = (
        *("noise:20", "noise:10", "noise:0", "codec:16", "codec:6"),
        *("occlusion:0.1", "occlusion:0.3", "frame_drop:0.5", "frame_drop:0.9"),
        "missing:*",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """Where and how trials run; none of it changes what is computed, but for `product_precision`.

    Attributes:
      data_shards: devices that share one trial's batch; the others hold different trials.
      execution: "auto" chooses by backend; or "<trials>_<steps>" of vmap|loop and scan|python.
      product_precision: what accelerators multiply in: "bfloat16" or "tensorfloat32" (fast), "float32" (as a CPU does), or "default", the
        backend's own. Weights, sums and the optimizer stay float32.
      feed: "resident": arrays live on the devices; "stream": tf.data batches.
      memory_gib: of each device, for trials; a trial group that needs more is split. 0 asks the device.
      distributed: several processes share the grid, and JAX recognises them by SLURM, a TPU pod, Kubernetes or Open MPI.
      coordinator: host:port of process 0, for processes that are launched plainly.
      process: number of this process, from 0.
      num_processes: how many there are.
      heartbeat_s: seconds without a heartbeat of one process after which the others end (JAX's default).
      compilation_cache: store compiled programs in <prepared_dir>/xla; a second start then takes seconds.
    """

    data_shards: int = 1
    execution: str = "auto"
    product_precision: str = "default"
    feed: str = "resident"
    memory_gib: float = 0.0
    distributed: bool = False
    coordinator: str = ""
    process: int = 0
    num_processes: int = 0
    heartbeat_s: int = 100
    compilation_cache: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole experiment: corpus x system x protocol, and how it is trained.

    Attributes:
      workdir: run directory; default: runs/<corpus>-<system>-<protocol>.
      prepared_dir: prepared sets of all corpora; all runs share them.
      weights_dir: published weights of encoders; what is missing is fetched.
      num_workers: processes that decode and make views; two fit a laptop.
      beam_runner: Apache Beam's, such as "DirectRunner" or "FlinkRunner", in place of these processes; see docs/many_devices.md.
      beam_options: of its pipelines, e.g. ("--flink_master=host:8081", "--parallelism=64").
      corpus: which clips.
      views: name of a view -> its parameters; the streams name the views in use.
      encoders: name of an encoder -> how it is used.
      system: name and streams of the system.
      streams: name -> stream.
      fusion: how the streams become one.
      protocol: folds, selection and the leak audit.
      train: the recipe.
      late: the stage "late".
      sweep: values to try.
      search: adaptive search.
      robustness: conditions of `--mode=robustness`.
      devices: where and how trials run.
    """

    workdir: str | None = None
    prepared_dir: str = "prepared"
    weights_dir: str = "weights"
    num_workers: int = 2
    beam_runner: str = ""
    beam_options: tuple[str, ...] = ()
    corpus: Corpus = Corpus()
    views: Mapping[str, ViewParameters] = dataclasses.field(default_factory=dict)
    encoders: Mapping[str, EncoderSettings] = dataclasses.field(default_factory=dict)
    system: System = System()
    streams: Mapping[str, Stream] = dataclasses.field(default_factory=dict)
    fusion: Fusion = Fusion()
    protocol: Protocol = Protocol()
    train: Train = Train()
    late: Late = Late()
    sweep: Sweep = Sweep()
    search: Search = Search()
    robustness: Robustness = Robustness()
    devices: Devices = Devices()

    @property
    def streams_in_use(self) -> dict[str, Stream]:
        """The streams that the system has, in the order in which the fusion takes them."""
        return {name: self.streams[name] for name in self.system.streams}

    @property
    def run_directory(self) -> Path:
        """`workdir`, or runs/<corpus>-<system>-<protocol>."""
        if self.workdir:
            return Path(self.workdir)
        protocol = self.protocol.name.replace(" ", "").replace(",", "+")  # lists of runs are separated by commas
        return Path(f"runs/{self.corpus.name}-{self.system.name}-{protocol}")
