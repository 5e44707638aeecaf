"""The mode `audit` with `--input=splits.csv`: the leak audit of third-party split lists, without training and without a known corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from avemo_jax.atomic import write_json
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.config import Experiment
from avemo_jax.identity import RULE
from avemo_jax.protocols.audit.findings import Finding, check_allowed, format_findings, listed, mark_allowed
from avemo_jax.protocols.audit.split_list import SplitList, SplitListError, are_parts_of_one, audit_split_list, read_split_list
from avemo_jax.text import count_of


class Comparison(Protocol):
    """The result of a comparison of media: `data_prep.duplicates.near_duplicates.Comparison`."""

    @property
    def pairs(self) -> tuple[SharedMedia, ...]: ...

    @property
    def num_compared(self) -> int: ...

    @property
    def not_compared(self) -> Mapping[str, str]: ...


def audit_lists(
    experiment: Experiment,
    paths: Sequence[str],
    columns: Sequence[str],
    compare: Callable[[Sequence[Clip], Path], Comparison],
    *,
    known_names: Callable[[Iterable[str]], Mapping[str, Clip]] | None = None,
    output: str | None = None,
) -> list[Finding]:
    """Audit split lists, print the findings, and write audit.json where `output` is given.

    Media that a list names are searched for in the list's folder and in `corpus.root`, and compared where they are found. Files outside of
    both are never opened, whatever a list names.

    Args:
      experiment: config, of which `protocol.allow_leaks`, `protocol.near_duplicates` and `corpus.root` are used.
      paths: tables, see `foreign_table`; several whose names are parts (train.csv, test.csv) are one split.
      columns: entries role=column, see `split_list.ROLES`.
      compare: function that compares the media of clips, given the clips and the folder that their paths are relative to.
      known_names: see `read_split_list`.
      output: folder for audit.json.

    Returns:
      The findings of all lists.

    Raises:
      SplitListError, ValueError: a list cannot be read, a column is missing, or a finding cannot be allowed.
    """
    check_allowed(experiment.protocol.allow_leaks)
    given = dict(_role_and_column(one) for one in columns)
    entries, everything = [], []
    for files in [paths] if are_parts_of_one(paths) else [[path] for path in paths]:
        split = read_split_list(files, given, known_names)
        findings = mark_allowed(_find(experiment, split, compare), allow=experiment.protocol.allow_leaks)
        print(_format(split), format_findings(findings), sep="\n")
        entries.append(
            {
                "list": ", ".join(files),
                "columns": dict(split.columns),
                "read_from_names": split.read_from_names,
                "identities": {"compared": RULE, "joined": {role: list(map(list, names)) for role, names in split.joined.items()}},
                "findings": [finding.as_dict() for finding in findings],
            }
        )
        everything += findings
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
        write_json(Path(output) / "audit.json", entries)
        print(f"audit: {Path(output) / 'audit.json'}")
    return everything


def _find(experiment: Experiment, split: SplitList, compare: Callable[[Sequence[Clip], Path], Comparison]) -> list[Finding]:
    clips = split.clips()
    root = _media_root(split, experiment.corpus.root)
    if not clips or root is None or not experiment.protocol.near_duplicates:
        missing = {clip.clip_id: f"there is no file {clip.audio or clip.video}" for clip in clips if experiment.protocol.near_duplicates}
        return audit_split_list(split, shared_media=() if missing else None, not_compared=missing)
    places = [place.resolve() for place in _places(split, experiment.corpus.root)]
    outside = {clip.clip_id: _why_outside(clip, root) for clip in clips if not _is_inside(root / (clip.audio or clip.video or ""), places)}
    found = compare([clip for clip in clips if clip.clip_id not in outside], root)
    findings = audit_split_list(split, shared_media=found.pairs, not_compared=dict(found.not_compared) | outside)
    return [*findings, *_unlisted(split, root)]


def _media_root(split: SplitList, root: str | None) -> Path | None:
    """Return the list's own folder or the corpus root, whichever has more of its media; None where neither has any."""
    paths = [span.path for item in split.items for span in item.media]
    places = _places(split, root)
    resolved = [place.resolve() for place in places]
    counts = [sum(_is_inside(place / path, resolved) and (place / path).is_file() for path in paths) for place in places]
    return places[counts.index(max(counts))] if any(counts) else None


def _places(split: SplitList, root: str | None) -> list[Path]:
    """Return the folders whose media may be opened: the list's own, and the corpus root."""
    own = split.path if split.path.is_dir() else split.path.parent
    return [own, *([Path(root)] if root else [])]


def _is_inside(path: Path, places: Sequence[Path]) -> bool:
    """Return whether a path, its links followed, lies in one of the places, which are resolved."""
    path = path.resolve()
    return any(path.is_relative_to(place) for place in places)


def _why_outside(clip: Clip, root: Path) -> str:
    return f"{clip.audio or clip.video} lies outside of {root}; set --config.corpus.root to a folder that holds all media of the list"


def _unlisted(split: SplitList, root: Path) -> list[Finding]:
    """Return a finding about media files that the list does not name, in its folders and of its types: clips may have been dropped."""
    places = [root.resolve()]
    named = {path for item in split.items for span in item.media if _is_inside(path := (root / span.path).resolve(), places)}
    suffixes, folders = {path.suffix.lower() for path in named}, sorted({path.parent for path in named})
    existing = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes)
    others = tuple(path.name for path in existing if path not in named and path.is_file())
    if not others:
        return []
    detail = f"{count_of(len(others), 'file')} in the folders of the list that it does not name: {listed(others, 3)}"
    return [Finding("media_not_listed", detail, len(others), others)]


def _role_and_column(one: str) -> tuple[str, str]:
    role, separator, column = one.partition("=")
    if not separator or not role or not column:
        raise SplitListError(f"--columns expects role=column, for example speaker=actor; got {one!r}")
    return role.strip(), column.strip()


def _format(split: SplitList) -> str:
    """Return the name, columns and sizes of a list, and how its names were compared, as text."""
    used = ", ".join(f"{role} from {column!r}" for role, column in split.columns.items() if column)
    sizes = ", ".join(f"{fold.name} {len(fold.train)}/{len(fold.validation)}/{len(fold.test)}" for fold in split.folds)
    promise = "; each clip is tested once" if split.each_once else ""
    lines = [f"{split.path}: {count_of(len(split.items), 'clip')} ({used}){promise}", f"train/validation/test: {sizes}"]
    if split.read_from_names:
        lines.append(f"read from names: {split.read_from_names}")
    if split.unused:
        lines.append(f"columns not used: {listed(split.unused)} (--columns=role=column uses one)")
    lines.append(RULE)
    for role, names in split.joined.items():
        lines.append(f"joined spellings of {count_of(len(names), role)}: {listed([' = '.join(several) for several in names], 3)}")
    return "\n".join(lines)
