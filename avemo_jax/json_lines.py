"""Files with one JSON object per line, which a run appends to; the last line may be incomplete after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON-lines file, without an incomplete last line.

    Raises:
      ValueError: a line other than the last is not JSON.
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
