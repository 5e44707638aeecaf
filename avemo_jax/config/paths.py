"""Paths of config and flags with ~ and variables expanded, once, before anything reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

# Fields whose value is a path, besides those named `path` or `*_path`; `*` is any name.
_FIELDS = ("workdir", "prepared_dir", "weights_dir", "corpus.root", "search.storage", "encoders.*.weights")
# At the start of a path, also of one of several (NAME=FOLDER,NAME=FOLDER) and in an address (sqlite:///~/search.db); with a user's name.
_HOME = re.compile(r"(?:(?<=^)|(?<=[=,])|(?<=:///))~[\w.-]*(?=[/,;]|$)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")


def expand(text: str, flag: str) -> str:
    """Return a path, or text that holds paths, with ~ and variables such as $DATA expanded; what exists as it is written stays.

    Args:
      flag: the flag that it was given with, for the message.

    Raises:
      ValueError: a variable is not set, or the home folder of ~ is unknown.
    """
    if not ("~" in text or "$" in text) or os.path.lexists(text):
        return text
    text = _VARIABLE.sub(lambda match: _value_of(match, text, flag), text)
    return _HOME.sub(lambda match: _home(match[0], text, flag), text)


def expanded(flag: Any) -> Any:
    """Return the value of a flag of a path or of several paths, expanded; None where it is not given."""
    if isinstance(flag.value, list):
        return [expand(one, f"--{flag.name}") for one in flag.value]
    return None if flag.value is None else expand(flag.value, f"--{flag.name}")


def expand_config(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested plain values of a config with every path expanded."""

    def expanded(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {name: expanded(one, f"{path}.{name}" if path else name) for name, one in value.items()}
        return expand(value, f"--config.{path}") if isinstance(value, str) and is_path(path) else value

    return expanded(tree, "")


def is_path(field: str) -> bool:
    """Return whether a field of the config, e.g. "views.table.path", holds a path."""
    last = field.rsplit(".", 1)[-1]
    if last == "path" or last.endswith("_path"):
        return True
    parts = field.split(".")
    return any(
        len(parts) == len(wanted) and all(one in ("*", part) for one, part in zip(wanted, parts, strict=True))
        for wanted in (known.split(".") for known in _FIELDS)
    )


def _value_of(match: re.Match[str], text: str, flag: str) -> str:
    name = match[1] or match[2]
    if name not in os.environ:
        raise ValueError(f"{flag}={text}: the environment variable {name} is not set")
    return os.environ[name]


def _home(name: str, text: str, flag: str) -> str:
    home = os.path.expanduser(name)
    if home == name:
        raise ValueError(f"{flag}={text}: the home folder of {name} is unknown; write the whole path")
    return home
