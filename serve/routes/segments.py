"""Routes about segments."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from serve.auth import Key, Right, may
from serve.problems import FaultsError
from serve.routes.bodies import described, received
from serve.routes.common import (
    Creator,
    MembersReader,
    Reader,
    Served,
    Services,
    decode_cursor,
    encode_cursor,
    tag,
)
from serve.segment_facts import Told
from serve.segment_members import core
from serve.segment_names import rename
from serve.segment_schemas import MembersPage, SegmentAnswer, SegmentMember, SegmentNameAnswer, SegmentsAnswer
from serve.service import Service
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/segments", tags=["segments"])
LARGEST_PAGE = 10_000


@router.get("")
def read_segments(
    response: Response,
    key: Reader,
    service: Services,
    snapshot: Served,
    about: Annotated[int | None, Query(description="Tell of the segments in about so many groups too.")] = None,
) -> SegmentsAnswer:
    """All segments, the largest first, each with who is in it and what sets it apart, and how many are in none.

    With `about`, also the same segments in fewer groups: each of fewer groups is a union of some of more.
    """
    naming = service.named.of(snapshot)
    groups = None if about is None else service.groups.of(snapshot, about, naming)
    may_name, tags = _may_name(key, service, snapshot)
    told = Told(service.lineages.of(snapshot), naming, may_name).listing(about)
    tag(response, snapshot.state, *naming.tags, *tags)
    return SegmentsAnswer.model_validate({**told, "groups": groups})


@router.get("/{segment}")
def read_segment(response: Response, key: Reader, service: Services, snapshot: Served, segment: int) -> SegmentAnswer:
    """One segment: who is in it, its size over time, how stable it is, what sets it apart, typical customers."""
    profile, naming = snapshot.profile(segment), service.named.of(snapshot)
    may_name, tags = _may_name(key, service, snapshot)
    told = Told(service.lineages.of(snapshot), naming, may_name).one(profile)
    tag(response, snapshot.state, *naming.tags, *tags)
    return SegmentAnswer.model_validate(told)


def _may_name(key: Key, service: Service, snapshot: Snapshot) -> tuple[Callable[[int | str], bool], tuple[str, ...]]:
    """Whether an answer to this key may name a customer, and what the answer's ETag says of that."""
    if not may(key, Right.MEMBERS):
        return lambda customer: False, ()
    objected = service.objected.of(snapshot)
    mask = objected.mask

    def may_name(customer: int | str) -> bool:
        row = snapshot.embeddings.row_of(customer)
        return mask is None or row is None or not mask[row]

    return may_name, ("named", *objected.tags)


class GivenName(BaseModel):
    """A name for a segment."""

    model_config = ConfigDict(extra="forbid")

    name: str


@router.put("/{segment}/name", openapi_extra=described(GivenName))
async def name_segment(
    request: Request, key: Creator, service: Services, snapshot: Served, segment: int
) -> SegmentNameAnswer:
    """Give a segment a name of 1 to 72 characters that no other has.

    It holds in every snapshot in which segments keep their ids, also in later ones. Audited.
    """
    given = await received(request, GivenName)
    name = await run_in_threadpool(rename, snapshot.segments, segment, given.name, service.catalogue, key.name)
    service.named.forget()
    return SegmentNameAnswer(segment=segment, name=name.name, at=name.at, by=name.actor)


@router.get("/{segment}/members")
def read_members(
    response: Response,
    key: MembersReader,
    service: Services,
    snapshot: Served,
    segment: int,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Most customers on a page.")] = 1000,
    cursor: Annotated[str | None, Query(max_length=4096, description="`next_cursor` of the page before.")] = None,
    least_strength: Annotated[
        float, Query(description="Only customers who are at least so strongly in it, 0 to 1: the segment's core.")
    ] = 0.0,
) -> MembersPage:
    """The customers of a segment in order of their ids, a page at a time.

    A page goes on after the last id of the one before, also when another snapshot was published in between: nobody
    who stayed in the segment is left out or given twice. Customers who objected to marketing profiling are left out.
    Each page is audited.
    """
    rows, objected = core(snapshot.segments, snapshot.members(segment), least_strength), service.objected.of(snapshot)
    if objected.mask is not None:
        rows = rows[~objected.mask[rows]]
    start = 0 if cursor is None else int(np.searchsorted(rows, _row_after(snapshot, segment, cursor)))
    page = rows[start : start + limit]
    known = snapshot.segments.members
    members = [
        SegmentMember(
            customer_id=snapshot.customer(row), strength=float(known.strength[row]), part=int(known.part[row]) or None
        )
        for row in page.tolist()
    ]
    more = start + limit < len(rows)
    told = {"segment": segment, "least_strength": least_strength, "size": len(page), "of": len(rows)}
    service.catalogue.audit(key.name, "segments.members", snapshot.name, told)
    tag(response, snapshot.state, *objected.tags)
    return MembersPage(
        snapshot=snapshot.name,
        segment=segment,
        size=len(rows),
        members=members,
        next_cursor=encode_cursor(segment, members[-1].customer_id) if more else None,
    )


def _row_after(snapshot: Snapshot, segment: int, cursor: str) -> int:
    """The first row whose id is above the one that the cursor names; that one may have gone meanwhile."""
    kind = int if snapshot.customer_type == "integer" else str
    of, last = decode_cursor(cursor, int, kind)
    if of != segment:
        raise FaultsError([f"cursor: it belongs to the pages of segment {of}, not {segment}"])
    try:
        return int(snapshot.embeddings.customers.search_sorted(last, side="right"))
    except (OverflowError, TypeError, ValueError):
        raise FaultsError(["cursor: not one that a page before gave"]) from None
