"""Where the real development data lies, for the tests that want it."""

from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """Path below ../shared/data, or skip the calling test where that folder is absent."""
    path = _ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the development data in ../shared/data ({'/'.join(parts)} is absent)")
    return path
