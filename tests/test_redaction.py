"""Passwords are hidden in every form of a database address."""

import pytest

from avemo_jax.redaction import redacted, redacted_tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg://me:s3cret@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:a@b:c@host/db", "postgresql://me:***@host/db"),  # an unescaped @ in the password
        ("postgresql://me:a/b?c@host/db and x://u:p@h", "postgresql://me:***@host/db and x://u:***@h"),
        ("postgresql+psycopg://me@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("postgresql+psycopg://me@host/db?password=s3cret&sslmode=require", "postgresql+psycopg://me@host/db?password=***&sslmode=require"),
        ("--config.search.storage=mysql://u:p@h/d", "--config.search.storage=mysql://u:***@h/d"),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
        ("sqlite:////runs/one/search.db", "sqlite:////runs/one/search.db"),
        ("runs/ravdess:gru", "runs/ravdess:gru"),
    ],
)
def test_only_passwords_are_hidden(text, expected):
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "password", ["s3'cret", 's3"cret', "s3 cret", "s3`cret", "s3@c:r/et", "s3?c#ret", "s3\ncret", "s3%27cret", "s3,cret;", "s3)cret"]
)
@pytest.mark.parametrize("address", ["postgresql://me:{}@host:5432/db", "mysql+pymysql://me:{}@h/d", "postgresql://me@host/db?password={}"])
def test_no_part_of_a_password_stands_in_a_stored_config(password, address):
    stored = redacted_tree({"search": {"storage": address.format(password)}})["search"]["storage"]
    assert stored == address.format("***") and "s3" not in stored and "ret" not in stored


@pytest.mark.parametrize("password", ["s3'cret", 's3"cret', "s3@c:r/et"])
def test_no_quote_ends_a_password_in_a_message(password):
    assert redacted(f"cannot reach postgresql://me:{password}@host/db now") == "cannot reach postgresql://me:***@host/db now"


def test_types_in_a_tree_are_unchanged():
    tree = {"a": {"b": "x://u:p@h", "c": 3}, "d": ("x://u:p@h", None), "e": ["plain"]}
    assert redacted_tree(tree) == {"a": {"b": "x://u:***@h", "c": 3}, "d": ("x://u:***@h", None), "e": ["plain"]}
