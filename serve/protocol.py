"""HTTP as uvicorn reads it with httptools, which itself would keep a request's head however long it gets."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1 << 16
"""Bytes of a request line and headers up to which a request is read on; nobody has been asked for a key by then."""


class LimitedHead(HttpToolsProtocol):
    """Refuses requests whose head does not end."""

    _head: int | None = 0
    """Bytes of the head so far; None while a body comes."""

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read some bytes; 400 and the end of the connection where a head gets too long."""
        super().data_received(data)
        if self._head is None or self.transport.is_closing():
            return
        self._head += len(data)
        if self._head > MOST_HEAD_BYTES:
            self.send_400_response("Request line and headers are too long.")
