"""Files that stand in the place of others: pointers of Git LFS and git-annex, and web pages that were saved under a file's name."""

from __future__ import annotations

from pathlib import Path

_HEAD_BYTES = 512
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def placeholder(path: Path) -> str | None:
    """Return what a file is in place of what its name promises, with the remedy, or None.

    The text continues "is ...": "is a Git LFS pointer; `git lfs pull` in its repository fetches the file". Text formats that may begin with
    markup (.svg, .xml, .html) are not to be asked about.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return "a Git LFS pointer; `git lfs pull` in its repository fetches the file"
    if b"/annex/objects/" in head.partition(b"\n")[0]:
        return "a git-annex pointer; `git annex get` in its repository fetches the file"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        return "a web page (a sign-in, warning or error page of the server); download the file anew"
    return None
