"""SIGKILL at random moments costs time and nothing else; `python tests/integration/kills.py 20` kills more often and prints each kill."""

from __future__ import annotations

import os

import pytest
from kills import kills

pytestmark = pytest.mark.slow


def test_a_killed_run_ends_as_a_straight_one(tmp_path):
    kills(tmp_path, int(os.environ.get("NUM_KILLS", "2")))
