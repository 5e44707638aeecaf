"""Writing and reading prepared sets: what any maker of examples relies on, embeddings included."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage, Example, PreparedSet, content_hash, read_ahead, verify
from avemo_jax.data.stream import open_stream
from data_prep.sets.builders import write_prepared
from data_prep.sets.staging import stage, stage_lost, staged_path
from data_prep.views.segments import ViewSegment


def embedding(seed: int) -> ViewSegment:
    values = np.random.default_rng(seed).normal(size=(4, 8)).astype(np.float32)
    return ViewSegment(values, np.ones(4, bool), np.arange(4, dtype=np.float32), 4)


@pytest.fixture
def prepared(tmp_path):
    clips = [Clip(name, "tiny", "happy", "s1", audio=f"{name}.wav") for name in ("c", "a", "b")]
    staged = [stage(staged_path(tmp_path, clip.clip_id), clip.clip_id, map(embedding, range(index))) for index, clip in enumerate(clips)]
    staged[0] = stage_lost(staged_path(tmp_path, "c"), "c", Damage("truncated", "half of it"))
    return write_prepared(
        tmp_path / "tiny-embeddings",
        staged=staged,
        clips=clips,
        corpus="tiny",
        view="vggish",
        modality="audio",
        view_params={"parent": "abc"},
        step_shape=(8,),
        dtype="float32",
        key="k" * 64,
    )


def test_examples_come_back_in_order_and_exactly(prepared):
    examples = list(prepared.examples())
    assert [(example.clip_id, example.segment) for example in examples] == [("a", 0), ("b", 0), ("b", 1)]
    for example, seed in zip(examples, (0, 0, 1), strict=True):
        np.testing.assert_array_equal(example.values, embedding(seed).values, strict=True)
        np.testing.assert_array_equal(example.times_s, [0, 1, 2, 3])
    assert prepared.damage == {"c": Damage("truncated", "half of it")}
    assert (prepared.manifest.num_clips, prepared.manifest.num_examples) == (3, 3)
    assert (prepared.manifest.content_hash, 3) == content_hash(examples)


def test_nothing_is_left_among_temporary_files(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    staged = [stage(staged_path(tmp_path, "a"), "a", [embedding(0)])]
    facts = {"corpus": "tiny", "view": "v", "modality": "audio", "view_params": {}, "step_shape": (8,), "dtype": "float32", "key": "k"}
    prepared = write_prepared(tmp_path / "set", staged=staged, clips=[Clip("a", "tiny", "happy", "s1")], **facts)
    assert len(list(prepared.examples())) == 1 and not list((tmp_path / "temporary").iterdir())


def test_the_content_hash_follows_names_and_arrays():
    values = np.zeros((2, 3), np.float32)
    mask, times_s = np.ones(2, bool), np.zeros(2, np.float32)
    examples = [
        Example("a", 0, values, mask, times_s),
        Example("b", 0, values, mask, times_s),
        Example("a", 1, values, mask, times_s),
        Example("a", 0, values.reshape(3, 2), mask, times_s),
        Example("a", 0, values.astype(np.int32), mask, times_s),
        Example("a", 0, values + 1, mask, times_s),
        Example("a", 0, values, ~mask, times_s),
        Example("a", 0, values, mask, times_s + 1),
    ]
    assert len({content_hash([example])[0] for example in examples}) == len(examples)
    assert content_hash(examples[:1]) == content_hash([Example("a", 0, values.copy(), mask, times_s)])


def test_no_more_is_read_ahead_than_one_record():
    read: list[int] = []
    futures = read_ahead(lambda index: read.append(index) or index, 9)
    assert [future.result() for future in itertools.islice(futures, 3)] == [0, 1, 2]
    time.sleep(0.1)  # more would be read by now
    futures.close()  # waits for what is being read, and lets go of what waits to be
    assert {0, 1, 2} <= set(read) <= {0, 1, 2, 3}


def test_damaged_records_are_noticed(prepared):
    (path,) = prepared.directory.glob("*.array_record-*")
    content = bytearray(path.read_bytes())
    used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
    content[used[len(used) // 2]] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        verify(PreparedSet.open(prepared.directory))


def test_there_is_no_set_without_a_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the same config with --mode=prepare to make it"):
        PreparedSet.open(tmp_path)


def test_neither_writing_nor_reading_needs_tensorflow(tmp_path):
    script = """
        import sys
        from importlib.machinery import PathFinder
        from pathlib import Path

        class WithoutTensorFlow(PathFinder):
            @classmethod
            def find_spec(cls, name, *where):
                return None if name == "tensorflow" else super().find_spec(name, *where)

        sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorFlow
        import numpy as np
        from avemo_jax.clips import Clip
        from data_prep.sets.builders import write_prepared
        from data_prep.views.segments import ViewSegment
        from data_prep.sets.staging import stage
        directory = Path(sys.argv[1])
        segment = ViewSegment(np.ones((4, 8), np.float32), np.ones(4, bool), np.zeros(4, np.float32), 4)
        about = dict(corpus="tiny", view="v", modality="audio", view_params={}, step_shape=(8,), dtype="float32", key="k")
        clip = Clip("a", "tiny", "happy", "s1")
        prepared = write_prepared(directory / "set", staged=[stage(directory / "a.zip", "a", [segment])], clips=[clip], **about)
        assert [example.values.sum() for example in prepared.examples()] == [32]
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=True, env=environment)


