"""Query parameters that a route does not know are refused: a misspelt one would be answered as if it were not there."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from serve.problems import FaultsError

SHOWN = 60
"""Letters of a name that are repeated."""


async def check_parameters(request: Request) -> None:
    """Raise FaultsError with all query parameters that the request's route does not take.

    Every route comes by: those with a key once that is known to be good, in `serve.routes.common.allowed`.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    accepted, options = _declared(route.dependant), _options(route)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/csv":
        accepted |= options
    told = f"accepted: {', '.join(sorted(accepted))}" if accepted else "this route takes none"
    faults = []
    for name in dict.fromkeys(request.query_params.keys()):
        if name not in accepted:
            why = "belongs into the body, unless that is text/csv" if name in options else "unknown parameter"
            faults.append(f"query.{name[:SHOWN]}: {why}; {told}")
    if faults:
        raise FaultsError(faults)


def _declared(dependant: Dependant) -> set[str]:
    """Names of the query parameters of a function and of what it depends on."""
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_declared, dependant.dependencies))


def _options(route: APIRoute) -> set[str]:
    """Names of those that stand in for a body which is a list (see `serve.routes.examples`)."""
    listed = (route.openapi_extra or {}).get("parameters", ())
    return {parameter["name"] for parameter in listed if parameter["in"] == "query"}
