"""Report of what is installed and found, and what is missing: packages, devices, corpora, prepared sets, files; with the fix for each gap.

No third-party package is imported at the head, so that it also works where the installation is broken:
`python -m data_prep.doctor` needs no flags, no configuration and no third-party package.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avemo_jax.machine import MachineError, pip_install, start_jax
from avemo_jax.text import shorten_list

if TYPE_CHECKING:
    from avemo_jax.clips import Clip

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 12), (3, 13))
_GIB = 1 << 30
_REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)(?P<range>[^#\s]*)\s*(?:#\s*(?P<reason>.*))?$")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
      subject: a package, device, corpus, set, view or file.
      detail: what was found.
      fix: what to do about it, without which `train` fails; "" where nothing is wrong.
      is_doubtful: whether `train` runs, with less than one may expect; marked with "?".
    """

    subject: str
    detail: str
    fix: str = ""
    is_doubtful: bool = False


def doctor(
    *,
    corpus: str | None = None,
    corpus_root: Path | str | None = None,
    corpus_options: Mapping[str, Any] | None = None,
    views: Mapping[str, Mapping[str, Any]] | None = None,
    files: Mapping[str, str | None] | None = None,
    weights: Callable[[], Mapping[str, tuple[str, str | None]]] = dict,
    prepared_dir: Path | str = "prepared",
    written: Sequence[Path] = (),
    checks: Mapping[str, Callable[[], Any]] | None = None,
    requirements: Path = ROOT / "requirements.txt",
) -> tuple[str, bool]:
    """Try everything that a run needs: start JAX, write where it writes, decode clips in a worker, make the plan.

    Args:
      corpus, corpus_root: name and folder; the other corpora are listed with the address of their owner.
      corpus_options: option -> value; the corpus takes those that it has, others are ignored.
      views: name -> parameters of the views that the system uses; their detectors are loaded.
      files: config field -> the file it names (tables, weights); None is skipped.
      weights: returns encoder -> (what is found of its weights, the fix or None); it may import JAX.
      prepared_dir: folder of the prepared sets.
      written: folders that a run writes into.
      checks: subject -> a function that returns a description, or raises what `train` would raise; called where JAX starts and the corpus
        is there.
      requirements: the direct dependencies with their ranges.

    Returns:
      The report for the terminal, and whether nothing is missing, so that `train` runs.
    """
    prepared_dir = Path(prepared_dir)
    devices = list(_devices())
    corpora, clips = _corpora(corpus, corpus_root, corpus_options or {})
    jax_starts = not any(finding.fix for finding in devices)
    sections = {
        "Python and packages": [_python(), *_packages(requirements)],
        "Machine": [*devices, *_machine(prepared_dir), *_folders(written, prepared_dir)],
        "Corpora": corpora,
        "Prepared sets": list(_prepared_sets(prepared_dir)),
        "Views and files": [*_views(views or {}), *_files(files or {})],
        "Media": [] if clips is None else list(_media(clips, corpus_root or "", views or {})),
        "Encoders": [Finding(name, detail, fix or "") for name, (detail, fix) in weights().items()] if jax_starts else [],
        "Run": list(_checks(checks or {}, is_there=clips is not None)) if jax_starts else [],
    }
    gaps = [finding for findings in sections.values() for finding in findings if finding.fix]
    lines = []
    for title, findings in sections.items():
        if findings:
            lines += [title, *(line for finding in findings for line in _lines(finding))]
    if gaps:
        lines.append(f"{len(gaps)} to fix, marked with '!': {', '.join(finding.subject for finding in gaps)}")
        if sum(finding in gaps for finding in sections["Python and packages"]) > 1:
            lines.append(f"All packages at once: {shlex.join([sys.executable, '-m', 'pip', 'install', '-r', str(requirements)])}")
    else:
        lines.append("Nothing is missing.")
    if doubts := [finding.subject for findings in sections.values() for finding in findings if finding.is_doubtful and not finding.fix]:
        lines.append(f"{len(doubts)} to look at, marked with '?': {', '.join(doubts)}")
    return "\n".join(lines), not gaps


