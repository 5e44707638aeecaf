"""The command line before its flags are parsed: config files found from any folder, and the stored config of a finished run (`--run`)."""

from __future__ import annotations

import difflib
import re
import sysconfig
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from avemo_jax.text import nearest

# Flag -> modes that use it; a flag that a mode does not use is refused, because it would change nothing.
USED_BY: Mapping[str, tuple[str, ...]] = {
    "input": ("predict", "audit"),
    "output": ("predict", "compare", "board", "explore", "audit", "export"),
    "half_precision": ("export",),
    "programs": ("export",),
    "formats": ("predict",),
    "window_s": ("predict", "serve"),
    "hop_s": ("predict", "serve"),
    "people": ("predict",),
    "host": ("serve",),
    "port": ("serve",),
    "upload_mb": ("serve",),
    "columns": ("audit",),
    "verify": ("prepare",),
    "runs": ("compare", "board"),
    "predictions": ("compare",),
    "on": ("compare",),
    "fuse": ("compare",),
    "clips_per_class": ("explain",),
}
# Model folders: of a copy of the repository, or where `pip install` puts them (pyproject.toml, data-files).
SHIPPED_MODELS = next(
    (path for path in [Path(__file__).resolve().parents[2] / "models"] if path.is_dir()),
    Path(sysconfig.get_path("data")) / "share" / "avemo" / "models",
)
_CONFIG, _OVERRIDE = "config", "config."


def check_flags(mode: str, given: Collection[str]) -> None:
    """Check that a mode uses the flags that are given.

    Raises:
      ValueError: it does not use one of them; the message names the modes that do.
    """
    for name in given:
        if name in USED_BY and mode not in USED_BY[name]:
            others = " or ".join(f"--mode={one}" for one in USED_BY[name])
            raise ValueError(f"--mode={mode} does not use --{name}; add {others}, or leave --{name} out")
    if mode == "audit" and "input" not in given and (alone := [name for name in ("output", "columns") if name in given]):
        raise ValueError(f"--{alone[0]} is for the audit of a split list; name the list with --input=FILE, or leave --{alone[0]} out")


def with_found_config(argv: Sequence[str], root: Path) -> list[str]:
    """Return the arguments with the config file as a path that exists: in this folder, or else below `root`, the folder of run.py.

    Raises:
      ValueError: there is no such file; the message names the nearest one.
    """
    found = list(argv)
    for _, (name, value, place) in _flags(argv):
        if name == _CONFIG and value:
            path, colon, system = value.partition(":")
            found[place] = found[place].removesuffix(value) + f"{_existing(path, root)}{colon}{system}"
    return found


def without_overrides(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments without the overrides --config.FIELD=VALUE, and these as field -> text."""
    overrides, left = {}, set(range(len(argv)))
    for index, (name, value, place) in _flags(argv):
        if name.startswith(_OVERRIDE):
            # As absl has it, --config.FIELD alone is True, and --noconfig.FIELD does not exist.
            overrides[name.removeprefix(_OVERRIDE)] = "True" if value is None else value
            left -= {index, place}
    return [argv[index] for index in sorted(left)], overrides


def of_run(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and {}; with --run or a shipped model `without_overrides`, which are of a stored config, not of a file."""
    return without_overrides(argv) if has_flag(argv, "run") or uses_shipped(argv) else (list(argv), {})


def uses_shipped(argv: Sequence[str]) -> bool:
    """Return whether the arguments predict or serve without naming a run or a config, so by a shipped model, where there are any."""
    modes = [value for _, (name, value, _) in _flags(argv) if name == "mode"]
    is_named = has_flag(argv, "run") or has_flag(argv, _CONFIG)
    return modes[-1:] in (["predict"], ["serve"]) and not is_named and any(SHIPPED_MODELS.glob("*/model.json"))


def takes_stored_config(argv: Sequence[str]) -> bool:
    """Return whether the arguments take the config of a run or a shipped model, and name no config file beside it."""
    return (has_flag(argv, "run") or uses_shipped(argv)) and not has_flag(argv, _CONFIG)


def has_flag(argv: Sequence[str], name: str) -> bool:
    """Return whether a flag is among the arguments."""
    return any(found == name for _, (found, _, _) in _flags(argv))


def describe_flag_error(error: Exception) -> str:
    """Return the sentences for an error of the command line: no such config file or field, or what absl finds wrong with a flag."""
    if isinstance(error, ValueError | OSError):  # no such config file
        return f"error: {error}"
    if isinstance(error, AttributeError | KeyError):
        inner = error.args[0] if isinstance(error.args[0], KeyError) else error  # ml_collections wraps one in the other
        return f"error: the config has no field {inner.args[0]}\n(--help lists all fields)"
    text = str(error).strip()
    last = text.splitlines()[-1].strip()
    if choice := re.fullmatch(r"flag --\w+=(.*): value should be one of <(.*)>", text):
        text += nearest(choice[1], choice[2].split("|"))
    return f"error: {last.removeprefix('ValueError: ') if last.startswith('ValueError: ') else text}\n(--help lists the flags)"


def _flags(argv: Sequence[str]) -> list[tuple[int, tuple[str, str | None, int]]]:
    """Return (index, (name, value or None, index of the value's argument)) of each flag, given as --name=value or --name value."""
    found: list[tuple[int, tuple[str, str | None, int]]] = []
    for index, text in enumerate(argv):
        if index == 0 or not text.startswith("-") or text.strip("-") == "":
            continue
        name, equals, value = text.lstrip("-").partition("=")
        following = argv[index + 1] if index + 1 < len(argv) else "-"
        if equals:
            found.append((index, (name, value, index)))
        elif following.startswith("-"):
            found.append((index, (name, None, index)))
        else:
            found.append((index, (name, following, index + 1)))
    return found


def _existing(path: str, root: Path) -> Path:
    given = Path(path).expanduser()
    for place in (given, root / given):
        if place.is_file():
            return place
    beside = {one.name for folder in (given.parent, root / given.parent, root / "configs") for one in folder.glob("[!_]*.py")}
    close = difflib.get_close_matches(given.name, beside, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"config files are {root / 'configs'}/*.py"
    raise ValueError(f"there is no config file {path}; {hint}")
