"""Query parameters that a route does not know are refused: a misspelt one would be answered as if it were not there."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from serve.problems import FaultsError

SHOWN = 60
"""Letters of a name that are repeated."""


class Known(NamedTuple):
    """What a route takes."""

    declared: frozenset[str]
    """Names of its query parameters."""
    options: frozenset[str]
    """Names of those that stand in for a body which is a list (see `serve.routes.examples`)."""


_known: dict[tuple[str, Callable[..., Any]], Known] = {}
"""By path and function: routes never change, and walking through one takes longer than looking its request up."""


async def check_parameters(request: Request) -> None:
    """Raise FaultsError with all query parameters that the request's route does not take.

    Every route comes by: those with a key once that is known to be good, in `serve.routes.common.allowed`.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    accepted, options = known(route)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/csv":
        accepted |= options
    unknown = [name for name in dict.fromkeys(request.query_params.keys()) if name not in accepted]
    if not unknown:
        return
    told = f"accepted: {', '.join(sorted(accepted))}" if accepted else "this route takes none"
    body = "belongs into the body, unless that is text/csv"
    raise FaultsError(
        [f"query.{name[:SHOWN]}: {body if name in options else 'unknown parameter'}; {told}" for name in unknown]
    )


def known(route: APIRoute) -> Known:
    """What a route takes, found out once."""
    place = route.path, route.endpoint
    found = _known.get(place)
    if found is None:
        found = _known[place] = Known(frozenset(_declared(route.dependant)), _options(route))
    return found


def _declared(dependant: Dependant) -> set[str]:
    """Names of the query parameters of a function and of what it depends on."""
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_declared, dependant.dependencies))


def _options(route: APIRoute) -> frozenset[str]:
    listed = (route.openapi_extra or {}).get("parameters", ())
    return frozenset(parameter["name"] for parameter in listed if parameter["in"] == "query")
