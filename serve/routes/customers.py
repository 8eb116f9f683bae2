"""Routes about one customer."""

import threading
from typing import Annotated, Literal

import faiss
import numpy as np
from fastapi import APIRouter, Query, Response

from serve.auth import Right, require
from serve.routes.common import CustomerText, Reader, Served, Services, tag
from serve.schemas import CustomerAnswer, Measure, Membership, Neighbour, SimilarAnswer
from serve.snapshot import Snapshot

router = APIRouter(prefix="/v1/customers", tags=["customers"])
MOST_SIMILAR = 1000
_thread = threading.local()


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
    service: Services,
    snapshot: Served,
    customer: CustomerText,
    k: Annotated[int, Query(ge=1, le=MOST_SIMILAR, description="How many customers.")] = 10,
    segment: Annotated[int | None, Query(description="Only customers of this segment.")] = None,
) -> SimilarAnswer:
    """The `k` customers whose histories are most like this one's, the most similar first.

    Fewer come back where there are no more. `similarity` is the cosine of the two vectors, at most 1. Customers who
    objected to marketing profiling are not among them.
    """
    row = snapshot.row(customer)
    allowed = None
    if segment is not None:
        snapshot.profile(segment)
        allowed = snapshot.segments.labels == segment
    objected = service.objected.of(snapshot)
    if objected.mask is not None:
        allowed = ~objected.mask if allowed is None else allowed & ~objected.mask
    _one_core()
    rows, similarity = snapshot.index.similar(np.array([row]), min(k, snapshot.n_customers), allowed)
    tag(response, snapshot.name, *objected.tags)
    found = [
        Neighbour(customer_id=snapshot.customer(i), similarity=value, segment=snapshot.label(i))
        for i, value in zip(rows[0].tolist(), similarity[0].tolist(), strict=True)
        if i >= 0
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
