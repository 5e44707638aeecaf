"""The notebooks of docs/tutorials hold no outputs, and run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
by_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@by_notebook
def test_a_tutorial_has_no_outputs_and_its_links_lead_somewhere(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 3 and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    targets = [part.partition(")")[0].partition("#")[0] for part in text.split("](")[1:]]
    assert targets and all((path.parent / target).exists() for target in targets), targets


@pytest.mark.slow
@pytest.mark.long
@by_notebook
def test_a_tutorial_runs(path, tmp_path):
    pytest.importorskip("nbclient", reason="nbclient is not installed; it comes with docs/site/requirements.txt")
    pytest.importorskip("nbconvert", reason="nbconvert is not installed; it comes with docs/site/requirements.txt")
    spec = importlib.util.spec_from_file_location("tutorials", ROOT / "docs" / "site" / "tutorials.py")
    assert spec is not None and spec.loader is not None
    tutorials = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tutorials)
    executed = json.loads(tutorials.execute(path, tmp_path).read_text())
    assert any(output["output_type"] != "stream" for cell in executed["cells"] for output in cell.get("outputs", []))