def _lines(finding: Finding) -> Iterator[str]:
    first, *more = finding.detail.splitlines() or [""]
    yield f"  {'!' if finding.fix else '?' if finding.is_doubtful else ' '} {finding.subject:24} {first}".rstrip()
    yield from (f"{'':29}{line.strip()}" for line in more)
    if finding.fix:
        yield f"{'':29}fix: {finding.fix}"


def _python() -> Finding:
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro} ({sys.executable})"
    if sys.version_info[:2] in PYTHONS:
        return Finding("Python", found)
    return Finding("Python", f"{found}, expected 3.11 to 3.13", "install one of them, then `make clean setup`")


def _packages(requirements: Path) -> Iterator[Finding]:
    """Compare installed versions with the ranges of requirements.txt."""
    if not requirements.is_file():
        yield Finding("requirements.txt", f"not in {requirements.parent}", "run from a whole checkout")
        return
    try:
        from packaging.specifiers import SpecifierSet as parse_range
    except ImportError:
        parse_range = None  # type: ignore[assignment, misc]
        yield Finding("packaging", "missing, so versions are not compared", pip_install("packaging"))
    for line in requirements.read_text(encoding="utf-8").splitlines():
        match = _REQUIREMENT.match(line.strip())
        if not match:
            continue
        name, wanted = match["name"], match["range"]
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, f"missing, expected {wanted or 'any version'}", pip_install(name + wanted))
            continue
        if parse_range is not None and not parse_range(wanted).contains(version, prereleases=True):
            reason = f" ({match['reason']})" if match["reason"] else ""
            yield Finding(name, f"{version}, expected {wanted}{reason}", pip_install(name + wanted))
        else:
            yield Finding(name, version)


def _devices() -> Iterator[Finding]:
    """Start JAX in a process of its own, which a wrong variable may abort."""
    try:
        jax = start_jax()
    except MachineError as error:
        detail, _, fix = str(error).rpartition("; ")
        yield Finding("devices", detail or fix, fix if detail else "see above")
        return
    kinds = ", ".join(jax.devices)
    if jax.backend == "cpu" and (card := _unused_accelerator()):
        yield Finding("devices", f"{kinds}; {card} is present and JAX does not use it", pip_install(f"jax[cuda13]=={jax.version}"))
    else:
        yield Finding("devices", kinds)


def _unused_accelerator() -> str | None:
    return "an NVIDIA card" if Path("/proc/driver/nvidia/version").exists() and Path("/dev/nvidia0").exists() else None


def _machine(prepared_dir: Path) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", str(cores))
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        yield Finding("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / _GIB:.1f} GiB")
    existing = next(path for path in (prepared_dir.absolute(), *prepared_dir.absolute().parents) if path.exists())
    yield Finding("free disk", f"{shutil.disk_usage(existing).free / _GIB:.1f} GiB for {prepared_dir}")


def _folders(written: Sequence[Path], prepared_dir: Path) -> Iterator[Finding]:
    """Write a file into each folder that a run writes into, or into the nearest folder above that exists."""
    for folder in dict.fromkeys((*written, Path(tempfile.gettempdir()))):
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
        try:
            with tempfile.TemporaryFile(dir=existing) as stream:
                stream.write(bytes(4096))
        except OSError as error:
            detail = f"cannot be written: {error.strerror} ({existing})"
            if folder == prepared_dir and any(prepared_dir.glob("*/manifest.json")):
                yield Finding(str(folder), f"{detail}; the sets that are finished there can be used", is_doubtful=True)
            else:
                yield Finding(str(folder), detail, f"let this user write it, or name another folder ({_field_of(folder, prepared_dir)})")
        else:
            yield Finding(str(folder), "can be written")
    if (caches := os.environ.get("NUMBA_CACHE_DIR")) is not None:
        yield Finding("caches of libraries", caches)


