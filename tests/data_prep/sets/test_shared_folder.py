"""A folder of prepared sets that several processes share: damaged files are made anew, finished sets need no writing."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from folders import contents

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import DamagedSet, PreparedSet
from data_prep.duplicates.near_duplicates import compare_media
from data_prep.sets import finished
from data_prep.sets.derived import DerivedSets
from data_prep.sets.digests import media_digests
from data_prep.sets.prepare import prepare_view
from data_prep.sets.staging import read_staged, stage
from data_prep.views.segments import ViewSegment

RATE_HZ = 16000
CLIPS = [Clip(name, "tiny", "happy", "s1", audio=f"{name}.wav") for name in ("a", "b")]


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for seed, clip in enumerate(CLIPS):
        samples = np.random.default_rng(seed).normal(scale=0.1, size=RATE_HZ)
        soundfile.write(folder / f"{clip.clip_id}.wav", samples, RATE_HZ, subtype="PCM_16")
        os.utime(folder / f"{clip.clip_id}.wav", (1e9, 1e9))
    return folder


def prepared_in(folder: Path, root: Path, **options) -> PreparedSet:
    facts = {"corpus": "tiny", "view_name": "logmel_patches", "view_params": {"num_patches": 2}, "num_workers": 1}
    return prepare_view(root=root, clips=CLIPS, prepared_dir=folder, **facts, **options)


def files_in(folder: Path) -> dict[Path, bytes]:
    """Return the files below a folder without its locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder): path.read_bytes() for path in files}


def flips(content: bytes, step: int) -> Iterator[bytes]:
    """Yield copies with one other bit, at every `step`-th byte."""
    for place in range(0, len(content), step):
        yield content[:place] + bytes([content[place] ^ 1 << place // step % 8]) + content[place + 1 :]


@pytest.mark.parametrize("is_lost", [False, True])
def test_no_changed_bit_of_a_staged_clip_passes(tmp_path, is_lost):
    path = tmp_path / "a.zip"
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    segments = [] if is_lost else [ViewSegment(values, np.ones(3, bool), np.arange(3, dtype=np.float32), 3)] * 2
    staged = stage(path, "a", segments)
    expected = [(one.segment, one.values.tolist(), one.mask.tolist(), one.times_s.tolist()) for one in staged.examples()]
    num_found = 0
    for changed in flips(path.read_bytes(), 1):
        path.write_bytes(changed)
        if (found := read_staged(path)) is not None:  # such as a bit of the time stamp
            num_found += 1
            assert found == staged
            assert [(one.segment, one.values.tolist(), one.mask.tolist(), one.times_s.tolist()) for one in found.examples()] == expected
    assert num_found < path.stat().st_size / 2


def test_only_a_damaged_staged_clip_is_staged_again(root, tmp_path, staged_here, caplog):
    straight = prepared_in(tmp_path / "straight", root)
    staging = tmp_path / "resumed" / f"{straight.directory.name}.partial" / "staging"
    for one in straight.examples():
        stage(staging / f"{one.clip_id}.zip", one.clip_id, [ViewSegment(one.values, one.mask, one.times_s, len(one.mask))])
    path = staging / "b.zip"
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 4]) + content[501:])
    staged_here.clear()
    assert contents(prepared_in(tmp_path / "resumed", root).directory) == contents(straight.directory)
    assert staged_here == ["b"] and "b.zip is damaged or incomplete" in caplog.text


def test_no_changed_bit_of_remembered_digests_passes(root, tmp_path, caplog):
    memory, paths = tmp_path / "digests.json", sorted(root.iterdir())
    expected = media_digests(paths, memory=memory)
    whole = memory.read_bytes()
    for changed in (*flips(whole, 3), b"", b"{", b"[]", b"5", b'{"a": 5}', b'{"files": {"a": 5}, "sha256": ""}', b"\xff\xfe"):
        memory.write_bytes(changed)
        assert media_digests(paths, memory=memory) == expected
    assert "is damaged or of an earlier version" in caplog.text
    assert memory.read_bytes() == whole


