"""Runs the HTTP service: one process, uvicorn, stopped gently by SIGTERM or Ctrl-C."""

import gc
import ipaddress
import logging
import socket
import sys
from contextlib import suppress
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL
from pathlib import Path

import structlog
import uvicorn

from configs.errors import ConflictError, InputError
from serve.app import create_app
from serve.config import ServeConfig
from serve.follower import READ_ONLY, Follower
from serve.protocol import LimitedHead
from store.catalogue import Catalogue
from store.log import configure
from store.remote import RemoteWorkspace
from store.workspace import Workspace

log = structlog.get_logger("kinfolk.serve")
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter from the others; with Python's own 5 ms a search holds up answers."""


def serve(
    workspace: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    config: ServeConfig | None = None,
    catalogue: str | None = None,
    remote: RemoteWorkspace | None = None,
) -> None:
    """Serve the workspace until stopped; port 0 takes a free one. `catalogue`: path or URL, the configured one if None.

    Where the workspace is the mirror of a `remote` one, that is followed; without a `catalogue` it is read-only then.
    Without a published snapshot it starts all the same, answers 503 and picks up the first one. Requests in flight
    are finished on SIGTERM or Ctrl-C, within `shutdown_seconds`.

    Raises NotFoundError (no workspace), ArtifactError (damaged snapshot), ConflictError (port in use), InputError
    (no such address).
    """
    config, opened = config or ServeConfig(), Workspace.open(workspace)
    configure(json_lines=True)
    sys.setswitchinterval(SWITCH_SECONDS)
    # uvicorn's own words go to the same log, without its chat
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with listen(host, port) as listener:
        follower = None if remote is None else Follower(remote, config.store_poll_seconds)
        app = create_app(opened, config, _catalogue(opened, catalogue, remote), follower)
        address, taken = listener.getsockname()[:2]
        log.info("listening", url=url(address, taken))
        if not ipaddress.ip_address(address).is_loopback:
            log.warning("reachable from other machines without TLS: put a TLS proxy in front", address=address)
        settings = uvicorn.Config(
            app,
            loop="uvloop",
            http=LimitedHead,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=config.shutdown_seconds,
        )
        # what is there now stays: to look through all of it for garbage stopped every request for a tenth of a second
        gc.collect()
        gc.freeze()
        # uvicorn shuts down gently on Ctrl-C and hands the signal on afterwards: there is nothing left to abort
        with suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[listener])
        log.info("stopped")


def _catalogue(workspace: Workspace, where: str | None, remote: RemoteWorkspace | None) -> Catalogue | None:
    """The catalogue to use; None: the configured one."""
    if where is None and remote is not None:
        return Catalogue(workspace.catalogue, read_only=READ_ONLY)
    return Catalogue(where) if where else None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConflictError where the port is taken, InputError where there is no such address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"{host}: no such address; 127.0.0.1 is this machine only, 0.0.0.0 every network") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        if error.errno == EADDRINUSE:
            raise ConflictError(f"port {port} of {host} is in use; stop what uses it, or choose another port") from None
        if error.errno == EADDRNOTAVAIL:
            raise InputError(f"{host}: not an address of this machine; 127.0.0.1 always is one") from None
        if error.errno == EACCES:
            raise InputError(f"port {port} may not be used without privileges; choose one above 1023") from None
        raise
    return listener


def url(host: str, port: int) -> str:
    """The address to open."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
