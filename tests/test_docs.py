"""The pages: links resolve, config fields exist, run.py accepts the commands, and short commands run."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import documentation
import pytest
from absl import flags
from documentation import CONFIGS, PAGES, ROOT, name_of
from parsed_configs import leaves, parse

import run  # noqa: F401  (defines the flags)
from configs import systems

DOCS = ROOT / "docs"
# Names that examples of docs/extending.md add.
ADDED = ("views.loudness.", "encoders.frame_pairs.")
# The config that the guide to a new corpus creates -> an existing config with the same media, in its place.
EXAMPLE_CONFIGS = {"configs/emovo.py": "configs/emodb.py"}
PLACEHOLDER = "SYSTEM"
NUM_README_LINES = 115
SHORT = (
    ("run.py", "--config=configs/demo.py", "--mode=doctor"),
    ("-m", "data_prep.doctor"),
)
page_by_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def any_stream(name: str) -> str:
    """Return a field's name with `*` for the name of the stream, because systems choose these names."""
    parts = name.split(".")
    return ".".join(["streams", "*", *parts[2:]]) if parts[0] == "streams" and len(parts) > 2 else name


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Return the names of all config fields and their sections, with `*` for the stream."""
    names = {name for config in ("configs/base.py", "configs/demo.py:audio_video") for name, _, _ in leaves(parse(config))}
    names |= {name.rpartition(".")[0] for name in names} | {name.split(".")[0] for name in names}
    return {any_stream(name) for name in names}


@page_by_page
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in documentation.links(page):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (anchor and anchor not in documentation.anchors(path)):
            broken.append(target)
    assert not broken


def test_every_page_is_reachable_from_the_index():
    def linked(page: Path) -> set[Path]:
        targets = (target.partition("#")[0] for target in documentation.links(page))
        return {(page.parent / target).resolve() for target in targets if target}

    index = linked(DOCS / "README.md") | linked(DOCS / "systems" / "README.md")
    assert {page for page in PAGES if page.is_relative_to(DOCS)} - index <= {DOCS / "README.md"}
    assert DOCS / "README.md" in linked(ROOT / "README.md")


def test_the_readme_is_one_screen_and_a_half():
    assert len((ROOT / "README.md").read_text().splitlines()) <= NUM_README_LINES


@page_by_page
def test_fields_of_the_config_exist(page, known):
    named = {name for name in documentation.fields(page) if not name.startswith(ADDED)}
    sections = {name.split(".")[0] for name in known}
    named |= {word for word in documentation.dotted_words(page) if word.split(".")[0] in sections and not word.endswith((".db", ".json"))}
    assert sorted(name for name in named if any_stream(name) not in known) == []


@pytest.mark.parametrize("path", [*PAGES, *CONFIGS], ids=name_of)
def test_commands_are_accepted(path):
    for words in documentation.commands(path):
        check(words)


def check(words: list[str]) -> None:
    """Fail unless a command's program exists and takes its flags."""
    line = " ".join(words)
    program, *arguments = words
    if not arguments:
        return
    if program == "make":
        targets = (ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split()
        assert {word for word in arguments if "=" not in word} <= set(targets), line
    elif program == "pytest" or arguments[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests")), line
    elif arguments[0] == "run.py":
        check_run(arguments[1:], line)
    elif arguments[0] == "-m" and arguments[1].split(".")[0] in ("benchmarks", "data_prep"):
        module = ROOT / f"{arguments[1].replace('.', '/')}.py"
        assert module.is_file(), line
        known = {word.value for word in ast.walk(ast.parse(module.read_text())) if isinstance(word, ast.Constant)}
        assert {word.partition("=")[0] for word in arguments if word.startswith("--")} <= known, line
    elif arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).is_file(), line


def check_run(arguments: Iterable[str], line: str) -> None:
    """Fail unless run.py knows the flags, the mode, the config and its fields."""
    experiment, overrides = "configs/demo.py", []
    for word in arguments:
        name, _, value = word.removeprefix("--").partition("=")
        if name == "config":
            experiment = EXAMPLE_CONFIGS.get(value, value).removesuffix(f":{PLACEHOLDER}")
        elif name.startswith("config."):
            overrides.append(word)
        else:
            assert name in flags.FLAGS, f"{line}: no flag --{name}"
            assert name != "mode" or value in flags.FLAGS["mode"].parser.enum_values, line
    parse(experiment, *overrides)  # raises if the file, the system, a field or a value is wrong


@pytest.mark.parametrize("words", SHORT, ids=" ".join)
def test_short_commands_run(words):
    assert any(["python", *words] == command for page in PAGES for command in documentation.commands(page))
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr and "python" in done.stdout.lower()


def test_the_help_lists_the_flags_that_pages_use():
    done = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    used = {word.partition("=")[0].removeprefix("--") for page in PAGES for words in documentation.commands(page) for word in words[1:]}
    shown = {name for name in used if name in ("mode", "input", "output", "runs", "predictions", "columns", "fuse", "on")}
    assert {"mode", "input", "runs"} <= shown
    assert [name for name in sorted(shown) if f"--{name}" not in done.stdout] == []


def test_every_system_has_a_page_and_every_variant_is_on_it():
    for module in systems.MODULES:
        name = module.__name__.rpartition(".")[2]
        text = "".join(page.read_text() for page in (DOCS / "systems").glob(f"{name}*.md"))
        for variant in module.VARIANTS:
            base, _, kind = variant.partition(":")
            assert base in text and f":{kind}".rstrip(":") in text, f"docs/systems/{name}.md says nothing of {variant}"


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_headers_of_configs_name_pages_that_exist(path):
    words = (word.strip(".,;:()") for word in documentation.text_of(path).split())
    named = [word for word in words if word.endswith(".md")]
    assert [word for word in named if not ((ROOT / word).is_file() or (DOCS / "systems" / word).is_file())] == []


def test_each_extension_point_has_an_example_that_python_reads():
    found = documentation.examples(DOCS / "extending.md")
    assert set(found) == {"view", "encoder", "fusion", "metric", "system", "corpus"}
    for name, source in found.items():
        assert ast.get_docstring(ast.parse(source)), name
