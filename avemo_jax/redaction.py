"""Hide the passwords of database addresses in everything that is written or printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
# Up to the last @, because a password may contain an unescaped @, / or quote. SQLAlchemy's own redaction ends at the first @, and that of
# urllib at the first /, so either shows the rest of such a password.
_IN_ADDRESS = re.compile(r"(\w+://[^\s/:@]*:)\S+(?=@)")
_IN_QUERY = re.compile(r"([?&](?:password|passwd|sslpassword)=)[^&\s]+", re.IGNORECASE)
# The same where the whole text is an address: blanks belong to the password too.
_WHOLE_ADDRESS = re.compile(r"^(\w[\w+.-]*://[^\s/:@]*:).+(?=@)", re.DOTALL)
_WHOLE_QUERY = re.compile(r"(?<=[?&])((?:password|passwd|sslpassword)=)[^&]+", re.IGNORECASE | re.DOTALL)
_IS_ADDRESS = re.compile(r"\w[\w+.-]*://")


def redacted(text: str) -> str:
    """Return the text with *** in place of the password of every address: postgresql://name:***@host/database."""
    return _IN_QUERY.sub(rf"\g<1>{HIDDEN}", _IN_ADDRESS.sub(rf"\g<1>{HIDDEN}", text))


def redacted_address(text: str) -> str:
    """Return a text that is one address, and nothing else, with *** in place of its password, which may contain blanks."""
    return _WHOLE_QUERY.sub(rf"\g<1>{HIDDEN}", _WHOLE_ADDRESS.sub(rf"\g<1>{HIDDEN}", text))


def redacted_tree(tree: Any) -> Any:
    """Return nested mappings and sequences with every string `redacted`; a string that begins as an address is one."""
    if isinstance(tree, str):
        return redacted_address(tree) if _IS_ADDRESS.match(tree) else redacted(tree)
    if isinstance(tree, Mapping):
        return {name: redacted_tree(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(redacted_tree(value) for value in tree)
    return tree