def _field_of(folder: Path, prepared_dir: Path) -> str:
    if folder == prepared_dir:
        return "--config.prepared_dir="
    return "TMPDIR=" if folder == Path(tempfile.gettempdir()) else "--config.workdir="


def _corpora(corpus: str | None, root: Path | str | None, options: Mapping[str, Any]) -> tuple[list[Finding], tuple[Clip, ...] | None]:
    """Return a line for every corpus, and the clips of the one in use, None where they cannot be read yet."""
    try:
        from data_prep.corpora import CORPORA, JoinedCorpus
        from data_prep.corpora import corpus as corpus_of
    except ImportError as error:
        return [Finding("corpora", f"their readers do not load: {_first_line(error)}", "install the packages marked above")], None
    modules: dict[str, Any] = dict(CORPORA)
    findings: list[Finding] = []
    clips = None
    if corpus is not None:
        try:
            modules[corpus] = corpus_of(corpus)
        except ValueError as error:
            findings.append(Finding(corpus, "no such corpus", str(error)))
    for name, module in sorted(modules.items()):
        if name == "synthetic" and (name != corpus or not _is_made(root)):
            finding = Finding(name, "is generated by the first run that uses it")
        elif name != corpus:
            finding = Finding(name, f"not in use; its owner: {module.ADDRESS}")
        elif root is None:
            form = module.root_form() if isinstance(module, JoinedCorpus) else "FOLDER"
            fix = f"--config.corpus.root={form} that holds {module.LAYOUT}"
            finding = Finding(name, f"no folder given; its owner: {module.ADDRESS}", fix)
        else:
            finding, clips = _corpus(name, root, options)
        findings.append(finding)
    return findings, clips


def _is_made(root: Path | str | None) -> bool:
    """Whether a finished synthetic corpus exists; reading an unfinished one would generate it."""
    from data_prep.corpora.synthetic import MARKER

    marker = None if root is None else Path(root) / MARKER
    return marker is not None and marker.is_file() and json.loads(marker.read_text(encoding="utf-8")).get("finished", False)


def _corpus(name: str, root: Path | str, options: Mapping[str, Any]) -> tuple[Finding, tuple[Clip, ...] | None]:
    """Read a corpus, and return what is found of it, and its clips or None."""
    from data_prep.corpora import corpus, load_clips, num_clips_of_owner, num_speakers_of_owner, own_options

    module = corpus(name)
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            clips = load_clips(name, root, **own_options(module, options))
        except (ValueError, OSError) as error:
            return Finding(name, str(error), "see above"), None
    speakers = {clip.speaker for clip in clips} - {""}
    audio, video = (sum(getattr(clip, medium) is not None for clip in clips) for medium in ("audio", "video"))
    whole, all_speakers = num_clips_of_owner(name, options), num_speakers_of_owner(name, options)
    own_speakers = _of(len(speakers), all_speakers) if speakers else "unknown"
    detail = f"{_of(len(clips), whole)} clips of {own_speakers} speakers in {root}, {audio} with sound, {video} with picture"
    is_part = whole not in (None, len(clips)) or (bool(speakers) and all_speakers not in (None, len(speakers)))
    text = "\n".join([detail, *(str(doubt.message) for doubt in doubts)])
    return Finding(name, text, is_doubtful=is_part or bool(doubts)), clips


def _of(count: int, whole: int | None) -> str:
    """Return "3 of 24", or "24" where the whole is there or not known."""
    return str(count) if whole in (None, count) else f"{count} of {whole}"


