"""The pages of the project, read by tests: their links, the config fields that they name, and the commands that they show."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "data_prep/corpora/README.md")
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if path.name != "base.py")
EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^(\.venv/bin/)?(python3?|pytest|make)\s")
_ENVIRONMENT = re.compile(r"^(?:[A-Z_]+=\S*\s+)+")


def name_of(path: Path) -> str:
    """Return the path below the root, for the names of tests."""
    return path.relative_to(ROOT).as_posix()


def examples(page: Path) -> dict[str, str]:
    """Return the examples of a page, name -> source: Python blocks under a comment `<!-- example: NAME -->`."""
    return dict(EXAMPLE.findall(page.read_text()))


def text_of(path: Path) -> str:
    """Return a page's text, or the header of a config."""
    text = path.read_text()
    return text if path.suffix == ".md" else ast.get_docstring(ast.parse(text)) or ""


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and images that are files of the repository, with their anchors."""
    prose = prose_of(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'src="([^"]+)"', prose)
    return [target for target in targets if not target.startswith("http")]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(path: Path) -> list[list[str]]:
    """Return the commands that a page or the header of a config shows, as words; without those that are abbreviated by "..."."""
    text = text_of(path)
    shown = [block for language, block in _FENCE.findall(text) if not language]
    if path.suffix == ".md":
        shown += re.findall(r"`([^`\n]+)`", prose_of(path))
    else:
        shown += re.findall(r"^ {4}((?:.*\\\n)*.+)$", text, re.MULTILINE)
    lines = [line.strip() for block in shown for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    lines = [_ENVIRONMENT.sub("", re.split(r"\s{2,}[#(]", line)[0]) for line in lines if "..." not in line]
    parts = [part.strip() for line in lines for part in line.split(" && ")]
    return [shlex.split(part) for part in parts if _COMMAND.match(f"{part} ")]


def fields(page: Path) -> set[str]:
    """Return the config fields that a page names, as `--config.FIELD` or dotted in backticks."""
    text = page.read_text()
    return {name.rstrip(".") for name in re.findall(r"--config\.([a-z]\w*(?:\.\w+)*)", text)}


def dotted_words(page: Path) -> set[str]:
    """Return dotted lower-case names in backticks and in the axes of sweeps and searches."""
    text = page.read_text()
    words = re.findall(r"`([a-z_]+(?:\.[a-z_0-9]+)+)(?:=[^`]*)?`", prose_of(page))
    return {*words, *re.findall(r"['(:]((?:streams|fusion|train)\.[a-z_.]+)=", text)}
