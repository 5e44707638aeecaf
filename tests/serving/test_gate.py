"""Requests of other pages, and requests by another name, are refused."""

from __future__ import annotations

import pytest

from avemo_jax.serving.gate import Gate


@pytest.mark.parametrize(
    ("headers", "is_passed"),
    [
        ({"host": "127.0.0.1:8600"}, True),
        ({"host": "localhost:8600", "origin": "http://localhost:8600"}, True),
        ({"host": "[::1]:8600", "origin": "http://[::1]:8600"}, True),
        ({"host": "lab.example", "origin": "https://lab.example"}, True),  # the host that was given, behind a proxy with https
        ({"host": "rebound.example:8600"}, False),
        ({"host": "127.0.0.1.rebound.example"}, False),
        ({"host": "localhost@rebound.example"}, False),
        ({"host": "[::1"}, False),
        ({}, False),
        ({"host": "127.0.0.1:8600", "origin": "https://elsewhere.example"}, False),
        ({"host": "127.0.0.1:8600", "origin": "http://127.0.0.1:8000"}, False),
        ({"host": "127.0.0.1:8600", "origin": "null"}, False),
        ({"host": "127.0.0.1:8600", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ({"host": "127.0.0.1:8600", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),  # a link to the page
        ({"host": "127.0.0.1:8600", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
    ],
)
def test_only_its_own_page_may_ask(headers, is_passed):
    assert (Gate(lambda *_: None, host="lab.example").refusal(headers) == "") == is_passed
