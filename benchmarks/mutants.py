"""Plant defects, one changed line each, and show which of them no test notices.

    make mutants                                          all of benchmarks/mutants.toml
    make mutants MUTANTS_ARGS="--only media"              those with a word in their name or file
    python -m benchmarks.mutants --num_processes=2        two at a time

Each entry of the list names a file, its text before and after the change, and the tests that must fail. The tree is copied once a process
into a temporary folder; each change is made in the copy alone and undone again. The same tests run there without any change first,
because tests that fail anyway notice nothing. Prints a line a defect, then the survivors; exit code 1 where there are any.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
COPIED = ("avemo_jax", "benchmarks", "configs", "data_prep", "docs", "tests", "pyproject.toml", "run.py")
TIME_LIMIT_S = 600.0
_PASSED, _FAILED = 0, 1  # exit codes of pytest; others mean that no test ran


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A defect to plant.

    Attributes:
      name: the defect in some words.
      file: path from the root of the tree.
      old, new: text that stands exactly once in the file, and the text that takes its place.
      tests: arguments of pytest; at least one of these tests must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, root: Path) -> str:
        """Return the text of the file with the defect.

        Raises:
          ValueError: the old text does not stand exactly once in the file, or the new one changes nothing.
          SyntaxError: the changed file is no Python.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (count := text.count(self.old)) != 1 or self.old == self.new:
            raise ValueError(
                f"{LIST.name}, {self.name!r}: expected the old text once in {self.file} and another new one, found it {count} times"
            )
        planted = text.replace(self.old, self.new)
        compile(planted, self.file, "exec")  # a file that does not compile would fail every test
        return planted


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """Return the defects of the list.

    Raises:
      ValueError: two have one name.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    mutants = [Mutant(**entry | {"tests": tuple(entry["tests"])}) for entry in entries]
    if len({one.name for one in mutants}) < len(mutants):
        raise ValueError(f"{path.name}: expected names that differ")
    return mutants


def copy_tree(root: Path, folder: Path) -> Path:
    """Copy what the tests need, without compiled files: Python would take an old one where two changes fall into one second."""
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, folder / name)
    return folder


def run_tests(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Return the exit code and the output of pytest in a copy of the tree; tests that take too long count as failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not gpu and not long", *tests]
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "xla")}  # of the tree's own tests
    environment = compiled | os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT_S)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return _FAILED, f"longer than {TIME_LIMIT_S:.0f} s"


def outcome_of(mutant: Mutant, folder: Path) -> str:
    """Plant a defect in a copy of the tree and return "caught", "SURVIVED", or "no test ran (pytest ...)"."""
    path = folder / mutant.file
    whole, planted = path.read_text(encoding="utf-8"), mutant.planted(folder)
    try:
        path.write_text(planted, encoding="utf-8")
        code, _ = run_tests(folder, mutant.tests)
    finally:
        path.write_text(whole, encoding="utf-8")
    return {_PASSED: "SURVIVED", _FAILED: "caught"}.get(code, f"no test ran (pytest ended with {code})")


def plant_all(mutants: Sequence[Mutant], *, num_processes: int = 1, root: Path = ROOT) -> dict[str, str]:
    """Return the outcome of each defect by its name; prints a line each.

    Raises:
      ValueError: an old text does not stand exactly once in its file.
      RuntimeError: the tests fail without any defect.
    """
    for mutant in mutants:
        mutant.planted(root)
    with tempfile.TemporaryDirectory() as folder:
        free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(num_processes):
            (Path(folder) / str(number)).mkdir()
            free.put(copy_tree(root, Path(folder) / str(number)))
        tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        copy = free.get()
        for test in tests:
            code, output = run_tests(copy, [test])
            if code:
                raise RuntimeError(f"{test} ends with {code} without any defect:\n{output[-3000:]}")
        free.put(copy)

        def plant(mutant: Mutant) -> tuple[str, str]:
            copy, start_s = free.get(), time.monotonic()
            try:
                outcome = outcome_of(mutant, copy)
            finally:
                free.put(copy)
            print(f"{outcome:8}  {time.monotonic() - start_s:4.0f} s  {mutant.name} ({mutant.file})", flush=True)
            return mutant.name, outcome

        with concurrent.futures.ThreadPoolExecutor(num_processes) as pool:
            return dict(pool.map(plant, mutants))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="defects with this text in their name or file")
    parser.add_argument("--num_processes", type=int, default=1, help="defects at a time")
    given = parser.parse_args()
    mutants = [one for one in read_mutants() if given.only in f"{one.name} {one.file}"]
    outcomes = plant_all(mutants, num_processes=given.num_processes)
    alive = [name for name, outcome in outcomes.items() if outcome != "caught"]
    print(f"{len(outcomes) - len(alive)} of {len(outcomes)} defects caught" + "".join(f"\n  not caught: {name}" for name in alive))
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
