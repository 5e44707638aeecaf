"""Prepared sets: views of a whole corpus on disk, one directory a view; read here without TensorFlow.

A prepared set is a TFDS dataset in array_record files beside four small files:

    manifest.json   PreparedManifest: what it holds and the content hash
    damage.json     clip id -> {"kind": ..., "detail": ...} for every clip that gave no example or a doubtful one
    clips.csv       the clips it was asked for, as they were then
    checksums.json  SHA-256 of these three; sets of earlier versions have none

The array_record files are read directly. TFDS would import whatever module `features.json` names, and prepared sets are passed on between
people: a data file must not run code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import write_json
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.feature_columns import TableColumns

# What can be wrong with a clip. The first group gave no example; the second gave examples all the same.
LOST_KINDS = ("missing", "undecodable", "truncated", "empty", "no_audio", "no_video")
DOUBTFUL_KINDS = ("silent", "no_face", "no_speech", "note")
# What a segment of new media is, where it holds no more than that.
SILENCE, NO_SPEECH, NO_FACE = "silence", "no speech", "no face"

MADE_ANEW = "run the same config with --mode=prepare --verify to make it anew"
_NUM_READERS = 2
_SUMS, _SUMMED = "checksums.json", ("manifest.json", "damage.json", "clips.csv")
_MOST_LISTED = 10  # damaged clips in a report, and kinds of equal damage
_SHARDS = "prepared_view-examples.array_record-"  # as TFDS names them for `data_prep.sets.builders.PreparedView`; then NUMBER-of-NUM_SHARDS


class DamagedSet(ValueError):
    """The files of a prepared set are damaged, incomplete, or not those of our builder; preparing makes the set anew."""


@dataclasses.dataclass(frozen=True)
class Damage:
    """What is wrong with one clip: one of LOST_KINDS or DOUBTFUL_KINDS, and a sentence for people."""

    kind: str
    detail: str

    def __post_init__(self):
        if self.kind not in LOST_KINDS + DOUBTFUL_KINDS:
            raise ValueError(f"expected a kind of damage among {LOST_KINDS + DOUBTFUL_KINDS}, got {self.kind!r}")


@dataclasses.dataclass(frozen=True)
class PreparedManifest:
    """What a prepared set holds.

    Attributes:
      corpus, view: names.
      modality: "audio" or "video".
      view_params: the parameters the view was made with.
      step_shape: shape of one step of the view; an example is (T,) + step_shape.
      dtype: numpy name of the values' type.
      num_clips: clips asked for, damaged ones included.
      num_examples: records (segments) written.
      content_hash: SHA-256 over all examples in (clip, segment) order: equal content, equal hash.
      key: SHA-256 of inputs, view parameters and code version, by which the set is found again.
    """

    corpus: str
    view: str
    modality: str
    view_params: Mapping[str, Any]
    step_shape: tuple[int, ...]
    dtype: str
    num_clips: int
    num_examples: int
    content_hash: str
    key: str

    def __post_init__(self):
        object.__setattr__(self, "step_shape", tuple(self.step_shape))


@dataclasses.dataclass(frozen=True)
class Example:
    """One segment of one clip as a network sees it.

    Attributes:
      clip_id, segment: which segment of which clip, counted from 0.
      values: (T,) + step_shape.
      mask: (T,) bool, True where a step is real.
      times_s: (T,) float32, time of each step from the start of the clip in s; empty where whoever made the example did not say.
    """

    clip_id: str
    segment: int
    values: np.ndarray
    mask: np.ndarray
    times_s: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))


def content_hash(examples: Iterable[Example]) -> tuple[str, int]:
    """Return the SHA-256 over examples in the order given (names; types, shapes and bytes of the arrays), and their number."""
    digest, num_examples = hashlib.sha256(), 0
    for example in examples:
        arrays = [np.ascontiguousarray(array) for array in (example.values, example.mask, example.times_s)]
        head = [example.clip_id, example.segment, *((array.dtype.str, array.shape) for array in arrays)]
        digest.update(json.dumps(head).encode())
        for array in arrays:
            digest.update(array.reshape(-1).view(np.uint8).data)
        num_examples += 1
    return digest.hexdigest(), num_examples


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """A prepared set on disk. Iterate `examples()`; look up `damage` by clip id."""

    directory: Path
    manifest: PreparedManifest
    damage: Mapping[str, Damage]

    @classmethod
    def open(cls, directory: Path) -> PreparedSet:
        """Open a finished prepared set.

        Raises:
          FileNotFoundError: there is no finished prepared set, with the command that makes one.
          DamagedSet: one of its small files was damaged or changed; records are checked when they are read, see `verify`.
          ValueError: a later version of this program made it.
        """
        directory = Path(directory)
        if not (directory / "manifest.json").is_file():
            raise FileNotFoundError(f"no finished prepared set in {directory}; run the same config with --mode=prepare to make it")
        _check_sums(directory)
        manifest = _parsed(PreparedManifest, _read_object(directory / "manifest.json"), directory / "manifest.json")
        entries = _read_object(directory / "damage.json")
        return cls(directory, manifest, {clip: _parsed(Damage, entry, directory / "damage.json") for clip, entry in entries.items()})

    def examples(self) -> Iterator[Example]:
        """Yield all examples in (clip id, segment) order, which is the order they lie in on disk; arrays are read-only.

        Two examples are in memory at a time.
        """
        yield from read_examples(self.records())

    def records(self) -> Records:
        """Random access to the examples, by their place in (clip id, segment) order."""
        return Records(self.directory, self.manifest.step_shape, self.manifest.dtype, self.manifest.num_examples)


def write_checksums(directory: Path) -> None:
    """Write checksums.json beside the other small files of a set."""
    write_json(directory / _SUMS, {name: _sha256(directory / name) for name in _SUMMED})


def _check_sums(directory: Path) -> None:
    if not (directory / _SUMS).is_file():
        return
    sums = _read_object(directory / _SUMS)
    for name in _SUMMED:
        found = _sha256(directory / name) if (directory / name).is_file() else "no file"
        if sums.get(name) != found:
            raise DamagedSet(f"{directory / name}: expected SHA-256 {sums.get(name)}, found {found}; {MADE_ANEW}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise DamagedSet(f"{path} is damaged ({error}); {MADE_ANEW}") from error
    if not isinstance(content, dict):
        raise DamagedSet(f"{path} is damaged (expected an object, found a {type(content).__name__}); {MADE_ANEW}")
    return content


def _parsed(kind: type[Any], content: Any, path: Path) -> Any:
    """Return the dataclass of a JSON object with exactly its fields."""
    expected = {field.name for field in dataclasses.fields(kind)}
    found = set(content) if isinstance(content, dict) else set()
    if missing := sorted(expected - found):
        raise DamagedSet(f"{path} is damaged (expected {', '.join(sorted(expected))}; {', '.join(missing)} is missing); {MADE_ANEW}")
    if unknown := sorted(found - expected):
        raise ValueError(
            f"{path} has fields that this version does not know ({', '.join(unknown)}), so a later version made the set; use that version, "
            "or set another --config.prepared_dir"
        )
    try:
        return kind(**content)
    except (ValueError, TypeError) as error:
        raise DamagedSet(f"{path} is damaged ({error}); {MADE_ANEW}") from error


class Records:
    """The examples in a prepared set's array_record files, read by index; several threads may read at the same time.

    Args:
      directory: of the prepared set; nothing in it but the array_record files is read.
      step_shape, dtype: of the view's steps, as in PreparedManifest.
      num_examples: number of records that the files must have together.

    Raises:
      DamagedSet: a file is missing or cannot be opened, or records are missing; in `records[index]`: the record is damaged, or no
        example of this shape and type.
    """

    def __init__(self, directory: Path, step_shape: Sequence[int], dtype: str, num_examples: int):
        from array_record.python.array_record_data_source import ArrayRecordDataSource  # late: only reading needs it
        from tensorflow_datasets.proto import tf_example_pb2

        self._message = tf_example_pb2.Example  # imported here: two threads that import TFDS's lazy modules at once wait for each other
        self.directory = Path(directory)
        self._shape = (-1, *step_shape)
        self._dtype = np.dtype(dtype)
        if self._dtype.kind not in "biuf":
            raise DamagedSet(f"{directory}/manifest.json: expected a dtype of numbers, found {dtype!r}; {MADE_ANEW}")
        try:
            self._source = ArrayRecordDataSource([str(path) for path in _shards(self.directory)])
        except RuntimeError as error:  # array_record's word for a file cut short
            raise DamagedSet(f"{directory}: a file is damaged ({error}); {MADE_ANEW}") from error
        if len(self) != num_examples:
            raise DamagedSet(f"{directory}: expected {num_examples} examples, found {len(self)}; {MADE_ANEW}")

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        from google.protobuf.message import DecodeError

        try:
            feature = self._message.FromString(self._source[index]).features.feature
            (clip_id,), (segment,) = feature["clip"].bytes_list.value, feature["segment"].int64_list.value
            values, mask, times_s = (feature[name].bytes_list.value for name in ("values", "mask", "times_s"))
            return Example(
                clip_id.decode(),
                segment,
                np.frombuffer(values[0], self._dtype).reshape(self._shape),
                np.frombuffer(mask[0], np.bool_),
                np.frombuffer(times_s[0], np.float32),
            )
        # RuntimeError is array_record's word for a wrong checksum and for a record that is not there; the others are those of a record
        # which another program wrote.
        except (RuntimeError, DecodeError, ValueError, IndexError) as error:
            raise DamagedSet(
                f"{self.directory}: record {index} of {len(self)} is damaged, or not an example with steps of shape {self._shape[1:]} and "
                f"type {self._dtype} ({error}); {MADE_ANEW}"
            ) from error


def _shards(directory: Path) -> list[Path]:
    """The array_record files of a prepared set, in order."""
    found = sorted(directory.glob(f"{_SHARDS}*"))
    num_shards = found[0].name.rpartition("-of-")[2] if found else "00001"
    count = int(num_shards) if num_shards.isdigit() else 0
    expected = [directory / f"{_SHARDS}{number:05d}-of-{num_shards}" for number in range(min(count, len(found) + 1))]
    if found != expected:
        differing = sorted({path.name for path in found} ^ {path.name for path in expected})
        raise DamagedSet(
            f"{directory}: expected the files {_SHARDS}NUMBER-of-{num_shards}, one for each number; {', '.join(differing)} "
            f"is missing or does not belong there: {MADE_ANEW}"
        )
    return found


def read_examples(records: Records) -> Iterator[Example]:
    """Yield the examples that our builder wrote, in (clip id, segment) order; some are read ahead, by threads.

    Raises:
      DamagedSet: a record is damaged or lacking, or they lie in another order, so another program wrote them.
    """
    last = ("", -1)
    for reading in read_ahead(records.__getitem__, len(records)):
        example = reading.result()
        if (example.clip_id, example.segment) <= last:
            raise DamagedSet(
                f"{records.directory}: expected records in (clip, segment) order, found {example.clip_id} after {last[0]}; {MADE_ANEW}"
            )
        last = (example.clip_id, example.segment)
        yield example


def read_ahead(read: Callable[[int], Any], num_records: int) -> Iterator[Future[Any]]:
    """Yield the futures of all records in order; _NUM_READERS are in memory at a time, that which is used included."""
    pool = ThreadPoolExecutor(_NUM_READERS)  # array_record lets go of Python's lock while it reads and decompresses
    try:
        ahead: deque[Future[Any]] = deque()
        for index in range(num_records):
            ahead.append(pool.submit(read, index))
            if len(ahead) == _NUM_READERS:
                yield ahead.popleft()
        yield from ahead
    finally:
        pool.shutdown(cancel_futures=True)


def verify(prepared: PreparedSet) -> None:
    """Read all examples and compare their hash and number with the manifest.

    Raises:
      DamagedSet: they differ, so the files were changed or damaged after they were made.
    """
    found, num_examples = content_hash(prepared.examples())
    manifest = prepared.manifest
    if (found, num_examples) != (manifest.content_hash, manifest.num_examples):
        raise DamagedSet(
            f"{prepared.directory}: expected {manifest.num_examples} examples with content hash {manifest.content_hash[:12]}, found "
            f"{num_examples} with {found[:12]}; the files were changed or damaged: {MADE_ANEW}"
        )


def format_damage(prepared: PreparedSet) -> str:
    """Return the damage report as a table for the terminal, with counts that add up to all clips.

    Up to ten damaged clips are listed by name; of more, the first ten follow a count of equal damage, and the file with all is named.
    """
    manifest, damage = prepared.manifest, prepared.damage
    counts = Counter(entry.kind for entry in damage.values())
    num_lost = sum(counts[kind] for kind in LOST_KINDS)
    head = (
        f"{manifest.corpus} {manifest.view}: {manifest.num_clips} clips, {manifest.num_clips - num_lost} with examples "
        f"({manifest.num_examples} segments), {num_lost} without, {len(damage) - num_lost} doubtful"
    )
    return head + "".join(f"\n{line}" for line in _damage_rows(damage, counts, prepared.directory / "damage.json"))


def _damage_rows(damage: Mapping[str, Damage], counts: Mapping[str, int], path: Path) -> Iterable[str]:
    if not damage:
        return
    yield "  " + ", ".join(f"{kind} {counts[kind]}" for kind in LOST_KINDS + DOUBTFUL_KINDS if counts[kind])
    if len(damage) > _MOST_LISTED:
        alike = Counter((entry.kind, _without_names(entry.detail, clip_id)) for clip_id, entry in damage.items())
        for (kind, detail), count in alike.most_common(_MOST_LISTED):
            yield f"  {count:>{len(str(len(damage)))}} x {kind}: {detail}"
    shown = sorted(damage.items())[:_MOST_LISTED]
    clip_width = max(len("clip"), *(len(clip_id) for clip_id, _ in shown))
    kind_width = max(len("kind"), *(len(entry.kind) for _, entry in shown))
    yield f"  {'clip':{clip_width}}  {'kind':{kind_width}}  detail"
    for clip_id, entry in shown:
        yield f"  {clip_id:{clip_width}}  {entry.kind:{kind_width}}  {entry.detail}"
    if len(damage) > len(shown):
        yield f"  and {len(damage) - len(shown):,} more, all in {path}"


def _without_names(detail: str, clip_id: str) -> str:
    """The detail without what differs between clips of the same damage: words with their name, file names, and numbers."""
    words = ("FILE" if clip_id in word or re.search(r"\w\.\w{2,4}[:,;]?$", word) else word for word in detail.split())
    return re.sub(r"\d+(\.\d+)?", "N", " ".join(words))


@dataclasses.dataclass(frozen=True)
class PreparedCorpus:
    """What preparation hands to an experiment.

    Attributes:
      clips: all clips of the corpus.
      sets: stream -> its prepared set: its view, or the features that encoders made of it.
      functionals: audio functionals for the classical baseline, or None where there is no sound.
      shared_media: pairs of clips that hold the same recording; None where nobody looked.
      beside: stream -> the second view of a stream that has one, until its features stand beside those of the first.
      table_columns: stream -> columns of its feature table, for streams that are made of one.
      num_clips_of_owner: clips of the complete corpus by its owner, None where it is not known.
      licences: view -> licence, for views that are not free for every use.
      copies: degradation in the form of the config -> the corpus with all its media degraded so, for `train.copies`.
    """

    clips: tuple[Clip, ...]
    sets: Mapping[str, PreparedSet]
    functionals: PreparedSet | None
    shared_media: tuple[SharedMedia, ...] | None = None
    beside: Mapping[str, PreparedSet] = dataclasses.field(default_factory=dict)
    table_columns: Mapping[str, TableColumns] = dataclasses.field(default_factory=dict)
    num_clips_of_owner: int | None = None
    licences: Mapping[str, str] = dataclasses.field(default_factory=dict)
    copies: Mapping[str, PreparedCorpus] = dataclasses.field(default_factory=dict)
