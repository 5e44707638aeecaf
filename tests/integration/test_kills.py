"""SIGKILL at random moments does not change the results. `python tests/support/kills.py 20` tests more moments and prints them."""

from __future__ import annotations

import os

import pytest
from kills import kills

# Kills between epochs and programs are tested in every run of the gate (tests/experiment/test_stages.py, tests/integration/test_demo.py).
pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_a_killed_run_has_the_results_of_an_uninterrupted_one(tmp_path):
    kills(tmp_path, int(os.environ.get("NUM_KILLS", "2")))
