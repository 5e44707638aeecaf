"""A page read back: its tags and the text that is seen."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects tags with their attributes, and the text that is seen."""

    VOID = ("meta", "link", "img", "col", "br", "wbr", "input")

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.seen.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.seen))

    def check_needs_nothing_else(self) -> None:
        """No script, and nothing that lies elsewhere; a policy that would refuse both."""
        addresses = [
            value for _, attributes in self.tags for name, value in attributes.items() if name in ("src", "href", "data", "action")
        ]
        assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
        assert not {tag for tag, _ in self.tags} & {"script", "iframe", "object", "embed"}
        assert not re.search(r"url\((?!#)", str(self.tags))
        policy = next(attributes["content"] for tag, attributes in self.tags if attributes.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'")
        assert "style-src 'unsafe-inline'" in policy  # charts and shares are coloured by style attributes
