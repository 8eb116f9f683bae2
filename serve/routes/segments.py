"""Routes about segments."""

from dataclasses import asdict
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from cluster.artifact import SegmentProfile
from serve.lineage import SizeThen, change, trends
from serve.problems import FaultsError
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
from serve.schemas import MembersPage, SegmentAnswer, SegmentMember, SegmentNameAnswer, SegmentsAnswer
from serve.segment_names import named, rename
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/segments", tags=["segments"])
LARGEST_PAGE = 10_000


@router.get("")
def read_segments(response: Response, key: Reader, service: Services, snapshot: Served) -> SegmentsAnswer:
    """All segments, the largest first, each with what sets it apart, and how many customers are in none."""
    naming = service.named.of(snapshot)
    sizes = trends(service.lineages.of(snapshot))
    tag(response, snapshot.name, *naming.tags)
    unassigned = int(np.count_nonzero(snapshot.segments.labels < 0))
    return SegmentsAnswer(
        snapshot=snapshot.name,
        customers=snapshot.n_customers,
        unassigned=unassigned,
        unassigned_share=unassigned / snapshot.n_customers,
        message=snapshot.segments.message or None,
        segments=[_answer(snapshot, named(p, naming.names), sizes[p.id]) for p in snapshot.segments.profiles],
    )


@router.get("/{segment}")
def read_segment(response: Response, key: Reader, service: Services, snapshot: Served, segment: int) -> SegmentAnswer:
    """One segment: its size over time, how stable it is, what sets it apart, typical customers."""
    profile, naming = snapshot.profile(segment), service.named.of(snapshot)
    sizes = trends(service.lineages.of(snapshot))
    tag(response, snapshot.name, *naming.tags)
    return _answer(snapshot, named(profile, naming.names), sizes[segment])


class GivenName(BaseModel):
    """A name for a segment."""

    model_config = ConfigDict(extra="forbid")

    name: str


@router.put("/{segment}/name")
def name_segment(
    key: Creator, service: Services, snapshot: Served, segment: int, given: GivenName
) -> SegmentNameAnswer:
    """Give a segment a name of 1 to 72 characters that no other has.

    It holds in every snapshot in which segments keep their ids, also in later ones. Audited.
    """
    name = rename(snapshot.segments, segment, given.name, service.catalogue, key.name)
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
) -> MembersPage:
    """The customers of a segment in order of their ids, a page at a time.

    A page goes on after the last id of the one before, also when another snapshot was published in between: nobody
    who stayed in the segment is left out or given twice. Customers who objected to marketing profiling are left out.
    """
    rows, objected = snapshot.members(segment), service.objected.of(snapshot)
    if objected.mask is not None:
        rows = rows[~objected.mask[rows]]
    start = 0 if cursor is None else int(np.searchsorted(rows, _row_after(snapshot, segment, cursor)))
    page = rows[start : start + limit]
    members = [
        SegmentMember(customer_id=snapshot.customer(row), strength=float(snapshot.segments.strength[row]))
        for row in page.tolist()
    ]
    more = start + limit < len(rows)
    tag(response, snapshot.name, *objected.tags)
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


def _answer(snapshot: Snapshot, profile: SegmentProfile, sizes: tuple[SizeThen, ...]) -> SegmentAnswer:
    facts = {**asdict(profile), "change": change(sizes), "sizes": [asdict(then) for then in sizes]}
    return SegmentAnswer(snapshot=snapshot.name, standing=profile.standing, **facts)
