"""The terminal shows every text in every encoding, and no name can steer it."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from avemo_jax.terminal import PlainFormatter, PlainOutput, as_plain, set_up_output

NASTY = [
    ("\x1b[2J\x1b[31mred.wav", "\\x1b[2J\\x1b[31mred.wav"),
    ("a\rb", "a\\x0db"),
    ("\x9b31m", "\\x9b31m"),
    ("\x07bell\x7f", "\\x07bell\\x7f"),
    ("gnp.\u202eexe", "gnp.\\u202eexe"),
    ("tab\tand\nline", "tab\tand\nline"),
    ("Ärger ± 日本", "Ärger ± 日本"),
]


@pytest.mark.parametrize(("text", "expected"), NASTY)
def test_control_characters_are_text(text, expected):
    assert as_plain(text) == expected
    record = logging.LogRecord("avemo_jax", logging.INFO, "", 0, "clip %s", (text,), None)
    assert PlainFormatter("%(message)s").format(record) == f"clip {expected}"
    written = io.BytesIO()
    stream = PlainOutput(written, encoding="utf-8", newline="\n")
    print(text, file=stream, flush=True)
    assert written.getvalue().decode() == f"{expected}\n"


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("ascii", "59.1 ± 0.8 …", b"59.1 +/- 0.8 ..."),
        ("latin-1", "59.1 ± 0.8, κ", b"59.1 \xb1 0.8, kappa"),
        ("ascii", "日本.wav", b"\\u65e5\\u672c.wav"),
        ("utf-8", "not utf-8: \udce4.wav", b"not utf-8: \\udce4.wav"),
        ("cp1252", "é ≥ 3", b"\xe9 \\u2265 3"),
    ],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_every_encoding_takes_every_character(encoding, text, expected, name, monkeypatch):
    written = {one: io.BytesIO() for one in ("stdout", "stderr")}
    for one, content in written.items():
        monkeypatch.setattr(sys, one, io.TextIOWrapper(content, encoding=encoding, newline="\n"))
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    set_up_output()
    stream = getattr(sys, name)
    stream.write(text)
    stream.flush()
    assert written[name].getvalue() == expected
