"""Routes that draw: the map of everybody, the flow between two snapshots, profile cards, under the names in force."""

from functools import partial

from fastapi import APIRouter, Response

from serve.pictures import draw_comparison, draw_map, draw_profile
from serve.routes.common import Reader, Served, Services, tag
from serve.routes.examples import picture_of
from serve.routes.moves import From, To, compared
from serve.service import Service
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/segments", tags=["segments"])
PNG, PAGE = "image/png", "text/html; charset=utf-8"
POLICY = {
    # plotly.js stands inside the page, makes code as it goes, and may do so in a place of its own only
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; sandbox allow-scripts; frame-ancestors 'none'"
}

WITHOUT_SCRIPTS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
}


@router.get("/map.png", response_class=Response, responses=picture_of("The map", PNG))
def read_map_picture(key: Reader, service: Services, snapshot: Served) -> Response:
    """The map of everybody as a picture."""
    return _map(service, snapshot, ".png")


@router.get("/map.html", response_class=Response, responses=picture_of("The map", "text/html"))
def read_map_page(key: Reader, service: Services, snapshot: Served) -> Response:
    """The map of everybody as a page to zoom and point in, which works offline. No customer id is in it."""
    return _map(service, snapshot, ".html")


@router.get("/flow.png", response_class=Response, responses=picture_of("The flow", PNG))
def read_flow_picture(
    key: Reader, service: Services, snapshot: Served, earlier: From = None, later: To = None
) -> Response:
    """Where customers went between two snapshots, as a picture."""
    return _flow(service, snapshot, earlier, later, ".png")


@router.get("/flow.html", response_class=Response, responses=picture_of("The flow", "text/html"))
def read_flow_page(
    key: Reader, service: Services, snapshot: Served, earlier: From = None, later: To = None
) -> Response:
    """Where customers went between two snapshots, as a page to point and drag in, which works offline."""
    return _flow(service, snapshot, earlier, later, ".html")


@router.get("/{segment}/card.png", response_class=Response, responses=picture_of("The card", PNG))
def read_card_picture(key: Reader, service: Services, snapshot: Served, segment: int) -> Response:
    """The profile card of a segment as a picture."""
    return _card(service, snapshot, segment, ".png")


@router.get("/{segment}/card.html", response_class=Response, responses=picture_of("The card", "text/html"))
def read_card_page(key: Reader, service: Services, snapshot: Served, segment: int) -> Response:
    """The profile card of a segment as a page without scripts, which works offline. No customer id is in it."""
    return _card(service, snapshot, segment, ".html")


def _map(service: Service, snapshot: Snapshot, suffix: str) -> Response:
    naming = service.named.of(snapshot)
    key = ("map", snapshot.state, *naming.tags)
    content = service.pictures.of(key, suffix, partial(draw_map, snapshot.segments, naming.names))
    return _answer(content, suffix, *key[1:])


def _flow(service: Service, snapshot: Snapshot, earlier: str | None, later: str | None, suffix: str) -> Response:
    found, tags = compared(service, snapshot, earlier, later)
    content = service.pictures.of(("flow", *tags), suffix, partial(draw_comparison, found))
    return _answer(content, suffix, *tags)


def _card(service: Service, snapshot: Snapshot, segment: int, suffix: str) -> Response:
    profile, naming, lineage = snapshot.profile(segment), service.named.of(snapshot), service.lineages.of(snapshot)
    # an earlier snapshot that is pruned is missing in the trend
    tags = (snapshot.state, str(segment), str(len(lineage)), *naming.tags)
    content = service.pictures.of(("card", *tags), suffix, partial(draw_profile, lineage, profile, naming.names))
    return _answer(content, suffix, *tags, policy=WITHOUT_SCRIPTS)


def _answer(content: bytes, suffix: str, *tags: str, policy: dict[str, str] = POLICY) -> Response:
    page = suffix == ".html"
    response = Response(content, media_type=PAGE if page else PNG, headers=policy if page else None)
    tag(response, *tags)
    return response