@pytest.mark.parametrize("name", ["manifest.json", "damage.json", "clips.csv", "checksums.json"])
def test_a_set_with_a_damaged_small_file_is_made_anew(root, tmp_path, staged_here, caplog, name):
    prepared = prepared_in(tmp_path, root)
    whole = contents(prepared.directory)
    path = prepared.directory / name
    content = path.read_bytes()
    for changed in (*flips(content, max(1, len(content) // 3)), b"", b"{", b"[]", None):
        path.unlink() if changed is None else path.write_bytes(changed)
        staged_here.clear()
        assert prepared_in(tmp_path, root).manifest == prepared.manifest
        if name == "checksums.json" and changed is None:
            assert staged_here == []  # as in a set of an earlier version
        else:
            assert contents(prepared.directory) == whole and staged_here == ["a", "b"], changed
    assert f"{path}" in caplog.text and "will be made anew" in caplog.text


def test_damaged_records_are_found_and_made_anew_where_verified(root, tmp_path, staged_here, caplog):
    prepared = prepared_in(tmp_path, root)
    whole = contents(prepared.directory)
    (path,) = prepared.directory.glob("*.array_record-*")
    content = path.read_bytes()
    used = [place for place, byte in enumerate(content) if byte]
    harms = [content[: used[at]] + bytes([content[used[at]] ^ 16]) + content[used[at] + 1 :] for at in (len(used) // 3, len(used) // 2)]
    for harm in (*harms, content[:-100], b""):
        path.write_bytes(harm)
        staged_here.clear()
        assert prepared_in(tmp_path, root).manifest == prepared.manifest and staged_here == []
        assert prepared_in(tmp_path, root, verified=True).manifest == prepared.manifest
        assert contents(prepared.directory) == whole and staged_here == ["a", "b"]
    staged_here.clear()
    with caplog.at_level(logging.INFO):
        prepared_in(tmp_path, root, verified=True)
    assert staged_here == [] and "examples are as they were made" in caplog.text


def test_a_damaged_derived_set_is_made_anew_where_verified(root, tmp_path, staged_here):
    source = prepared_in(tmp_path, root)

    def make(store: DerivedSets) -> PreparedSet:
        return store.make("sums", "5" * 64, source=source, params={}, step_shape=(96, 64), examples_of=lambda missing: source.examples())

    made = make(DerivedSets(tmp_path, "tiny", CLIPS))
    whole = contents(made.directory)
    (path,) = made.directory.glob("*.array_record-*")
    path.write_bytes(path.read_bytes()[:-100])
    assert DerivedSets(tmp_path, "tiny", CLIPS).find("sums", "5" * 64) == made
    store = DerivedSets(tmp_path, "tiny", CLIPS, verified=True)
    assert store.find("sums", "5" * 64) is None and not made.directory.exists()
    assert make(store) == store.find("sums", "5" * 64) == made and contents(made.directory) == whole


def test_a_set_that_another_process_made_anew_meanwhile_stays(root, tmp_path, staged_here, monkeypatch):
    prepared = prepared_in(tmp_path / "prepared", root)
    shutil.copytree(prepared.directory, tmp_path / "whole")
    (path,) = prepared.directory.glob("*.array_record-*")
    path.write_bytes(path.read_bytes()[:-100])

    @contextlib.contextmanager
    def making_after_another(directory, what):
        shutil.rmtree(directory)
        shutil.copytree(tmp_path / "whole", directory)
        yield

    monkeypatch.setattr(finished, "making", making_after_another)
    assert finished.find_finished(prepared.directory, prepared.manifest.key, verified=True) is None
    assert contents(prepared.directory) == contents(tmp_path / "whole")


def test_a_renamed_set_and_one_of_a_later_version_are_refused_and_kept(root, tmp_path, staged_here):
    prepared = prepared_in(tmp_path, root)
    name = prepared.directory.name
    other = prepare_view(
        corpus="tiny", root=root, clips=CLIPS[:1], view_name="logmel_patches", view_params={}, prepared_dir=tmp_path, num_workers=1
    )
    shutil.move(prepared.directory, tmp_path / "kept")
    other.directory.rename(prepared.directory)
    with pytest.raises(ValueError, match=r"holds a set with the key .* it was renamed or is another's; move it away"):
        prepared_in(tmp_path, root)
    shutil.rmtree(tmp_path / name)
    shutil.move(tmp_path / "kept", tmp_path / name)
    for file, change in (
        ("manifest.json", lambda content: content | {"resolution": 3}),
        ("damage.json", lambda content: content | {"a": {"kind": "silent", "detail": "", "since_s": 1}}),
    ):
        path = tmp_path / name / file
        before = path.read_text()
        path.write_text(json.dumps(change(json.loads(before))))
        (tmp_path / name / "checksums.json").unlink(missing_ok=True)
        with pytest.raises(ValueError, match=rf"{file} has fields that this version does not know \((resolution|since_s)\)") as error:
            prepared_in(tmp_path, root)
        assert not isinstance(error.value, DamagedSet) and path.exists()
        path.write_text(before)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that this process can read but not write."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    if os.getuid() == 0:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_finished_sets_in_a_read_only_folder_are_used(root, unprivileged, staged_here, caplog):
    shutil.move(root, unprivileged / "corpus")
    root, folder = unprivileged / "corpus", unprivileged / "prepared"
    compare = functools.partial(compare_media, CLIPS, root, num_workers=1)
    first, found = prepared_in(folder, root), compare(prepared_dir=folder)
    before = files_in(folder)
    for path in (folder, folder / "fingerprints", unprivileged):
        path.chmod(0o555)
    if os.getuid() == 0:
        os.seteuid(65534)  # the superuser may write everywhere
    assert prepared_in(folder, root) == first and compare(prepared_dir=folder) == found
    with pytest.raises(
        PermissionError, match=r"is not prepared, and .* is read-only .*; prepare it where .* or set --config\.prepared_dir"
    ):
        prepare_view(corpus="tiny", root=root, clips=CLIPS, view_name="mfcc", view_params={}, prepared_dir=folder, num_workers=1)
    assert files_in(folder) == before


def test_two_preparations_at_once_are_one(root, tmp_path, staged_here, caplog):
    straight = prepared_in(tmp_path / "straight", root)
    staged_here.clear()
    made: list[PreparedSet] = []
    threads = [threading.Thread(target=lambda: made.append(prepared_in(tmp_path / "both", root))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(made) == 2 and made[0] == made[1] and staged_here == ["a", "b"]
    assert contents(made[0].directory) == contents(straight.directory)


_PREPARE_HERE = """
    if __name__ == "__main__":
        import sys
        from pathlib import Path

        from avemo_jax.clips import Clip
        from data_prep.duplicates.near_duplicates import compare_media
        from data_prep.sets.prepare import prepare_view

        root, folder = map(Path, sys.argv[1:])
        clips = [Clip(path.stem, "tiny", "happy", "s1", audio=path.name) for path in sorted(root.iterdir())]
        for view in ("logmel_patches", "mfcc"):
            prepare_view(corpus="tiny", root=root, clips=clips, view_name=view, view_params={}, prepared_dir=folder, num_workers=1)
        print(compare_media(clips, root, prepared_dir=folder, num_workers=1).num_compared)
"""


@pytest.mark.long
def test_ten_pairs_of_processes_prepare_one_corpus_at_once(root, tmp_path):
    for index in range(20):
        shutil.copy(root / "a.wav", root / f"copy_{index}.wav")
    (tmp_path / "here.py").write_text(textwrap.dedent(_PREPARE_HERE))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}

    def start(folder: Path) -> subprocess.Popen:
        command = [sys.executable, str(tmp_path / "here.py"), str(root), str(folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    alone = start(tmp_path / "alone")
    assert alone.wait() == 0, alone.stdout.read()
    for number in range(10):
        pair = [start(tmp_path / f"pair_{number}") for _ in range(2)]
        printed = [process.communicate(timeout=300)[0] for process in pair]
        assert [process.returncode for process in pair] == [0, 0], "\n".join(printed)
        assert files_in(tmp_path / f"pair_{number}") == files_in(tmp_path / "alone")