def test_what_a_prepared_set_names_is_never_imported(prepared, tmp_path, monkeypatch):
    """TFDS imports the module of every class that features.json names; sets are passed on between people."""
    canary = tmp_path / "canary"
    (prepared.directory / "evil.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    path = prepared.directory / "features.json"
    content = re.sub(r'("pythonClassName": )"[^"]*"', rf'\1"{prepared.directory.name}.evil.X"', path.read_text())
    assert "evil.X" in content
    path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    found = PreparedSet.open(prepared.directory)
    verify(found)
    stream = open_stream([Clip("a", "tiny", "happy", "s1")], [0], {"audio": found})
    np.testing.assert_array_equal(stream.load(np.asarray([0]))["audio"][0], embedding(0).values)
    assert not canary.exists()
    with pytest.raises(ValueError):
        tfds.builder_from_directory(str(prepared.directory))
    assert canary.exists()  # so the trap works, and the reader above would have fallen into it


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "expected the files prepared_view-examples.array_record-NUMBER-of-00001"),
        (lambda path: path.rename(path.with_name(path.name.replace("00000", "00001"))), "NUMBER-of-00001, one for each number"),
        (
            lambda path: path.with_name(path.name.replace("00000-", "00001-")).write_bytes(b""),
            "00001 is missing or does not belong",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged"),
        (lambda path: _set_manifest(path.parent, dtype="object"), "expected a dtype of numbers, found 'object'"),
        (lambda path: _set_manifest(path.parent, step_shape=[7]), r"not an example with steps of shape \(7,\) and type float32"),
    ],
)
def test_files_that_are_not_the_builders_are_refused_in_a_sentence(prepared, harm, message):
    (path,) = prepared.directory.glob("*.array_record-*")
    harm(path)
    with pytest.raises(ValueError, match=f"(?s){message}.*--mode=prepare --verify to make it anew"):
        list(PreparedSet.open(prepared.directory).examples())


def test_tfds_reads_a_prepared_set_alike(prepared):
    """The format is TFDS's, for programs of other people."""
    source = tfds.builder_from_directory(str(prepared.directory)).as_data_source(split="examples")
    for record, example in zip(source, prepared.examples(), strict=True):
        assert (record["clip"].decode(), record["segment"]) == (example.clip_id, example.segment)
        for name in ("values", "mask", "times_s"):
            np.testing.assert_array_equal(record[name], getattr(example, name), strict=True)


def _set_manifest(directory: Path, **changes) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (directory / "checksums.json").unlink()  # as in a set of an earlier version
