"""The HTTP service as an ASGI application. Serving never trains: neither Lightning nor torch is loaded here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from serve import problems
from serve.catalogues import open_catalogue
from serve.config import ServeConfig
from serve.edge import Edge
from serve.follower import Follower
from serve.routes import audiences, customers, health, moves, nights, objections, pictures, saved, segments
from serve.schemas import Problem
from serve.service import Service
from store.catalogue import Catalogue
from store.workspace import Workspace

DESCRIPTION = """Similar customers, lookalike audiences and behavioural segments from the served snapshot.

Send a key as `Authorization: Bearer kf_...`. Errors are problem documents (RFC 9457). Each answer names the snapshot
it came from in the header `Kinfolk-Snapshot`."""


def create_app(
    workspace: Workspace,
    config: ServeConfig | None = None,
    catalogue: Catalogue | None = None,
    follower: Follower | None = None,
) -> FastAPI:
    """The application over a workspace; `app.state.service` is its Service.

    Loads the published snapshot, if there is one, and watches for the next while the application runs (its lifespan),
    in an object store too where there is a `follower`.
    Raises ArtifactError where the published snapshot or the catalogue is damaged.
    """
    service = Service(workspace, config or ServeConfig(), catalogue or open_catalogue(workspace), follower)
    try:
        service.live.open()
    except BaseException:
        service.close()
        raise
    app = FastAPI(
        title="kinfolk",
        version="1",
        description=DESCRIPTION,
        # the documentation pages load scripts from the Internet: /openapi.json can be opened in any local viewer
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        responses={"default": {"model": Problem, "description": "Problem (RFC 9457)"}},
    )
    app.state.service = service
    problems.install(app)
    # moves and pictures before segments: the first path that fits takes a request, and /{segment} fits all of theirs
    for routes in (health, customers, moves, pictures, segments, audiences, saved, objections, nights):
        app.include_router(routes.router)
    app.add_middleware(Edge, service=service)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.start()
    try:
        yield
    finally:
        service.close()
