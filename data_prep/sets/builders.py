"""From staged clips to a prepared set: the TFDS builder, and the one step in which a finished set appears on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from avemo_jax.allocator import freed_memory_kept
from avemo_jax.atomic import write_json
from avemo_jax.clips import Clip, write_clips
from avemo_jax.data.prepared import PreparedManifest, PreparedSet, Records, content_hash, format_damage, read_examples
from data_prep.sets.on_beam import Beam, run_on_beam
from data_prep.sets.shards import Shard, runs_of_shards, write_shard, write_shards
from data_prep.sets.staging import StagedClip

_SPLIT = "examples"


class PreparedView(FileReaderBuilder):
    """One view of one corpus as a TFDS dataset: split `examples`, records in (clip id, segment) order.

    It writes its shards itself: TFDS's shuffling writer would hold up to 1 GB in memory and spill through TensorFlow beyond, and its
    writer of shards takes one after another. With a `beam_runner` in TFDS's download config, Beam writes them.

    Args:
      staged: what is staged of the clips that gave examples, in order of clip ids.
      step_shape, dtype: of the view's steps.
      write: writes shards, where Beam does not.
    """

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS would look beside the code for checksums of downloads, and needs a package it does not install for that

    def __init__(
        self,
        *,
        staged: Sequence[StagedClip],
        step_shape: tuple[int, ...],
        dtype: str,
        write: Callable[[Sequence[Shard]], None],
        **kwargs: Any,
    ):
        self._staged = staged
        self._step_shape = step_shape
        self._dtype = dtype
        self._write = write
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
        return _Info(builder=self, features=features, disable_shuffling=True)

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        template = self._get_filename_template(split_name=_SPLIT)
        runs = runs_of_shards(self._staged)
        shards = [
            Shard(Path(template.sharded_filepath(shard_index=index, num_shards=len(runs))), tuple(held)) for index, held in enumerate(runs)
        ]
        if download_config is not None and download_config.beam_runner:
            run_on_beam(write_shard, shards, download_config.beam_runner, download_config.beam_options)
        else:
            self._write(shards)
        split = tfds.core.SplitInfo(
            name=_SPLIT,
            shard_lengths=[shard.num_examples for shard in shards],
            num_bytes=sum(shard.path.stat().st_size for shard in shards),
            filename_template=template,
        )
        self.info.set_splits(tfds.core.SplitDict([split]))


class _Info(tfds.core.DatasetInfo):
    """What TFDS writes down of a dataset, without a look for ours in its bucket, which leaves an empty folder among temporary files."""

    def initialize_from_bucket(self) -> None:
        pass


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
    work: Callable[..., Iterator[tuple[str, Any]]] | None = None,
    beam: Beam | None = None,
) -> PreparedSet:
    """Write a prepared set from staged clips and put it into place in one step: it is there whole and read back, or not at all.

    Everything that makes examples ends here, decoded views as well as the embeddings of a frozen encoder.

    Args:
      directory: where the finished set shall be; it must not exist.
      staged: what is staged of every clip, in any order.
      clips: the clips asked for.
      corpus, view, modality, view_params, step_shape, dtype, key: as in PreparedManifest.
      work: `run_tasks` with its workers and limits, to write shards side by side; None writes them here, one after another.
      beam: writes the shards in place of either.

    Raises:
      ValueError: no clip gave an example, with the damage report.
      WorkerError, OSError: the set cannot be written (a full disk); what is staged stays.
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
    write = functools.partial(write_shards, work=work, description=f"{corpus} {view}, writing")
    builder = PreparedView(
        staged=with_examples, step_shape=step_shape, dtype=dtype, write=write, data_dir=str(partial), file_format="array_record"
    )
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # it announces a download that does not take place
        options = beam.download_config() if beam is not None else {}
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False, **options))
    written = Path(builder.data_dir)
    with freed_memory_kept():
        manifest = dataclasses.replace(manifest, content_hash=content_hash(read_examples(Records(written, step_shape, dtype)))[0])
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
