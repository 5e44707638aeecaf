"""SIGKILL at random moments does not change the results. `python tests/support/kills.py 20` tests more moments and prints them."""

from __future__ import annotations

import os

import pytest
from kills import kills

pytestmark = pytest.mark.slow


def test_a_killed_run_has_the_results_of_an_uninterrupted_one(tmp_path):
    kills(tmp_path, int(os.environ.get("NUM_KILLS", "2")))
