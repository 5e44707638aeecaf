"""From staged clips to a prepared set: shards, TFDS's metadata beside them, and the one rename by which a finished set appears on disk.

Shards are written by own code (`shards.py`), because the shuffling writer of TFDS holds up to 1 GB in memory and spills through TensorFlow
beyond that, and its sequential writer uses one core. `tfds.folder_dataset.write_metadata` makes a TFDS dataset of them.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from avemo_jax.allocator import freed_memory_kept
from avemo_jax.atomic import sync, write_json
from avemo_jax.clips import Clip, write_clips
from avemo_jax.data.prepared import PreparedManifest, PreparedSet, Records, content_hash, format_damage, read_examples, write_checksums
from data_prep.sets.finished import partial_of
from data_prep.sets.on_beam import Beam
from data_prep.sets.shards import Shard, runs_of_shards, write_shards
from data_prep.sets.staging import StagedClip

_SPLIT = "examples"
_FILES = tfds.core.ShardedFileTemplate(data_dir=Path(), dataset_name="prepared_view", split=_SPLIT, filetype_suffix="array_record")


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
    """Write a prepared set from staged clips, read it back, and rename it to its place: a directory of that name is always complete.

    Decoded views and features of frozen encoders are both written here.

    Args:
      directory: of the finished set; it must not exist.
      staged: every clip, in any order.
      clips: all clips of the set, damaged ones included.
      corpus, view, modality, view_params, step_shape, dtype, key: as in PreparedManifest.
      work: `run_tasks` with workers and limits bound, to write several shards at the same time; None writes them in this process.
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
    partial = partial_of(directory)
    damage_entries = {clip_id: dataclasses.asdict(entry) for clip_id, entry in damage.items()}
    if manifest.num_examples == 0:
        partial.mkdir(parents=True, exist_ok=True)
        write_json(partial / "damage.json", damage_entries)
        report = format_damage(PreparedSet(partial, manifest, damage))
        raise ValueError(f"no clip gave an example, so there is nothing to train on; is the corpus whole?\n{report}")

    written = partial / "set"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    runs = runs_of_shards([clip for clip in staged if clip.num_segments])
    files = _FILES.replace(data_dir=written)
    shards = [Shard(Path(files.sharded_filepath(shard_index=index, num_shards=len(runs))), tuple(run)) for index, run in enumerate(runs)]
    if beam is not None:
        beam.write(shards)
    else:
        write_shards(shards, work=work, description=f"{corpus} {view}, writing")
    _write_tfds_metadata(written, shards, manifest.step_shape, dtype)
    with freed_memory_kept():
        records = Records(written, step_shape, dtype, manifest.num_examples)
        manifest = dataclasses.replace(manifest, content_hash=content_hash(read_examples(records))[0])
    write_clips(written / "clips.csv", sorted(clips, key=lambda clip: clip.clip_id))
    write_json(written / "damage.json", damage_entries)
    write_json(written / "manifest.json", dataclasses.asdict(manifest))
    write_checksums(written)
    for path in written.iterdir():
        sync(path)
    os.rename(written, directory)
    sync(directory.parent)
    return PreparedSet.open(directory)


def _write_tfds_metadata(directory: Path, shards: Sequence[Shard], step_shape: tuple[int, ...], dtype: str) -> None:
    """Write features.json and dataset_info.json, with which TFDS reads the shards in that directory in their order."""

    def tensor(shape: tuple[int | None, ...], dtype: Any) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype), encoding="bytes")  # protobuf's lists are slow and large

    features = tfds.features.FeaturesDict(
        {
            "clip": tfds.features.Text(),
            "segment": np.int32,
            "values": tensor((None, *step_shape), dtype),
            "mask": tensor((None,), np.bool_),
            "times_s": tensor((None,), np.float32),
        }
    )
    split = tfds.core.SplitInfo(
        name=_SPLIT,
        shard_lengths=[shard.num_examples for shard in shards],
        num_bytes=sum(shard.path.stat().st_size for shard in shards),
        filename_template=_FILES.replace(data_dir=directory),
    )
    # The check would read an example through TensorFlow; `write_prepared` reads all of them back without.
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=features, split_infos=[split], version="1.0.0", disable_shuffling=True, check_data=False
    )
