"""Routes about two snapshots compared: how many went from where to where, and who."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from configs.errors import NotFoundError
from serve.lineage import Kept, served_before
from serve.moves import Comparison, checked, facts
from serve.negotiation import choose
from serve.objections import still_exported
from serve.routes.common import MembersReader, Reader, Served, Services, tag
from serve.routes.examples import MOVERS_ANSWER
from serve.routes.lists import headers_of, listed
from serve.segment_schemas import MovesAnswer
from serve.service import Service
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/segments/moves", tags=["segments"])
From = Annotated[
    str | None, Query(alias="from", description="The earlier snapshot; the one served before if left out.")
]
To = Annotated[str | None, Query(alias="to", description="The later snapshot; the one being served if left out.")]
Segment = Annotated[int | None, Query(description="Only customers who left or entered this segment.")]


@router.get("")
def read_moves(
    response: Response,
    key: Reader,
    service: Services,
    snapshot: Served,
    earlier: From = None,
    later: To = None,
    segment: Segment = None,
) -> MovesAnswer:
    """How many customers went from where to where between two snapshots, and what happened to segments.

    Where the two do not belong to one line of snapshots, in which segments keep their ids, `comparable` is false and
    `note` says what the matrix means.
    """
    found, tags = compared(service, snapshot, earlier, later)
    tag(response, *tags)
    return MovesAnswer.model_validate(facts(found, segment))


@router.get("/customers", response_model=None, responses=MOVERS_ANSWER)
def read_movers(
    request: Request,
    key: MembersReader,
    service: Services,
    snapshot: Served,
    earlier: From = None,
    later: To = None,
    segment: Segment = None,
) -> Response:
    """Who moved between two snapshots, from where to where and which behaviour moved them: JSON, CSV, Parquet or Arrow.

    Customers who objected to marketing profiling are left out. Audited.
    """
    media_type, form = choose(",".join(request.headers.getlist("accept")))
    found, tags = compared(service, snapshot, earlier, later)
    version = service.objections.version()
    table = still_exported(found.movers(segment), service.objections)
    told = {"from": found.earlier.name, "segment": segment, "format": form, "size": len(table)}
    service.catalogue.audit(key.name, "segments.moves", found.later.name, told)
    name = f"moves-{'-'.join(tags[:2])}" + ("" if segment is None else f"-{segment}")
    headers = headers_of(name, form, ".".join(["", *tags[2:], str(version)]))
    around = {"from": found.earlier.name, "to": found.later.name, "segment": segment, "size": len(table)}
    return listed(table, media_type, form, headers, around, "customers")


def compared(
    service: Service, snapshot: Snapshot, earlier: str | None, later: str | None
) -> tuple[Comparison, tuple[str, ...]]:
    """Two kept snapshots, the served one and the one before where none is named, and what tells this answer apart.

    Raises NotFoundError, and InputError where one is compared with itself.
    """
    last = _kept(service, snapshot, later or snapshot.name)
    first = _kept(service, snapshot, earlier or served_before(service.workspace, last.name))
    before, after = service.named.read(checked(first, last).segments), service.named.read(last.segments)
    found = Comparison(first, last, (before.names, after.names))
    erased = [f"e{count}" for kept in (first, last) if (count := kept.segments.manifest.figures.get("erased"))]
    return found, (first.name, last.name, *dict.fromkeys((*before.tags, *after.tags)), *erased)


def _kept(service: Service, snapshot: Snapshot, name: str) -> Kept:
    if name == snapshot.name:
        return Kept.of(snapshot)
    there = service.workspace.published()
    if name not in there:
        raise NotFoundError(f"no snapshot {name[:100]!r} is kept; there are: {', '.join(there)}")
    return Kept.load(service.workspace, name)
