"""Prepared sets as a tf.data stream, for what does not fit on the devices: batches are read, padded and prefetched as they are needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import PreparedSet, Records
from avemo_jax.data.quiet_loading import quiet_loading
from avemo_jax.data.rows import Rows, join_segments, reach


@dataclasses.dataclass(frozen=True)
class _Source:
    """Random access to one stream: the record of each row (-1: none), steps of each row up to the last real one, and the padded length."""

    records: Records
    record_of: np.ndarray
    num_steps: int
    step_shape: tuple[int, ...]
    dtype: str
    lengths: np.ndarray


@dataclasses.dataclass(frozen=True)
class StreamedSet(Rows):
    """The examples of a corpus, read batch by batch: a `Feed` on disk. The rows are those of a `ResidentSet` of the same prepared sets.

    Attributes:
      clip_ids: the clips that `clip` points to.
      arrays: `label` (N,) int32, `clip` (N,) int32, `usable` (N,) bool; the streams themselves stay on disk.
      sources: stream -> its records.
    """

    sources: Mapping[str, _Source]

    @property
    def is_resident(self) -> bool:
        return False

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self.sources)

    def step_of(self, stream: str) -> tuple[tuple[int, ...], str]:
        return tuple(self.sources[stream].step_shape), self.sources[stream].dtype

    def num_steps(self, stream: str) -> int:
        return self.sources[stream].num_steps

    def lengths_of(self, stream: str) -> np.ndarray:
        return self.sources[stream].lengths

    def only(self, streams: Sequence[str]) -> StreamedSet:
        sources = {stream: self.sources[stream] for stream in streams}
        usable = np.any([source.lengths > 0 for source in sources.values()], axis=0)
        return StreamedSet(self.clip_ids, dict(self.arrays) | {"usable": usable}, sources)

    def without(self, stream: str) -> StreamedSet:
        source = self.sources[stream]
        absent = dataclasses.replace(source, record_of=np.full_like(source.record_of, -1), lengths=np.zeros_like(source.lengths))
        return dataclasses.replace(self, sources=dict(self.sources) | {stream: absent}).only(self.streams)

    def padded_to(self, num_steps: Mapping[str, int]) -> StreamedSet:
        longer = {
            stream: dataclasses.replace(self.sources[stream], num_steps=max(wanted, self.num_steps(stream)))
            for stream, wanted in num_steps.items()
        }
        return dataclasses.replace(self, sources=dict(self.sources) | longer)

    def per_speaker(self, streams: Sequence[str], speakers: np.ndarray) -> StreamedSet:
        raise ValueError("normalisation by speaker needs all examples in memory; set --config.devices.feed=resident")

    def times_of(self, stream: str, rows: np.ndarray) -> np.ndarray:
        source = self.sources[stream]
        times = np.full((len(rows), source.num_steps), np.nan, np.float32)
        for position, record in enumerate(source.record_of[rows]):
            if record >= 0:
                own = source.records[int(record)].times_s
                times[position, : len(own)] = own
        return times

    def load(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        batch: dict[str, np.ndarray] = {}
        for stream, source in self.sources.items():
            values = np.zeros((len(rows), source.num_steps, *source.step_shape), source.dtype)
            mask = np.zeros((len(rows), source.num_steps), bool)
            for position, record in enumerate(source.record_of[rows]):
                if record >= 0:
                    found = source.records[int(record)]
                    values[position, : len(found.values)] = found.values
                    mask[position, : len(found.mask)] = found.mask
            batch |= {stream: values, f"{stream}_mask": mask}
        return batch

    def batches(self, order: np.ndarray, real: np.ndarray, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield batches in order, with `label`, `clip` and `mask` beside the streams, reading ahead while they are used.

        Args:
          order: (n,) int32 rows, n a multiple of `batch_size`.
          real: (n,) bool, False for padding.
        """
        with quiet_loading():
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")  # the accelerator belongs to JAX
        names = [name for stream in self.streams for name in (stream, f"{stream}_mask")]
        types = [np.dtype(kind) for stream in self.streams for kind in (self.sources[stream].dtype, bool)]

        def read(rows: np.ndarray) -> list[np.ndarray]:
            batch = self.load(rows)
            return [batch[name] for name in names]

        dataset = tf.data.Dataset.from_tensor_slices((order.reshape(-1, batch_size), real.reshape(-1, batch_size)))
        dataset = dataset.map(
            lambda rows, real: (tuple(tf.numpy_function(read, [rows], types)), rows, real),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        for arrays, rows, mask in dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            batch = dict(zip(names, arrays, strict=True))
            yield batch | {
                "label": self.label[rows],
                "clip": self.clip[rows],
                "mask": mask & self.usable[rows],
            }


def open_stream(clips: Sequence[Clip], labels: Sequence[int], sets: Mapping[str, PreparedSet]) -> StreamedSet:
    """Join prepared sets by (clip, segment), as `load_resident` does, without holding them.

    All records are read once to learn their lengths; two examples are in memory at a time.

    Raises:
      ValueError: a set holds none of the clips.
    """
    wanted = {clip.clip_id for clip in clips}
    names: dict[str, list[tuple[str, int]]] = {}
    records: dict[str, list[tuple[int, int, int]]] = {}
    for stream, prepared in sets.items():
        names[stream], records[stream] = [], []
        for record, one in enumerate(prepared.examples()):
            if one.clip_id in wanted:
                names[stream].append((one.clip_id, one.segment))
                records[stream].append((record, len(one.values), int(reach(one.mask[None])[0])))
    keys, rows = join_segments(clips, names, sets)
    sources = {}
    for stream, prepared in sets.items():
        record_of, lengths = np.full(len(keys) + 1, -1), np.zeros(len(keys) + 1, int)
        for row, (record, _, length) in zip(rows[stream], records[stream], strict=True):
            record_of[row], lengths[row] = record, length
        manifest = prepared.manifest
        sources[stream] = _Source(
            records=prepared.records(),
            record_of=record_of[:-1],
            num_steps=max(length for _, length, _ in records[stream]),
            step_shape=manifest.step_shape,
            dtype=manifest.dtype,
            lengths=lengths[:-1],
        )
    clip = np.asarray([row for row, _ in keys], np.int32)
    arrays = {"label": np.asarray(labels, np.int32)[clip], "clip": clip}
    return StreamedSet(tuple(clip.clip_id for clip in clips), arrays, sources).only(tuple(sources))
