"""What a request must have to be answered, on a machine that others use as well.

A page of another site, open in the same browser, can send requests to this machine, and by a name
of its own that leads here (DNS rebinding) even read the answers. So the path begins with a random
token, the Host must be a name of this server, and an Origin must be this server's own. Answers
load nothing from elsewhere and stand in no frame. What changes something must be allowed, say its
Origin, and be JSON, which no form of another site can send.
"""

import hmac
import secrets
import socket
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANY = ("0.0.0.0", "::")  # addresses that stand for all of a machine's
MOST_TARGET_BYTES = 2_000
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
}


def new_token() -> str:
    """256 random bits, as they may stand in an address."""
    return secrets.token_urlsafe(32)


def host_names(host: str) -> frozenset[str]:
    """The names by which a server that listens at ``host`` is asked."""
    own = {host.lower(), f"[{host.lower()}]"}
    if host in ANY:
        name = socket.gethostname()
        own |= {name.lower(), socket.getfqdn().lower(), *_addresses(name)}
    return frozenset({*LOOPBACK, *own})


def _addresses(name: str) -> Iterable[str]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        return []
    return [address if "." in address else f"[{address}]" for address in found]


class Guard:
    """Answers 403 to what has not the token, the Host and the Origin of this server; else asks on.

    The token is taken from the path before anything else sees it. control: whether anything may be
    changed.
    """

    def __init__(
        self, app: ASGIApp, token: str, names: frozenset[str], *, control: bool = False
    ) -> None:
        self._app, self._token, self._names = app, token.encode(), names
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no other protocol is spoken
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _dressed(message.get("headers", []))
            await send(message)

        trouble, rest = self._judge(scope)
        if trouble:
            await PlainTextResponse(f"{trouble}\n", 403)(scope, receive, guarded)
            return
        inner: MutableMapping[str, Any] = {**scope, "path": rest, "raw_path": rest.encode()}
        await self._app(inner, receive, guarded)

    def _judge(self, scope: Scope) -> tuple[str, str]:
        """Why a request is refused, "" where it is not, and its path after the token."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        if _without_port(host) not in self._names:
            return "This name is none of this server's.", ""
        origins = headers.get(b"origin", [])
        own = f"{scope.get('scheme', 'http')}://{host}"
        if any(origin.decode("latin-1").lower() != own for origin in origins):
            return "This request comes from another site.", ""
        if scope["method"] not in ("GET", "HEAD") and (why := self._may_change(scope, headers)):
            return why, ""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(raw) + len(scope.get("query_string", b"")) > MOST_TARGET_BYTES:
            return "This address is too long.", ""
        token, _, rest = raw.removeprefix(b"/").partition(b"/")
        if not hmac.compare_digest(token, self._token):
            return "The address lacks its token: open the one that gridscape live has printed.", ""
        return "", "/" + rest.decode("latin-1")

    def _may_change(self, scope: Scope, headers: Mapping[bytes, list[bytes]]) -> str:
        """Why a request may change nothing, "" where it may."""
        if not self._control or scope["method"] != "POST":
            return "This server only shows: gridscape live --control lets act."
        if len(headers.get(b"origin", [])) != 1:
            return "This request does not say where it comes from."
        if headers.get(b"sec-fetch-site", [b"same-origin"]) != [b"same-origin"]:
            return "This request comes from another site."
        kinds = [kind.split(b";")[0].strip().lower() for kind in headers.get(b"content-type", [])]
        return "" if kinds == [b"application/json"] else "This is no JSON."


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _dressed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer and those that every one has, unless it has its own."""
    kept = [(name.lower(), value) for name, value in headers]
    known = {name for name, _ in kept}
    further = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in known]
    return [*kept, *further]
