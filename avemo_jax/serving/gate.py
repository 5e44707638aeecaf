"""The gate of a local server: requests that another page of the browser makes, or sends by a name of its own, are refused.

A page of the internet can send requests to a server of this machine (cross-site request forgery), and a name that its owner points to
127.0.0.1 (DNS rebinding) would even let it read the answers. Browsers say both: `Origin` names the page, `Host` the name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Cache-Control": "no-store",
}


class Gate:
    """ASGI middleware that passes on what this server's own page asks, and adds headers of safety to each answer.

    Args:
      app: the application.
      host: name or address that the server was given; addresses and "localhost" are accepted besides, since no other page has them as its
        name.
    """

    def __init__(self, app: App, *, host: str):
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif reason := self.refusal({name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}):
            await _refuse(scope, receive, send, reason)
        else:
            await self._app(scope, receive, _with_headers(send))

    def refusal(self, headers: MutableMapping[str, str]) -> str:
        """Return why a request with these headers (names in lower case) is refused, as a sentence, or ""."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return "This server answers only to its own name; open the address that it printed."
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return "Another page asked for this; the server answers only its own page."
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            return "Another page asked for this; the server answers only its own page."
        return ""

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in ("localhost", self._host.lower()) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    send = _with_headers(send)
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain; charset=utf-8")]})
    await send({"type": "http.response.body", "body": reason.encode()})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.lower().encode() not in given]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await send(message)

    return sending
