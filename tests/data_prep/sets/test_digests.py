"""Remembered digests: right after every change, and not computed twice."""

from __future__ import annotations

import hashlib
import os

from data_prep.sets import digests
from data_prep.sets.digests import ABSENT, media_digests


def write(path, content: bytes, age_s: float = 100.0):
    path.write_bytes(content)
    settled = path.stat().st_mtime_ns - int(age_s * 1e9)
    os.utime(path, ns=(settled, settled))
    return path


def test_digests_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(digests, "content_sha256", lambda path: hashed.append(path) or hashlib.sha256(path.read_bytes()).hexdigest())
    memory = tmp_path / "memory.json"
    path, absent = write(tmp_path / "a.wav", b"one"), tmp_path / "b.wav"
    for _ in range(2):
        assert media_digests([path, path, absent], memory=memory) == {path: hashlib.sha256(b"one").hexdigest(), absent: ABSENT}
    assert hashed == [path]
    write(path, b"two", age_s=50)  # as long as before
    assert media_digests([path], memory=memory)[path] == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_may_still_be_changing_is_not_remembered(tmp_path):
    memory, path = tmp_path / "memory.json", write(tmp_path / "a.wav", b"one", age_s=0)
    stamp = path.stat().st_mtime_ns
    media_digests([path], memory=memory)
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp, stamp))
    assert media_digests([path], memory=memory)[path] == hashlib.sha256(b"two").hexdigest()


def test_a_torn_memory_is_made_anew(tmp_path):
    memory, path = tmp_path / "memory.json", write(tmp_path / "a.wav", b"one")
    memory.write_text('{"a": [1,')
    assert media_digests([path], memory=memory)[path] == hashlib.sha256(b"one").hexdigest()
    assert media_digests([path], memory=memory)[path] == hashlib.sha256(b"one").hexdigest()
