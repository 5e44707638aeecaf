"""Hooks of MkDocs: the pages of docs/README.md in its order, tutorials, pages from outside of docs/, and the Python reference.

Pages are written for a reader of the repository. Here a link to a page of the repository leads to its copy in the site, and a link to a
source file becomes its name.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "site"))
import tutorials  # noqa: E402

# Pages outside of docs/ -> their place in the site.
OUTSIDE = {
    "README.md": "repository/readme.md",
    "CONTRIBUTING.md": "repository/contributing.md",
    "CHANGELOG.md": "repository/changelog.md",
    "data_prep/corpora/README.md": "repository/a_new_corpus.md",
    **{f"models/{path.parent.name}/README.md": f"repository/{path.parent.name}.md" for path in sorted(ROOT.glob("models/*/README.md"))},
}
# Title -> modules of the Python reference.
REFERENCE = {
    "Runs and models": ("avemo_jax.api", "avemo_jax.model", "avemo_jax.sklearn_estimator"),
    "Results": ("avemo_jax.evaluation.results", "avemo_jax.evaluation.metrics", "avemo_jax.evaluation.statistics"),
    "Corpora and folds": ("avemo_jax.clips", "avemo_jax.protocols.folds", "avemo_jax.protocols.named"),
}
_LINK = re.compile(r"(?<!\!)\[([^\]]+)\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| (?:\*\*(?P<section>[^*]+)\*\*|\[(?P<title>[^\]]+)\]\((?P<page>[^)]+)\)(?P<rest>.*)) \|")


def on_config(config: Any) -> Any:
    """Take the sections of docs/README.md as those of the site; pages that its rows name beside come under the row's page."""
    nav: list[dict[str, Any]] = [{"Contents": "README.md"}, {"Readme": OUTSIDE["README.md"]}]
    for line in (DOCS / "README.md").read_text(encoding="utf-8").splitlines():
        if not (row := _ROW.match(line)):
            continue
        if row["section"]:
            nav.append({row["section"]: []})
            continue
        pages = [(row["title"], row["page"]), *_LINK.findall(row["rest"])]
        nav[-1][next(iter(nav[-1]))] += [{title: _in_site(page, DOCS)} for title, page in pages]
    systems = [f"systems/{path.name}" for path in sorted((DOCS / "systems").glob("*.md")) if path.name != "README.md"]
    nav += [{"Systems": systems}, {"Python reference": [{title: _reference_page(title)} for title in REFERENCE]}]
    cards = [place for path, place in OUTSIDE.items() if path.startswith("models/")]
    nav += [{"Model cards": cards}, {"Changes": OUTSIDE["CHANGELOG.md"]}]
    config.nav = nav
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside of docs/, the tutorials and the reference."""
    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, content=(ROOT / path).read_text(encoding="utf-8")))
    for title, modules in REFERENCE.items():
        content = f"# {title}\n\n" + "\n\n".join(f"::: {module}\n    options:\n      heading_level: 2" for module in modules) + "\n"
        files.append(File.generated(config, _reference_page(title), content=content))
    for path in tutorials.NOTEBOOKS.glob("*.ipynb"):
        content, pictures = tutorials.page_of(path.stem)
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=content))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links of the repository into links of the site."""
    place = page.file.src_uri
    if place.startswith("reference/"):
        return markdown
    folder = next((ROOT / path for path, own in OUTSIDE.items() if own == place), DOCS / place).parent

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        found = _in_site(path, folder)
        if found is None:
            return text if text.startswith("`") else f"`{text}`"
        return f"[{text}]({_relative(found, place)}{hash_sign}{anchor})"

    def image(match: re.Match[str]) -> str:
        found = _in_site(match[2], folder)
        return f"![{match[1]}]({_relative(found, place)})" if found else match[0]

    return _IMAGE.sub(image, _LINK.sub(link, markdown))


def _in_site(path: str, folder: Path) -> str | None:
    """Return the place in the site of a file that a page in `folder` links to; None for a source file. A file that is missing is kept."""
    target = Path(os.path.normpath(folder / path))
    if target.is_relative_to(tutorials.NOTEBOOKS) and target.suffix == ".ipynb":
        return target.with_suffix(".md").relative_to(DOCS).as_posix()
    if target.is_relative_to(DOCS):
        return (target / "README.md" if target.is_dir() else target).relative_to(DOCS).as_posix()
    if not target.exists():
        return path  # MkDocs reports it
    return OUTSIDE.get(target.relative_to(ROOT).as_posix())


def _relative(target: str, place: str) -> str:
    return PurePosixPath(os.path.relpath(target, PurePosixPath(place).parent)).as_posix()


def _reference_page(title: str) -> str:
    return f"reference/{title.lower().replace(' ', '_')}.md"
