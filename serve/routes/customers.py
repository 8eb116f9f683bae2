"""Routes about one customer."""

import threading
from typing import Annotated, Any, Literal

import faiss
from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator

from serve.auth import Right, require
from serve.routes.common import CustomerText, Reader, Served, tag
from serve.schemas import CustomerAnswer, Measure, Membership, Neighbour, SimilarAnswer
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/customers", tags=["customers"])
MOST_SIMILAR = 1000
_thread = threading.local()


def _numbers(given: Any) -> Any:
    """Numbers of a parameter that may be repeated, and hold several separated by commas, as options of audiences do."""
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts for part in str(text).split(",") if part.strip()]


Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers)]


@router.get("/{customer}")
def read_customer(
    response: Response,
    key: Reader,
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
    row = snapshot.row(customer)
    tag(response, snapshot.name)
    x, y = snapshot.segments.positions[row].tolist()
    return CustomerAnswer(
        customer_id=snapshot.customer(row),
        snapshot=snapshot.name,
        segment=_membership(snapshot, row),
        position=(x, y),
        behaviour=_behaviour(snapshot, row, "behaviour" in include),
        vector=snapshot.embeddings.vectors[row].tolist() if "vector" in include else None,
    )


@router.get("/{customer}/similar")
def read_similar(
    response: Response,
    key: Reader,
    snapshot: Served,
    customer: CustomerText,
    k: Annotated[int, Query(ge=1, le=MOST_SIMILAR, description="How many customers.")] = 10,
    segments: Annotated[Numbers, Query(description="Only customers of these segments; -1: those in none.")] = (),
    not_segments: Annotated[Numbers, Query(description="No customers of these segments.")] = (),
    segment: Annotated[int | None, Query(description="One more of `segments`.", deprecated=True)] = None,
) -> SimilarAnswer:
    """The `k` customers whose histories are most like this one's, the most similar first.

    Fewer come back where there are no more. `similarity` is the cosine of the two vectors, at most 1.
    """
    row = snapshot.row(customer)
    wanted = segments if segment is None else (*segments, segment)
    _one_core()
    rows, similarity = snapshot.neighbours(row, k, wanted, not_segments)
    tag(response, snapshot.name)
    found = [
        Neighbour(customer_id=snapshot.customer(i), similarity=value, segment=snapshot.label(i))
        for i, value in zip(rows, similarity, strict=True)
    ]
    return SimilarAnswer(customer_id=snapshot.customer(row), snapshot=snapshot.name, similar=found)


def _one_core() -> None:
    """Let this thread's searches use one core; OpenMP keeps the number for each thread.

    Requests run side by side as it is, and on a busy machine two cores wait longer for each other (60 ms for 100,000
    customers) than one takes for the whole search (2 ms).
    """
    if not getattr(_thread, "limited", False):
        faiss.omp_set_num_threads(1)
        _thread.limited = True


def _membership(snapshot: Snapshot, row: int) -> Membership | None:
    profile = snapshot.segment_of(row)
    if profile is None:
        return None
    return Membership(id=profile.id, name=profile.name, strength=float(snapshot.segments.strength[row]))


def _behaviour(snapshot: Snapshot, row: int, everything: bool) -> list[Measure]:
    """All figures, or those that are about no single value of a field: number of events, recency, amounts."""
    values = snapshot.behaviour.matrix[row].tolist()
    return [
        Measure(name=feature.name, words=feature.words, kind=feature.kind, value=value)
        for feature, value in zip(snapshot.behaviour.features, values, strict=True)
        if everything or feature.value is None
    ]
