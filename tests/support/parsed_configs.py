"""The config that run.py receives from its flags, and its fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

ROOT = Path(__file__).resolve().parents[2]


def parse(experiment: str, *arguments: str) -> ConfigDict:
    """Return the locked config of a `--config=` value and further flags."""
    values = flags.FlagValues()
    line = ["run.py", f"--config={ROOT / experiment}", *arguments]
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values, sys_argv=line)
    values(line)
    return values["config"].value


def leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any, type]]:
    """Yield dotted name, value and type of every field."""
    for key in config:
        value = config[key]
        if isinstance(value, ConfigDict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value, config.get_type(key)
