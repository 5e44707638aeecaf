"""Passwords in addresses of databases: they are used and never written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
# Up to the last @: a password may hold one, and a slash, unescaped.
_IN_ADDRESS = re.compile(r"(\w+://[^\s/:@]*:)[^\s'\"]+(?=@)")
_IN_QUERY = re.compile(r"([?&](?:password|passwd|sslpassword)=)[^&\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with *** for the password of every address in it: postgresql://name:***@host/database."""
    return _IN_QUERY.sub(rf"\g<1>{HIDDEN}", _IN_ADDRESS.sub(rf"\g<1>{HIDDEN}", text))


def redacted_tree(tree: Any) -> Any:
    """Nested mappings and sequences with every text `redacted`."""
    if isinstance(tree, str):
        return redacted(tree)
    if isinstance(tree, Mapping):
        return {name: redacted_tree(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(redacted_tree(value) for value in tree)
    return tree
