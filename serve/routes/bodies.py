"""JSON bodies of routes that want a key: read and checked once that is known to be good, and off the event loop.

A pydantic parameter would be read, parsed and checked before anybody is asked for a key.
"""

from typing import Any, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError

from serve.problems import FaultsError, MediaTypeError, faults_of

Body = TypeVar("Body", bound=BaseModel)
JSON = "application/json"


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What /openapi.json says of a route with such a body."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": model.model_json_schema()}}}}


async def received(request: Request, model: type[Body]) -> Body:
    """The body. Raises MediaTypeError for one of another type, FaultsError for one with faults."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise MediaTypeError(
            f"a body of type {kind[:60] or 'none given'} is not read here; accepted: {JSON}", {"Accept-Post": JSON}
        )
    return await run_in_threadpool(_checked, await request.body(), model)


def _checked(content: bytes, model: type[Body]) -> Body:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise FaultsError(faults_of(error.errors(include_url=False, include_input=False))) from None
