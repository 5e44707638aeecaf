"""Which run a file belongs to.

Sums show that a file is whole, not that it is the right one: a file of another run has the same shapes and fields and gives other
predictions without an error. So the files that weights, settings and fusion rules are read from name their run, and readers compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemo_jax.atomic import json_sha256, read_json, write_json

_OWNER, _SUM = "belongs_to", "sha256"


class ForeignFile(RuntimeError):
    """A file belongs to another run."""


def read_owner(path: Path) -> dict[str, Any]:
    """Return the identity that files of a run store: run id ("" for a run of an earlier version), config, folds, prepared sets."""
    facts, config = (read_json(file) if file.is_file() else {} for file in (path / "run.json", path / "config.json"))
    return {
        "run_id": facts.get("run_id", ""),
        # Of config.json, which is written once: a resumed run may have other values of `run_directory.UNCOMPARED`.
        "config_sha256": json_sha256(config),
        "fold_hash": facts.get("fold_hash", ""),
        "prepared_sets": facts.get("prepared_sets", {}),
    }


def write_owned(workdir: Path, name: str, content: Mapping[str, Any]) -> None:
    """Write a JSON object into a run directory, together with its SHA-256 and the run that it belongs to."""
    write_json(workdir / name, {_OWNER: read_owner(workdir), _SUM: json_sha256(content), **content})


def read_owned(workdir: Path, name: str, *, fix: str) -> dict[str, Any]:
    """Return the content of a file of `write_owned`.

    Args:
      fix: what to do about a file of another run, for the message.

    Raises:
      ValueError: it is damaged.
      ForeignFile: it belongs to another run, or it names no run although this run has an id.
    """
    path = workdir / name
    expected = read_owner(workdir)
    try:
        content = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {fix}") from error
    if not isinstance(content, dict):
        raise ForeignFile(f"{path}: expected an object that names its run, found a {type(content).__name__}; {fix}")
    owner, expected_sum = content.pop(_OWNER, None), content.pop(_SUM, None)
    if owner is not None and expected_sum != json_sha256(content):
        raise ValueError(f"{path} was changed after it was written: expected SHA-256 {expected_sum}, found {json_sha256(content)}; {fix}")
    # A run of an earlier version has no id, and its files name no run.
    if (owner is not None or expected["run_id"]) and (lines := owner_differences(owner or {}, expected)):
        raise ForeignFile(f"{path} does not belong to this run:\n  " + "\n  ".join(lines) + f"\n{fix}")
    return content


def owner_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return one line for each fact that differs; for "trials" only the first trial that differs."""
    lines = []
    for name in sorted(found.keys() | expected.keys()):
        one, other = found.get(name), expected.get(name)
        if name != "trials":
            lines += [f"{name}: expected {_shown(other)}, found {_shown(one)}"] if one != other else []
        elif len(one or ()) != len(other or ()):
            lines.append(f"{name}: expected {len(other or ())}, found {len(one or ())}")
        else:
            each = [owner_differences(stored, wanted) for stored, wanted in zip(one or (), other or (), strict=True)]
            lines += [f"trial {i}: {line}" for i, differing in enumerate(each) if differing for line in differing][:1]
    return lines


def _shown(value: Any) -> Any:
    return "none" if value in (None, "", {}) else value
