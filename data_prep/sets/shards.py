"""The files of a prepared set: which segments lie in which, and writing one of them, wherever that is done."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.proto import tf_example_pb2

from avemo_jax.allocator import freed_memory_kept
from avemo_jax.data.prepared import Example
from data_prep.sets.staging import StagedClip
from data_prep.workers.pool import Crash

# Bounds of the split: several shards are written at the same time, and a reader with random access has few files open.
_LARGEST_BYTES = 64 << 20
_LEAST_BYTES = 8 << 20
_LEAST_NUM = 4

Run = tuple[StagedClip, range]  # some consecutive segments of a clip


@dataclasses.dataclass(frozen=True)
class Shard:
    """One array_record file.

    Attributes:
      path: of the file.
      runs: the segments that it holds, in (clip id, segment) order.
    """

    path: Path
    runs: Sequence[Run]

    @property
    def num_examples(self) -> int:
        return sum(len(segments) for _, segments in self.runs)


def runs_of_shards(staged: Sequence[StagedClip]) -> list[list[Run]]:
    """Split the segments of all clips into shards of about equal bytes; a long clip may be spread over several.

    The split depends on the clips alone, not on the number of workers.
    """
    shard_bytes = min(_LARGEST_BYTES, max(_LEAST_BYTES, math.ceil(sum(clip.num_bytes for clip in staged) / _LEAST_NUM)))
    shards: list[list[Run]] = []
    num_bytes = shard_bytes
    for clip in staged:
        segment_bytes = max(1, clip.num_bytes // clip.num_segments)
        start = 0
        while start < clip.num_segments:
            if num_bytes >= shard_bytes:
                shards.append([])
                num_bytes = 0
            end = min(clip.num_segments, start + math.ceil((shard_bytes - num_bytes) / segment_bytes))
            shards[-1].append((clip, range(start, end)))
            num_bytes += (end - start) * segment_bytes
            start = end
    return shards


def write_shard(shard: Shard) -> None:
    """Write a shard, one example in memory at a time; equal examples give equal bytes.

    Raises:
      OSError: it cannot be written (a full disk).
    """
    try:
        with freed_memory_kept():
            # zstd's level 1: less time than the default 3 for a little more disk
            writer = ArrayRecordWriter(os.fspath(shard.path), "group_size:1,zstd:1")
            for staged, segments in shard.runs:
                for example in staged.examples(segments):
                    writer.write(_record(example))
            writer.close()
    except RuntimeError as error:  # raised by array_record for a full disk
        raise OSError(f"cannot write the prepared set; what is staged stays, so free some space and start again: {error}") from error


def _record(example: Example) -> bytes:
    """The tf.train.Example of the features of `write_prepared`.

    TFDS's own serializer copies the arrays several times more, and does not fix the order of the fields.
    """
    record = tf_example_pb2.Example()
    feature = record.features.feature
    feature["clip"].bytes_list.value.append(example.clip_id.encode())
    feature["segment"].int64_list.value.append(example.segment)
    for name in ("values", "mask", "times_s"):
        feature[name].bytes_list.value.append(getattr(example, name).tobytes())
    return record.SerializeToString(deterministic=True)


def write_shards(shards: Sequence[Shard], work: Callable[..., Iterator[tuple[str, Any]]] | None, description: str) -> None:
    """Write shards in worker processes, or in this process where there is one shard or no workers.

    A worker's memory is limited because media are untrusted; a shard with an example too long for the limit is written in this process.

    Args:
      shards: what to write.
      work: `run_tasks` with workers and limits bound, or None.
      description: title of the progress bar.
    """
    if work is None or len(shards) == 1:
        for shard in shards:
            write_shard(shard)
        return
    tasks: Mapping[str, Shard] = {shard.path.name: shard for shard in shards}
    for name, outcome in work(_write_in_bounds, tasks, description=description, unit="shard"):
        if isinstance(outcome, Crash):
            write_shard(tasks[name])


def _write_in_bounds(shard: Shard) -> Crash | None:
    try:
        write_shard(shard)
    except MemoryError as error:
        return Crash(f"it needs more than a worker's memory ({error})")
    return None
