"""Routes about one customer."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator
from pydantic_core import to_json

from serve.auth import Right, require
from serve.lineage import stays
from serve.objections import Mask, Standing
from serve.routes.common import CustomerText, Reader, Served, Services, tag
from serve.schemas import CustomerAnswer, Measure, Membership, NextBest, SimilarAnswer
from serve.segment_names import Names, named
from serve.segment_schemas import StayAnswer, WayAnswer
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/customers", tags=["customers"])
MOST_SIMILAR = 1000


def _numbers(given: Any) -> Any:
    """Numbers of a parameter that may be repeated, and hold several separated by commas, as options of audiences do."""
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts for part in str(text).split(",") if part.strip()]


Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers)]


@router.get("/{customer}")
def read_customer(
    response: Response,
    key: Reader,
    service: Services,
    snapshot: Served,
    customer: CustomerText,
    include: Annotated[
        list[Literal["vector", "behaviour"]],
        Query(description="`vector`: the embedding (analyst, admin). `behaviour`: every behavioural figure."),
    ] = [],  # noqa: B006
) -> CustomerAnswer:
    """What is known about one customer: segment, place on the map, behaviour, and the vector where asked for."""
    if "vector" in include:
        require(key, Right.VECTORS)
    row, naming = snapshot.row(customer), service.named.of(snapshot)
    tag(response, snapshot.state, *naming.tags)
    x, y = snapshot.segments.positions[row].tolist()
    return CustomerAnswer(
        customer_id=snapshot.customer(row),
        snapshot=snapshot.name,
        segment=_membership(snapshot, row, naming.names),
        next_best=_next_best(snapshot, row, naming.names),
        position=(x, y),
        behaviour=_behaviour(snapshot, row, "behaviour" in include),
        vector=snapshot.embeddings.vectors[row].tolist() if "vector" in include else None,
    )


@router.get("/{customer}/similar", response_model=SimilarAnswer)
async def read_similar(
    key: Reader,
    service: Services,
    snapshot: Served,
    customer: CustomerText,
    k: Annotated[int, Query(ge=1, le=MOST_SIMILAR, description="How many customers.")] = 10,
    segments: Annotated[Numbers, Query(description="Only customers of these segments; -1: those in none.")] = (),
    not_segments: Annotated[Numbers, Query(description="No customers of these segments.")] = (),
    segment: Annotated[int | None, Query(description="One more of `segments`.", deprecated=True)] = None,
) -> Response:
    """The `k` customers whose histories are most like this one's, the most similar first.

    Fewer come back where there are no more. `similarity` is the cosine of the two vectors, at most 1. Customers who
    objected to marketing profiling are not among them.
    """
    wanted = segments if segment is None else (*segments, segment)

    def work() -> tuple[bytes, Standing]:
        objected = service.objected.of(snapshot)
        return _similar(snapshot, customer, k, wanted, not_segments, objected.mask), objected

    body, objected = await service.search(work)
    response = Response(body, media_type="application/json")
    tag(response, snapshot.state, *objected.tags)
    return response


def _similar(
    snapshot: Snapshot,
    customer: str,
    k: int,
    segments: Sequence[int],
    not_segments: Sequence[int],
    objected: Mask | None,
) -> bytes:
    """A SimilarAnswer as JSON, written straight: a model for each neighbour would take longer than the search."""
    row = snapshot.row(customer)
    rows, similarity = snapshot.neighbours(row, k, segments, not_segments, objected)
    found = [
        {"customer_id": snapshot.customer(other), "similarity": value, "segment": snapshot.label(other)}
        for other, value in zip(rows, similarity, strict=True)
    ]
    return to_json({"customer_id": snapshot.customer(row), "snapshot": snapshot.name, "similar": found})


@router.get("/{customer}/segments")
def read_way(response: Response, key: Reader, service: Services, snapshot: Served, customer: CustomerText) -> WayAnswer:
    """The segments that a customer was in, in every kept snapshot in which segments keep their ids, oldest first."""
    lineage = service.lineages.of(snapshot)
    found = stays(lineage, customer)
    naming = [service.named.read(kept.segments) for kept in lineage]
    tag(response, snapshot.state, *naming[-1].tags)
    way = [
        StayAnswer(name=None if stay.segment is None else names.names[stay.segment], **asdict(stay))
        for stay, names in zip(found, naming, strict=True)
    ]
    id = int(customer) if snapshot.customer_type == "integer" else customer
    return WayAnswer(customer_id=id, snapshot=snapshot.name, segments=way)


def _membership(snapshot: Snapshot, row: int, names: Names) -> Membership | None:
    profile = snapshot.segment_of(row)
    if profile is None:
        return None
    members = snapshot.segments.members
    number = int(members.part[row])
    part = next((part for part in profile.parts if part.number == number), None)
    return Membership(
        id=profile.id,
        name=named(profile, names).name,
        strength=float(members.strength[row]),
        part=part.number if part else None,
        part_name=part.name if part else None,
    )


def _next_best(snapshot: Snapshot, row: int, names: Names) -> NextBest | None:
    members = snapshot.segments.members
    profile = snapshot.segments.profile(int(members.second[row]))
    if profile is None:
        return None
    return NextBest(id=profile.id, name=named(profile, names).name, strength=float(members.second_strength[row]))


def _behaviour(snapshot: Snapshot, row: int, everything: bool) -> list[Measure]:
    """All figures, or those that are about no single value of a field: number of events, recency, amounts."""
    values = snapshot.behaviour.matrix[row].tolist()
    return [
        Measure(name=feature.name, words=feature.words, kind=feature.kind, value=value)
        for feature, value in zip(snapshot.behaviour.features, values, strict=True)
        if everything or feature.value is None
    ]
