"""A receiver of webhooks on this machine, for tests: it answers as it is told, and keeps what it was sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)["events"]
        return found


Answer = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """`answers` are given one after the other, then 200s."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    """Called before each answer."""
    port: int = 0
    drip: threading.Event | None = None
    """Where given, the first bytes of an answer come one by one until it is set."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/a-secret-path"

    @property
    def taken(self) -> list[str]:
        """Ids of the events of all requests, as they came."""
        return [event["id"] for request in self.requests for event in request.events]


@contextmanager
def receiving(*answers: Answer) -> Iterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(self.path, headers, body))
            receiver.before()
            try:
                while receiver.drip is not None and not receiver.drip.wait(0.05):
                    self.wfile.write(b"HTTP/1.1 200 OK"[:1])
                    self.wfile.flush()
                status, more = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                self.close_connection = True  # the sender gave up

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
