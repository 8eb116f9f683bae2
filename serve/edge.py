"""The outermost layer of the service: what happens to every request, whatever route it takes.

It gives a request its id and its one snapshot, keeps bodies within the limit, answers errors that nobody else
caught, adds headers, turns a still valid copy into 304, and counts, times and logs what was done.
"""

import time
import uuid
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve import problems
from serve.config import MEGABYTE
from serve.service import Service

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
log = structlog.get_logger("kinfolk.serve")
NO_ROUTE = "(none)"
QUIET = {"/livez", "/readyz", "/metrics"}
"""Routes that machines ask all day: counted, not logged."""


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self.service)
        try:
            await self._serve(exchange)
        finally:
            self._account(exchange)

    async def _serve(self, exchange: "Exchange") -> None:
        scope = exchange.scope
        try:
            exchange.refuse_large_body()
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            response = problems.of(error, exchange.request_id)
            if exchange.status is not None:
                # the head is out already: cut the connection, so that nobody takes half an answer for a whole one
                raise
            await response(scope, exchange.receive, exchange.send)

    def _account(self, exchange: "Exchange") -> None:
        scope, seconds = exchange.scope, time.perf_counter() - exchange.started
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        # 499: the client went away before it was answered
        status = exchange.status or 499
        self.service.metrics.request(method, route, status, seconds)
        if route not in QUIET or status >= 400:
            log.info(
                "request",
                request=exchange.request_id,
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
                bytes=exchange.sent,
                key=exchange.state.get("key_name"),
            )


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self.started = time.perf_counter()
        self.request_id = str(uuid.uuid4())
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.state.update(request_id=self.request_id, snapshot=service.live.snapshot)
        # routes see the path as it was sent, so that %2F inside a customer id does not split it
        scope["path"] = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        self.scope = scope
        self.headers = Headers(scope=scope)
        self.limit = service.config.max_body_bytes
        self.received, self.sent = 0, 0
        self.status: int | None = None
        self._receive, self._send = receive, send
        self._unchanged = False

    def refuse_large_body(self) -> None:
        """Raise TooLargeError where the request announces a body over the limit."""
        announced = self.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self.limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next piece of the request; TooLargeError once more than the limit has come."""
        message = await self._receive()
        self.received += len(message.get("body", b""))
        if self.received > self.limit:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass a piece of the answer on, with our headers; only the head where the client's copy is still valid."""
        if message["type"] == "http.response.start":
            self._head(message)
        elif message["type"] == "http.response.body":
            if self._unchanged:
                if message.get("more_body"):
                    return
                message = {"type": "http.response.body", "body": b""}
            self.sent += len(message.get("body", b""))
        await self._send(message)

    def _head(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers["X-Request-Id"] = self.request_id
        headers.setdefault("Cache-Control", "private, no-cache" if "etag" in headers else "no-store")
        snapshot = self.state["snapshot"]
        if snapshot is not None and message["status"] != 401:
            headers.setdefault("Kinfolk-Snapshot", snapshot.name)
        self._unchanged = message["status"] == 200 and self._has(headers.get("etag"))
        if self._unchanged:
            message["status"] = 304
            for name in ("content-length", "content-type", "content-disposition"):
                if name in headers:
                    del headers[name]
        self.status = int(message["status"])

    def _has(self, etag: str | None) -> bool:
        """Whether the client says that it has this very representation (RFC 9110, 13.1.2: weak comparison)."""
        if etag is None or self.scope["method"] not in ("GET", "HEAD"):
            return False
        known = [tag.strip().removeprefix("W/") for tag in self.headers.get("if-none-match", "").split(",")]
        return "*" in known or etag.removeprefix("W/") in known

    def _too_large(self) -> problems.TooLargeError:
        limit = f"{self.limit / MEGABYTE:.4g} MiB"
        return problems.TooLargeError(
            f"the body is over {limit}; send fewer customers, or let the operator raise `max_body_mb`",
            {"Connection": "close"},
        )
