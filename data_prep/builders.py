"""From staged clips to a prepared set: the TFDS builder, and the one step in which a finished set appears on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core.writer import ExampleWriter
from tensorflow_datasets.proto import tf_example_pb2

from avemo_jax.atomic import write_json
from avemo_jax.clips import Clip, write_clips
from avemo_jax.data.prepared import PreparedManifest, PreparedSet, content_hash, format_damage, read_examples
from data_prep.on_beam import Beam
from data_prep.staging import StagedClip

# TFDS holds the examples of one shard while it writes it.
_SHARD_BYTES = 64 << 20

_Run = tuple[StagedClip, range]  # some consecutive segments of a clip


class PreparedView(tfds.core.ShardBasedBuilder):
    """One view of one corpus as a TFDS dataset: split `examples`, records in (clip id, segment) order.

    Shard by shard and not through TFDS's shuffling writer, which holds up to 1 GB in memory and spills through TensorFlow beyond.
    With a `beam_runner` in the download config, TFDS writes the shards in parallel on Apache Beam.
    """

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS would look beside the code for checksums of downloads, and needs a package it does not install for that

    def __init__(self, *, staged: Sequence[StagedClip], step_shape: tuple[int, ...], dtype: str, **kwargs: Any):
        self._staged = staged
        self._step_shape = step_shape
        self._dtype = dtype
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        def tensor(shape: tuple[int | None, ...], dtype: Any) -> tfds.features.Tensor:
            return tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype), encoding="bytes")  # protobuf's lists are slow and large

        features = tfds.features.FeaturesDict(
            {
                "clip": tfds.features.Text(),
                "segment": np.int32,
                "values": tensor((None, *self._step_shape), self._dtype),
                "mask": tensor((None,), np.bool_),
                "times_s": tensor((None,), np.float32),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _shard_iterators_per_split(self, dl_manager: Any) -> Mapping[str, Sequence[Any]]:
        return {"examples": [functools.partial(_examples_of, shard) for shard in _shards(self._staged)]}

    def _generate_examples(self, shard: Sequence[_Run]) -> Iterator[tuple[str, dict[str, Any]]]:
        return _examples_of(shard)

    def _example_writer(self) -> ExampleWriter:
        return _ReproducibleWriter(self.info.file_format)


class _ReproducibleWriter(ExampleWriter):
    """Writes array_record files whose bytes follow from the examples; TFDS leaves the order of a record's fields to chance."""

    def write(self, path, examples) -> None:
        try:
            writer = ArrayRecordWriter(
                os.fspath(path), "group_size:1,zstd:1"
            )  # level 1: a third less time than the default 3, a tenth more disk
            for _, serialized in examples:
                writer.write(tf_example_pb2.Example.FromString(serialized).SerializeToString(deterministic=True))
            writer.close()
        except RuntimeError as error:  # array_record's word for a full disk
            raise OSError(f"cannot write the prepared set; what is staged stays, so free some space and start again: {error}") from error


def _examples_of(shard: Sequence[_Run]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and records of a shard; a function of the module, since Beam sends it to other processes and a builder cannot be sent."""
    for staged, segments in shard:
        for example in staged.examples(segments):
            record = {"clip": example.clip_id, "segment": example.segment}
            record |= {"values": example.values, "mask": example.mask, "times_s": example.times_s}
            yield f"{example.clip_id}/{example.segment}", record


def _shards(staged: Sequence[StagedClip]) -> list[list[_Run]]:
    """Split the segments of all clips into shards of about _SHARD_BYTES; a long clip may be spread over several."""
    shards: list[list[_Run]] = []
    num_bytes = _SHARD_BYTES
    for clip in staged:
        segment_bytes = max(1, clip.num_bytes // clip.num_segments)
        start = 0
        while start < clip.num_segments:
            if num_bytes >= _SHARD_BYTES:
                shards.append([])
                num_bytes = 0
            end = min(clip.num_segments, start + math.ceil((_SHARD_BYTES - num_bytes) / segment_bytes))
            shards[-1].append((clip, range(start, end)))
            num_bytes += (end - start) * segment_bytes
            start = end
    return shards


def write_prepared(
    directory: Path,
    *,
    staged: Sequence[StagedClip],
    clips: Sequence[Clip],
    corpus: str,
    view: str,
    modality: str,
    view_params: Mapping[str, Any],
    step_shape: tuple[int, ...],
    dtype: str,
    key: str,
    beam: Beam | None = None,
) -> PreparedSet:
    """Write a prepared set from staged clips and put it into place in one step: it is there whole and read back, or not at all.

    Everything that makes examples ends here, decoded views as well as the embeddings of a frozen encoder.

    Args:
      directory: where the finished set shall be; it must not exist.
      staged: what is staged of every clip, in any order.
      clips: the clips asked for.
      corpus, view, modality, view_params, step_shape, dtype, key: as in PreparedManifest.
      beam: writes the shards; None writes them here, one after another.

    Raises:
      ValueError: no clip gave an example, with the damage report.
    """
    staged = sorted(staged, key=lambda clip: clip.clip_id)
    damage = {clip.clip_id: clip.damage for clip in staged if clip.damage is not None}
    manifest = PreparedManifest(
        corpus=corpus,
        view=view,
        modality=modality,
        view_params=dict(view_params),
        step_shape=tuple(step_shape),
        dtype=dtype,
        num_clips=len(clips),
        num_examples=sum(clip.num_segments for clip in staged),
        content_hash="",
        key=key,
    )
    if manifest.num_examples == 0:
        report = format_damage(PreparedSet(directory, manifest, damage))
        raise ValueError(f"no clip gave an example, so there is nothing to train on; is the corpus whole?\n{report}")

    partial = directory.with_name(f"{directory.name}.partial") / "tfds"
    shutil.rmtree(partial, ignore_errors=True)
    with_examples = [clip for clip in staged if clip.num_segments]
    builder = PreparedView(staged=with_examples, step_shape=step_shape, dtype=dtype, data_dir=str(partial), file_format="array_record")
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # it announces a download that does not take place
        options = beam.download_config() if beam is not None else {}
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False, **options))
    written = Path(builder.data_dir)
    manifest = dataclasses.replace(manifest, content_hash=content_hash(read_examples(written))[0])
    write_clips(written / "clips.csv", sorted(clips, key=lambda clip: clip.clip_id))
    write_json(written / "damage.json", {clip_id: dataclasses.asdict(entry) for clip_id, entry in damage.items()})
    write_json(written / "manifest.json", dataclasses.asdict(manifest))
    for path in written.iterdir():
        _sync(path)
    os.rename(written, directory)
    _sync(directory.parent)
    return PreparedSet.open(directory)


def _sync(path: Path) -> None:
    """Wait until a file or directory is on the disk, so that a power cut can't leave a finished name on unfinished content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
