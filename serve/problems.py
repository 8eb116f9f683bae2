"""Errors as RFC 9457 problem documents: one shape, whatever went wrong.

    {"type": "urn:kinfolk:problem:not-found", "title": "Not found", "status": 404,
     "detail": "no customer 'x'; ...", "instance": "urn:uuid:..."}

`instance` is the request's id, which the access log and the header X-Request-Id carry too. A validation problem adds
`faults`, one line each. A problem of the service's own (5xx) tells a client nothing of files or code: that is logged.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from configs.errors import InputError, KinfolkError

log = structlog.get_logger("kinfolk.serve")
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:kinfolk:problem:"
FAULTS_SHOWN = 50


class HttpError(KinfolkError):
    """An error that only HTTP knows; `headers` go with the answer."""

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})


class UnauthorizedError(HttpError):
    """No key, or one that is not known."""

    status = 401
    title = "Key needed"


class ForbiddenError(HttpError):
    """The key's role may not do this."""

    status = 403
    title = "Not allowed"


class NotAcceptableError(HttpError):
    """None of the media types asked for can be given."""

    status = 406
    title = "Not acceptable"


class TooLargeError(HttpError):
    """The request's body is over the limit."""

    status = 413
    title = "Body too large"


class MediaTypeError(HttpError):
    """The request's body is of a type that is not read here."""

    status = 415
    title = "Unsupported media type"


class UnavailableError(HttpError):
    """The service cannot answer now, but may soon: no snapshot yet, or too much waiting."""

    status = 503
    title = "Not available now"


class FaultsError(InputError):
    """A request with several faults, each 'where: what is wrong'."""

    title = "Unusable request"

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        count = f"{len(self.faults)} fault" + ("s" if len(self.faults) != 1 else "")
        super().__init__(f"the request has {count}: {'; '.join(self.faults[:3])}")


HIDDEN = {
    500: "the service could not answer; its log has the reason under this instance",
    507: "the service's disk is full, read-only or out of reach; its operator has to see to it, then ask again",
}
"""What a client is told instead of an error's own text, which names files."""


def body(status: int, title: str, detail: str, instance: str, faults: Sequence[str] = ()) -> dict[str, Any]:
    """The members of a problem document."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    members: dict[str, Any] = {
        "type": TYPE_PREFIX + slug,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:uuid:{instance}",
    }
    if faults:
        members["faults"] = list(faults[:FAULTS_SHOWN])
    return members


def answer(
    request_id: str,
    status: int,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    faults: Sequence[str] = (),
) -> JSONResponse:
    """A problem document as a response."""
    content = body(status, title, detail, request_id, faults)
    return JSONResponse(content, status, {**(headers or {}), "Cache-Control": "no-store"}, MEDIA_TYPE)


def of(error: Exception, request_id: str) -> JSONResponse:
    """The response to an error that ended a request; what a client must not read is logged here."""
    if isinstance(error, KinfolkError):
        detail = ". ".join([str(error), *getattr(error, "__notes__", ())])
        # 503 is written for the client; the other 5xx name files of the service
        if error.status >= 500 and not isinstance(error, HttpError):
            log.error("request failed", request=request_id, exc_info=error)
            detail = HIDDEN.get(error.status, HIDDEN[500])
        headers = error.headers if isinstance(error, HttpError) else {}
        faults = getattr(error, "faults", ())
        return answer(request_id, error.status, error.title, detail, headers, faults)
    if isinstance(error, RequestValidationError):
        return of(FaultsError(faults_of(error.errors())), request_id)
    if isinstance(error, HTTPException):
        return answer(request_id, error.status_code, *_words(error), dict(error.headers or {}))
    log.error("request crashed", request=request_id, exc_info=error)
    return answer(request_id, 500, KinfolkError.title, HIDDEN[500])


def faults_of(errors: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each fault that pydantic found: where, what is wrong. Values are not repeated: they may be ids."""
    lines = []
    for item in errors:
        where = ".".join(str(part) for part in item["loc"] if part != "body") or "body"
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "missing":
            message = "missing, must be given"
        else:
            message = str(item["msg"]).removeprefix("Value error, ")
        lines.append(f"{where}: {message}")
    return lines


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    async def handler(request: Request, error: Exception) -> JSONResponse:
        return of(error, request.scope["state"]["request_id"])

    for kind in (KinfolkError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handler)


def _words(error: HTTPException) -> tuple[str, str]:
    """Title and detail for an error that the framework raised."""
    if error.status_code == 404:
        return "No such route", "there is nothing at this path; GET /openapi.json lists what there is"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return "Method not allowed", f"this path does not take that method; it takes: {allowed or 'see /openapi.json'}"
    return HTTPStatus(error.status_code).phrase.capitalize(), str(error.detail)
