"""The files and folders below the root of a corpus, with links followed."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from pathlib import Path

_NOT_OF_A_CORPUS = ("__MACOSX", "$RECYCLE.BIN", "System Volume Information")


@dataclasses.dataclass(frozen=True)
class Tree:
    """What lies below a folder, each in path order; paths begin with the folder.

    Attributes:
      files: all files.
      folders: all folders.
      broken: links that lead nowhere, such as those of git-annex whose content was not fetched.
      unreadable: folders that this user may not read.
    """

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    broken: tuple[Path, ...]
    unreadable: tuple[Path, ...]


def walk(root: Path) -> Tree:
    """Return what lies below a folder, at any depth, links followed; empty where there is no such folder.

    A folder that several names lead to is read once, under its own name rather than under a link's, so loops of links end. Hidden files and
    folders are left out: macOS writes a `._NAME` without media beside each NAME on disks of other systems, and repositories have their
    objects in `.git`.
    """
    files: list[Path] = []
    folders: list[Path] = []
    broken: list[Path] = []
    unreadable: list[Path] = []
    seen: set[tuple[int, int]] = set()
    own: list[Path] = [root]
    links: deque[Path] = deque()
    while own or links:
        folder = own.pop() if own else links.popleft()  # all folders under their own names come before those under a link's
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            unreadable.append(folder)
            continue
        if folder != root:
            folders.append(folder)
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _NOT_OF_A_CORPUS:
                continue
            path = folder / entry.name
            if _is_folder(entry):
                (links if entry.is_symlink() else own).append(path)
            elif _is_file(entry):
                files.append(path)
            elif entry.is_symlink():
                broken.append(path)
    return Tree(*(tuple(sorted(paths)) for paths in (files, folders, broken, unreadable)))


def nesting(path: Path) -> tuple[int, Path]:
    """Return a sorting key: the least nested path first, then by name."""
    return len(path.parts), path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