def _media(clips: Sequence[Clip], root: Path | str, views: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Look at all media of the corpus, and try one clip of each kind with each view in a worker."""
    from data_prep.media_check import find_impostors, try_view
    from data_prep.sets.staging import media_of
    from data_prep.views import make_view
    from data_prep.views.table import Table

    made = {}
    for name, params in views.items():
        try:
            made[name] = make_view(name, **params)
        except (ImportError, ValueError, OSError):
            continue  # `_views` has shown it
    media = sorted({medium for view in made.values() if not isinstance(view, Table) for medium in media_of(view)})
    for problem, names in find_impostors(clips, Path(root), media).items():
        yield Finding("media", f"{len(names)} files are {problem}: {shorten_list(names, 3)}", is_doubtful=True)
    for name, view in made.items():
        try:
            read, lost = try_view(view, clips, Path(root))
        except (RuntimeError, OSError) as error:
            yield Finding(f"worker of {name}", _first_line(error), "see above; `make setup` installs what workers import")
            continue
        for kind, reason in lost.items():
            text = f"none of the {kind} files tried can be read, {reason}"
            yield Finding(f"media for {name}", text, "" if read else "get the media of the corpus again", is_doubtful=True)
        if read:
            yield Finding(f"media for {name}", ", ".join(f"{kind} can be read ({clip_id})" for kind, clip_id in read.items()))


def _checks(checks: Mapping[str, Callable[[], Any]], *, is_there: bool) -> Iterator[Finding]:
    for subject, check in checks.items():
        if subject == "plan" and not is_there:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = check()
        except (ValueError, RuntimeError, OSError) as error:
            yield Finding(subject, str(error), "see above; `train` ends with this error")
        except ImportError as error:
            yield Finding(subject, f"does not load: {_first_line(error)}", "install the packages marked above")
        else:
            yield Finding(subject, found or "fits")


def _prepared_sets(prepared_dir: Path) -> Iterator[Finding]:
    found = sorted(path.parent for path in prepared_dir.glob("*/manifest.json"))
    unfinished = sorted(prepared_dir.glob("*.partial"))
    if not found and not unfinished:
        yield Finding(str(prepared_dir), "none yet; the first run prepares what it needs")
        return
    for directory in found:
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            detail = f"{manifest['num_examples']} examples of {manifest['num_clips']} clips, {manifest['view']} of {manifest['corpus']}"
        except (ValueError, KeyError, OSError) as error:
            yield Finding(directory.name, f"its manifest cannot be read: {error}", f"delete {directory} and run with --mode=prepare")
        else:
            yield Finding(directory.name, detail)
    for directory in unfinished:
        yield Finding(directory.name, "not finished; the next run with the same config resumes it")


def _views(views: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for name, params in views.items():
        view = None
        try:
            from data_prep.views import make_view

            view = make_view(name, **params)
            if hasattr(view, "check_installed"):
                view.check_installed()
            detector = _detector(view)
            if detector is not None:
                _load_detector(detector, view.detector_path)
        except ImportError as error:
            marked_above = not hasattr(view, "check_installed")
            fix = "install the packages marked above" if marked_above else "run that command, or choose another view"
            yield Finding(f"view {name}", f"does not load: {_first_line(error)}", fix)
        except (ValueError, OSError) as error:
            yield Finding(f"view {name}", str(error), "see above")
        else:
            more = [f"faces by {detector}"] if detector else []
            more += [f"licence: {view.licence}"] if hasattr(view, "licence") else []
            yield Finding(f"view {name}", ", ".join([view.modality, f"steps of {tuple(view.step_shape)}", *more]))


def _detector(view: Any) -> str | None:
    """Name of the face detector that a view uses, or None; face_crop and crop switch it off."""
    detects = getattr(view, "face_crop", True) and getattr(view, "crop", "face") == "face"
    return getattr(view, "detector", None) if detects else None


def _load_detector(name: str, path: str | None) -> None:
    """Load a face detector by detecting in one image, because it reads its file then."""
    import numpy as np

    from data_prep.views.face_detection import make_detector

    make_detector(name, path).detect(np.zeros((64, 64, 3), np.uint8))


def _files(files: Mapping[str, str | None]) -> Iterator[Finding]:
    for field, path in files.items():
        if path is None:
            continue
        if Path(path).is_file():
            yield Finding(field, f"{path}, {Path(path).stat().st_size} bytes")
        else:
            yield Finding(field, f"there is no file {path}", f"put it there, or set another with --config.{field}=FILE")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


if __name__ == "__main__":
    report, ok = doctor()
    print(report)
    sys.exit(not ok)
