"""Hide the passwords of database addresses in everything that is written or printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
# Up to the last @, because a password may contain an unescaped @ or /.
_IN_ADDRESS = re.compile(r"(\w+://[^\s/:@]*:)[^\s'\"]+(?=@)")
_IN_QUERY = re.compile(r"([?&](?:password|passwd|sslpassword)=)[^&\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return the text with *** in place of the password of every address: postgresql://name:***@host/database."""
    return _IN_QUERY.sub(rf"\g<1>{HIDDEN}", _IN_ADDRESS.sub(rf"\g<1>{HIDDEN}", text))


def redacted_tree(tree: Any) -> Any:
    """Return nested mappings and sequences with every string `redacted`."""
    if isinstance(tree, str):
        return redacted(tree)
    if isinstance(tree, Mapping):
        return {name: redacted_tree(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(redacted_tree(value) for value in tree)
    return tree
