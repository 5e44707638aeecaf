"""Files of one JSON object per line, which grow while a run goes on and may end torn where it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file; a last line that a killed process left half written is passed over.

    Raises:
      ValueError: another line than the last is not JSON.
    """
    rows = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number + 1 < len(lines):
                raise ValueError(f"{path}, line {number + 1}, is not JSON: {line[:80]!r}") from None
    return rows
