"""Tests of readers: a warning that a test does not expect is an error."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def _no_unexpected_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
