"""The tutorials of docs/tutorials, executed: notebooks with their outputs in build/tutorials, and as pages for the site.

    python docs/site/tutorials.py [NAME ...]

The notebooks of the repository have no outputs, so that none is stale. nbclient executes them and nbconvert makes pages of them; both come
with docs/site/requirements.txt. hooks.py puts into the site what lies in build/tutorials, and else the notebooks without outputs.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "tutorials"
EXECUTED = ROOT / "build" / "tutorials"
_TIME_LIMIT_S = 1200  # of a cell


def execute(path: Path, folder: Path = EXECUTED) -> Path:
    """Execute a notebook and return the path of the executed one, NAME.ipynb in the folder.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=_TIME_LIMIT_S, resources={"metadata": {"path": str(path.parent)}}).execute()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / path.name
    nbformat.write(notebook, target)
    return target


def page_of(name: str) -> tuple[str, dict[str, bytes]]:
    """Return a tutorial as Markdown, and name -> content of its pictures; executed if it was."""
    path = EXECUTED / f"{name}.ipynb"
    notebook = nbformat.read(path if path.is_file() else NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:  # progress bars and warnings
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    content, resources = MarkdownExporter().from_notebook_node(notebook, resources={"unique_key": name, "output_files_dir": name})
    # The theme lets plain tables scroll on narrow screens.
    content = re.sub(r"<style scoped>.*?</style>", "", content, flags=re.DOTALL).replace('<table border="1" class="dataframe">', "<table>")
    return content, dict(resources["outputs"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="default: all")
    names = parser.parse_args().names or [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    for name in names:
        begin_s = time.monotonic()
        print(f"{name} ...", flush=True)
        print(f"  {execute(NOTEBOOKS / f'{name}.ipynb').relative_to(ROOT)}, {time.monotonic() - begin_s:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
