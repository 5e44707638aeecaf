"""Passwords never reach a file: whatever the address looks like."""

import pytest

from avemo_jax.redaction import redacted, redacted_tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg://me:s3cret@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:a@b:c@host/db", "postgresql://me:***@host/db"),  # unescaped, and hidden all the same
        ("postgresql://me:a/b?c@host/db and x://u:p@h", "postgresql://me:***@host/db and x://u:***@h"),
        ("postgresql+psycopg://me@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("postgresql+psycopg://me@host/db?password=s3cret&sslmode=require", "postgresql+psycopg://me@host/db?password=***&sslmode=require"),
        ("--config.search.storage=mysql://u:p@h/d", "--config.search.storage=mysql://u:***@h/d"),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
        ("sqlite:////runs/one/search.db", "sqlite:////runs/one/search.db"),
        ("runs/ravdess:gru", "runs/ravdess:gru"),
    ],
)
def test_a_password_is_hidden_and_nothing_else(text, expected):
    assert redacted(text) == expected


def test_a_tree_keeps_its_types():
    tree = {"a": {"b": "x://u:p@h", "c": 3}, "d": ("x://u:p@h", None), "e": ["plain"]}
    assert redacted_tree(tree) == {"a": {"b": "x://u:***@h", "c": 3}, "d": ("x://u:***@h", None), "e": ["plain"]}
