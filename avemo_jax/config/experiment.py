"""The config of an experiment as frozen dataclasses: the only place that defines the fields, their defaults and their meaning.

`configs/base.py` makes the ConfigDict of the command line from these types, `parsing.parse` turns it back into them once. Units are
suffixes of the names. Numbers that follow from others (steps of an epoch, the name of the run directory) are computed and are no fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from avemo_jax.bounds import COUNT, COUNT_OR_NONE, SEED, Bounds
from avemo_jax.config.stream import Fusion, Stream
from avemo_jax.config.training import Late, Search, Sweep, Train

# Parameters of a view by name; the view's own dataclass in data_prep/views checks them.
ViewParameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """The corpus and which of its clips are used.

    Attributes:
      name: name of the corpus, a module of data_prep/corpora; several names are joined by "+".
      root: folder of the corpus as its owner distributes it; the synthetic corpus writes its own.
      label_set: label set, which maps the emotions of the corpus to classes: a name (see `avemo_jax.labels`), or classes of your own,
        separated by commas, with the words that are merged into them: "happy=joy|excited,sad,tired"; "none" has no classes and takes all
        clips, for systems that predict `dimensions` alone.
      label_target: origin of the labels, stored with every result: "acted" (the emotion that the actor was asked for), "crowd" (raters'
        votes) or "found" (labels of the source of the media).
      dimensions: ratings of the clips that are predicted beside the classes, e.g. ("valence","arousal"); () predicts none. Ratings are
        attributes of the corpus's clips, or columns of a table of clips.
      dimension_bounds: lowest and highest rating of the corpus's scale, e.g. (1.0,5.0); ratings outside count as none. () has no ends.
      channel: RAVDESS: which recordings to read, "speech", "song" or "all".
      unsegmented: eNTERFACE'05: also read the recordings that hold all sentences of an emotion uncut (subject 6).
      first_frames: CK+: also read the first frame of each labelled sequence, as a neutral face (label set ck_plus8).
      label_level: folder: which folder names the emotion: 1 is the first below the root, -1 the one that a file lies in.
      speaker_level: folder: which folder names the speaker, counted in the same way; 0: none does.
      speaker_pattern: folder: regular expression searched in a file's path, whose group (named "speaker", or the first) is the speaker.
      split_level: folder: which folder names the part (train, val, test), for the protocol official; 0: none does.
      table: table_of_clips: the table, a row a clip.
      columns: table_of_clips: role=column, for columns with other names than file, emotion, speaker, gender, session, sentence,
        recording, start, end, split and id, and for those of `dimensions`.
      num_actors: synthetic corpus: number of speakers.
      num_takes: synthetic corpus: number of clips of each actor and emotion.
      seed: synthetic corpus: random seed of its clips.
    """

    name: str = "synthetic"
    root: str | None = None
    label_set: str = "ravdess8"
    label_target: str = "acted"
    dimensions: tuple[str, ...] = ()
    dimension_bounds: Annotated[tuple[float, ...], Bounds(least=-1e6, most=1e6)] = ()
    channel: str = "speech"
    unsegmented: bool = False
    first_frames: bool = False
    label_level: Annotated[int, Bounds(least=-20, most=20)] = -1
    speaker_level: Annotated[int, Bounds(least=-20, most=20)] = 0
    speaker_pattern: str = ""
    split_level: Annotated[int, Bounds(least=-20, most=20)] = 0
    table: str = ""
    columns: tuple[str, ...] = ()
    num_actors: Annotated[int, Bounds(least=1, most=10_000)] = 12
    num_takes: Annotated[int, Bounds(least=1, most=10_000)] = 3
    seed: Annotated[int, SEED] = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """How an encoder with published weights is used; `streams.<name>.encoder` chooses the encoder of a stream.

    Attributes:
      end_point: end point that the features are read from; "" is the default of the encoder's record.
      layers: layers that the features are read from in place of an end point, for encoders with several layers: "6", "4,5,6" or "all";
        "" reads the end point.
      tokens: what the features of a vision transformer are read from: "class", its class token; "patches", the mean of its patches;
        "class_and_patches", both; "" is the default of the encoder's record.
      resize_px: height and width in px that the encoder resizes pictures to; 0 keeps the size of the view.
      weights: "published" reads the published file in `weights_dir`; "random" draws weights with a fixed seed; a path reads a file of the
        published format.
      leave_out: layers of the file at `weights` that are not taken, such as ("dense",): the head of a fine-tuned network of your own.
      overlap_s: frozen speech transformers encode clips of several segments in chunks that overlap, as long as a segment and 30 s at most;
        time in s that two successive chunks share, half a chunk where that is less. 0 encodes each segment by itself.
    """

    end_point: str = ""
    layers: str = ""
    tokens: str = ""
    resize_px: Annotated[int, Bounds(least=0, most=4096)] = 0
    weights: str = "published"
    leave_out: tuple[str, ...] = ()
    overlap_s: Annotated[float, Bounds(least=0, most=15)] = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """The name of a system and its streams.

    Attributes:
      name: name of the system, part of the run directory's name.
      streams: names of the streams in use, keys of `config.streams`, in the order in which the fusion takes them.
      segment_rule: how the predictions of a clip's segments are combined: "mean" averages their probabilities, "vote" counts their
        predicted classes (system B).
    """

    name: str = ""
    streams: tuple[str, ...] = ()
    segment_rule: str = "mean"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Folds, selection and the leak audit.

    Attributes:
      name: name of the protocol, or several, e.g. "random10,luna5": one grid then trains the folds of all of them and reports the gap
        between their results; the last one gives the run's main result.
      num_folds: number of folds, for protocols with a free number of folds (random_k, speaker_k).
      seed: random seed of the shuffles that make the folds, for protocols that shuffle.
      select: what chooses epochs and settings: the "validation" part; the "test" part, as some published results were made, and every
        result is then flagged; or "last", nothing: the weights of the last epoch are used, and the linear and the kernel machine
        choose their penalty in inner folds of speakers, as they always do. With "test" and "last" the validation part trains too, so
        that all clips outside of the test part do, as in most documents.
      metric: selection metric, by which early stopping and the best epoch are decided on the selection part: "uar", "war" or "loss"; with
        `corpus.dimensions` also "ccc" or "rmse", the mean over the dimensions.
      baseline: fit the classical baseline (functionals and a linear machine) on the same folds and report it with every run that has sound.
      training_part: also predict the clips of the training parts by the finished networks, and report accuracy, recall and confusion.
      allow_leaks: findings of the leak audit that do not stop the run, e.g. ("near_duplicate_in_two_parts",); every table then lists
        them. Leaks that a protocol has by definition (random10 shares speakers between parts) are allowed by choosing that protocol.
      near_duplicates: search the corpus for recordings that occur twice; fingerprints are computed once and stored.
    """

    name: str = "speaker_k"
    num_folds: Annotated[int, Bounds(least=3, most=100_000)] = 5
    seed: Annotated[int, SEED] = 0
    select: str = "validation"
    metric: str = "uar"
    baseline: bool = True
    training_part: bool = False
    allow_leaks: tuple[str, ...] = ()
    near_duplicates: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Robustness:
    """The degradations of test clips that `--mode=robustness` measures.

    Attributes:
      conditions: degradations of the test clips, one after another: noise:DB (signal-to-noise ratio), codec:KBIT/S, speed:TIMES,
        occlusion:SHARE, frame_drop:SHARE, missing:STREAM; missing:* removes each stream in turn.
    """

    conditions: tuple[str, ...] = (
        *("noise:20", "noise:10", "noise:0", "codec:16", "codec:6"),
        *("occlusion:0.1", "occlusion:0.3", "frame_drop:0.5", "frame_drop:0.9"),
        "missing:*",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What `--mode=adapt` gives a finished run of each test speaker.

    Attributes:
      num_labelled: numbers of labelled clips of each class; none (0) is always measured beside them.
      num_tested: clips of each class that are tested at least, so that a class with few clips has fewer labelled ones.
      num_draws: random draws of the labelled clips of each speaker.
      seed: of the draws.
    """

    num_labelled: Annotated[tuple[int, ...], Bounds(least=0, most=1000)] = (0, 1, 3, 5)
    num_tested: Annotated[int, COUNT] = 2
    num_draws: Annotated[int, Bounds(least=1, most=1000)] = 10
    seed: Annotated[int, SEED] = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """Where and how trials run; only `product_precision` changes what is computed.

    Attributes:
      data_shards: number of devices over which the batch of one trial is split; devices beyond that train other trials.
      execution: how trials and steps are executed: "auto" chooses by backend; else "<trials>_<steps>", with trials vmap (side by side) or
        loop (one after another) and steps scan (one compiled loop) or python (dispatched one by one), e.g. "loop_scan".
      product_precision: precision of matrix products on accelerators: "bfloat16" or "tensorfloat32" (fast), "float32" (as on a CPU), or
        "default", the backend's default. Weights, sums and the optimizer stay float32.
      feed: where training batches come from: "resident" loads all examples into the devices' memory; "stream" reads batches from disk
        with tf.data.
      memory_gib: memory of each device for trials in GiB; a trial group that needs more is split. 0 asks the device.
      distributed: share the grid among several processes that SLURM, a TPU pod, Kubernetes or Open MPI has started, as JAX detects.
      coordinator: host:port of process 0, for processes that are started by hand; see `process` and `num_processes`.
      process: number of this process, from 0, for processes that are started by hand.
      num_processes: number of processes that share the grid, for processes that are started by hand.
      heartbeat_s: seconds without a heartbeat of one process after which the others end.
      compilation_cache: store compiled programs in <prepared_dir>/xla; a second start then takes seconds.
      profile: number of steps to profile in each stage, after its first epoch, rounded up to whole epochs; the files are in the run
        directory's folder profile. 0 profiles nothing.
    """

    data_shards: Annotated[int, COUNT] = 1
    execution: str = "auto"
    product_precision: str = "default"
    feed: str = "resident"
    memory_gib: Annotated[float, Bounds(least=0, most=1e6)] = 0.0
    distributed: bool = False
    coordinator: str = ""
    process: Annotated[int, COUNT_OR_NONE] = 0
    num_processes: Annotated[int, COUNT_OR_NONE] = 0
    heartbeat_s: Annotated[int, Bounds(least=1, most=86400)] = 100
    compilation_cache: bool = True
    profile: Annotated[int, COUNT_OR_NONE] = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole experiment: a corpus, a system, a protocol, and how the system is trained.

    Attributes:
      workdir: run directory; default: runs/<corpus>-<system>-<protocol>, with -search or -sweep at its end where one is set.
      prepared_dir: folder of the prepared sets of all corpora, shared by all runs.
      weights_dir: folder of published weights of encoders; missing files are downloaded into it.
      num_workers: number of processes that decode media and make views; two suit a laptop.
      beam_runner: Apache Beam runner that makes the views in place of these processes, such as "DirectRunner" or "FlinkRunner"; "" uses
        none, see docs/many_devices.md.
      beam_options: options of the Beam pipelines, e.g. ("--flink_master=host:8081", "--parallelism=64").
      corpus: the corpus and which of its clips are used.
      views: name of a view -> its parameters; the streams name the views in use.
      encoders: name of an encoder -> how it is used.
      system: name and streams of the system.
      streams: name -> stream.
      fusion: how the streams are joined.
      protocol: folds, selection and the leak audit.
      train: the recipe.
      late: the stage "late".
      sweep: values that a sweep tries.
      search: adaptive search of settings.
      robustness: conditions of `--mode=robustness`.
      adaptation: what `--mode=adapt` gives of each test speaker.
      devices: where and how trials run.
    """

    workdir: str | None = None
    prepared_dir: str = "prepared"
    weights_dir: str = "weights"
    num_workers: Annotated[int, Bounds(least=1, most=1024)] = 2
    beam_runner: str = ""
    beam_options: tuple[str, ...] = ()
    corpus: Corpus = dataclasses.field(default_factory=Corpus)
    views: Mapping[str, ViewParameters] = dataclasses.field(default_factory=dict)
    encoders: Mapping[str, EncoderSettings] = dataclasses.field(default_factory=dict)
    system: System = dataclasses.field(default_factory=System)
    streams: Mapping[str, Stream] = dataclasses.field(default_factory=dict)
    fusion: Fusion = dataclasses.field(default_factory=Fusion)
    protocol: Protocol = dataclasses.field(default_factory=Protocol)
    train: Train = dataclasses.field(default_factory=Train)
    late: Late = dataclasses.field(default_factory=Late)
    sweep: Sweep = dataclasses.field(default_factory=Sweep)
    search: Search = dataclasses.field(default_factory=Search)
    robustness: Robustness = dataclasses.field(default_factory=Robustness)
    adaptation: Adaptation = dataclasses.field(default_factory=Adaptation)
    devices: Devices = dataclasses.field(default_factory=Devices)

    @property
    def streams_in_use(self) -> dict[str, Stream]:
        """The streams that the system has, in the order in which the fusion takes them."""
        return {name: self.streams[name] for name in self.system.streams}

    @property
    def run_directory(self) -> Path:
        """`workdir`, or runs/<corpus>-<system>-<protocol>, with -search or -sweep at its end, so that these stand beside a single run."""
        if self.workdir:
            return Path(self.workdir)
        protocol = self.protocol.name.replace(" ", "").replace(",", "+")  # lists of runs are separated by commas
        swept = any(getattr(self.sweep, field.name) for field in dataclasses.fields(self.sweep) if field.name != "one_at_a_time")
        kind = "-search" if self.search.space else "-sweep" if swept else ""
        return Path(f"runs/{self.corpus.name}-{self.system.name}-{protocol}{kind}")
