"""Files that stand in the place of others are known by their first bytes."""

import pytest

from avemo_jax.placeholders import placeholder

LFS, ANNEX, PAGE = "a Git LFS pointer; `git lfs pull`", "a git-annex pointer; `git annex get`", "a web page"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 58889256\n", LFS),
        (b"/annex/objects/SHA256E-s58889256--4d.h5\n", ANNEX),
        (b"../../.git/annex/objects/MD5E-s72862--00.wav", ANNEX),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", PAGE),
        (b"\n<html><body>", PAGE),
        (b"\xef\xbb\xbf  <HEAD>", PAGE),
        (b'<?xml version="1.0"?>', PAGE),
    ],
)
def test_each_kind_is_named_with_its_remedy(content, what, tmp_path):
    (tmp_path / "a.wav").write_bytes(content)
    assert placeholder(tmp_path / "a.wav").startswith(what)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF\x24\0\0\0WAVE<html>", b"a\n/annex/objects/b", b"see version https://git-lfs.github.com/spec/v1", b" " * 600 + b"<html>"],
)
def test_other_content_is_none(content, tmp_path):
    (tmp_path / "a.wav").write_bytes(content)
    assert placeholder(tmp_path / "a.wav") is None


def test_what_cannot_be_read_is_none(tmp_path):
    assert placeholder(tmp_path / "absent.wav") is None and placeholder(tmp_path) is None
