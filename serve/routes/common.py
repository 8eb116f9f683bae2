"""What the routes share: the caller's key, the request's snapshot, ids in paths, cursors and tags of copies.

Dependencies are `async` although they wait for nothing: each plain one would cost a hop to another thread.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Path, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader, HTTPBearer

from serve.auth import Key, Right, require, secret_of, unknown
from serve.parameters import check_parameters
from serve.problems import FaultsError, UnavailableError
from serve.service import Service
from serve.snapshot import Snapshot

WRITING = (Right.CREATE, Right.CONSENT)
# these two only describe the ways to send a key in /openapi.json; serve.auth reads and checks it
BEARER = HTTPBearer(auto_error=False, description="`Authorization: Bearer kf_...`")
HEADER = APIKeyHeader(name="X-API-Key", auto_error=False)


async def service_of(request: Request) -> Service:
    """The service that answers."""
    service: Service = request.app.state.service
    return service


def needs(right: Right) -> Callable[..., Awaitable[Key]]:
    """A dependency: the caller's key, which must carry `right`."""

    async def caller(
        request: Request, bearer: Annotated[Any, Security(BEARER)], header: Annotated[Any, Security(HEADER)]
    ) -> Key:
        return await allowed(request, right)

    return caller


async def allowed(request: Request, right: Right) -> Key:
    """The caller's key. Raises UnauthorizedError without a known one, ForbiddenError where it lacks `right`."""
    service, secret = await service_of(request), secret_of(request)
    keys = service.keys
    key = keys.remembered(secret) or await run_in_threadpool(keys.find, secret)
    if key is None:
        raise unknown()
    request.scope["state"]["key_name"] = key.name
    require(key, right)
    await check_parameters(request)
    if right in WRITING and request.method != "GET":
        service.catalogue.check_writable()  # before the work, not after it
    return key


async def snapshot_of(request: Request) -> Snapshot:
    """The one snapshot that this request is answered from."""
    snapshot: Snapshot | None = request.scope["state"]["snapshot"]
    if snapshot is None:
        raise UnavailableError("no snapshot is published yet; `kinfolk run` publishes one", {"Retry-After": "30"})
    return snapshot


async def customer_in_path(
    customer: Annotated[
        str,
        Path(description="Customer id as in the source, percent-encoded: `a/b` is sent as `a%2Fb`.", examples=["1041"]),
    ],
) -> str:
    """A customer id from the path, whose segments arrive as they were sent (see serve.edge)."""
    try:
        return unquote(customer, errors="strict")
    except UnicodeDecodeError:
        raise FaultsError(["customer: not UTF-8; percent-encode the id's UTF-8 bytes"]) from None


Services = Annotated[Service, Depends(service_of)]
Reader = Annotated[Key, Depends(needs(Right.READ))]
MembersReader = Annotated[Key, Depends(needs(Right.MEMBERS))]
ConsentKeeper = Annotated[Key, Depends(needs(Right.CONSENT))]
Creator = Annotated[Key, Depends(needs(Right.CREATE))]
Served = Annotated[Snapshot, Depends(snapshot_of)]
CustomerText = Annotated[str, Depends(customer_in_path)]


def tag(response: Response, *parts: str) -> None:
    """Say which version of the resource this is; a client that has it is answered 304 (see serve.edge)."""
    response.headers["ETag"] = '"' + ".".join(parts) + '"'


def encode_cursor(*values: int | str) -> str:
    """An opaque cursor: where the next page goes on."""
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[Any]:
    """The values of a cursor. Raises FaultsError where it is not one of ours."""
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(types):
        raise FaultsError(["cursor: not one that a page before gave; leave it out to begin with the first page"])
    return values
