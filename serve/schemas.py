"""The shapes of the service's answers, as /openapi.json describes them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CustomerId = int | str
"""As in the source: a JSON number where ids are whole numbers, a string otherwise."""


class Answer(BaseModel):
    """Base of every answer: docstrings under fields become their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(Answer):
    """An error (RFC 9457), sent as application/problem+json."""

    type: str
    """Stable name of the kind of problem: urn:kinfolk:problem:..."""
    title: str
    """The kind of problem in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong in this case, where, and what is accepted."""
    instance: str
    """This occurrence, urn:uuid:...; the header X-Request-Id and the service's log carry the same id."""
    faults: list[str] | None = None
    """Every fault of the request, where it has several."""


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"]


class Ready(Answer):
    """Whether requests can be answered."""

    status: Literal["ready", "degraded"]
    """degraded: a newer snapshot could not be taken, the one before is served."""
    snapshot: str
    refused: str | None
    """Name of the snapshot that could not be taken."""
    detail: str | None


class Part(Answer):
    """One part of a snapshot."""

    counts: dict[str, int]
    figures: dict[str, Any]
    """Quality figures, as measured when the part was built."""


class SnapshotAnswer(Answer):
    """The snapshot being served."""

    name: str
    published: datetime
    """When it was sealed, UTC."""
    customers: int
    customer_type: Literal["integer", "string"]
    width: int
    """Width of a customer's vector."""
    segments: int
    unassigned_share: float
    """Share of customers in no segment."""
    index_recall: float | None
    """Recall of similar customers against exact search; 1 where every search is exact."""
    parents: dict[str, str]
    """Keys of what it was made from."""
    counts: dict[str, int]
    figures: dict[str, Any]
    parts: dict[str, Part]


class Membership(Answer):
    """The segment that a customer is in."""

    id: int
    name: str
    strength: float
    """How firmly, 0 to 1."""


class Measure(Answer):
    """One behavioural figure of a customer."""

    name: str
    words: str
    """What it measures, readable."""
    kind: Literal["count", "time", "amount", "share"]
    value: float


class CustomerAnswer(Answer):
    """What is known about one customer."""

    customer_id: CustomerId
    snapshot: str
    segment: Membership | None
    """None: in no segment."""
    position: tuple[float, float]
    """Place on the map of segments."""
    behaviour: list[Measure]
    vector: list[float] | None
    """The embedding, of unit length; only with include=vector."""


class Neighbour(Answer):
    """A similar customer."""

    customer_id: CustomerId
    similarity: float
    """Cosine of the two vectors."""
    segment: int | None


class SimilarAnswer(Answer):
    """Customers like one."""

    customer_id: CustomerId
    snapshot: str
    similar: list[Neighbour]


class SegmentDriver(Answer):
    """A behaviour that sets a segment apart."""

    feature: str
    words: str
    """The behaviour, readable."""
    kind: str
    """count, time, amount or share."""
    field: str | None
    """The field of the events that it is made from."""
    value: str | None
    """The field's value that it is about."""
    segment: float
    """The segment's value: mean of a share, median of anything else."""
    everybody: float
    lift: float | None
    """segment / everybody; None where that says nothing."""
    z: float
    """How far from everybody, in robust standard deviations."""
    score: float
    """What drivers are ranked by."""


class SizeThen(Answer):
    """How large a segment was in a snapshot."""

    snapshot: str
    published: datetime
    """When the snapshot was sealed, UTC."""
    size: int
    """Customers; 0 where there was no such segment."""


class SegmentAnswer(Answer):
    """One segment."""

    snapshot: str
    id: int
    name: str
    size: int
    share: float
    """Its share of all customers."""
    stability: float
    """Mean best Jaccard over refits on subsamples, 0 to 1."""
    standing: str
    """firm, stable or tentative, by its stability."""
    strength: float
    """Mean membership strength, 0 to 1."""
    drivers: list[SegmentDriver]
    typical: list[CustomerId]
    """Its most typical customers."""
    change: int | None
    """Change of its size since the snapshot before; None where it was not there."""
    sizes: list[SizeThen]
    """Its size in the kept snapshots in which segments keep their ids, oldest first, since it was born."""


class SegmentsAnswer(Answer):
    """All segments."""

    snapshot: str
    customers: int
    unassigned: int
    """Customers in no segment."""
    unassigned_share: float
    message: str | None
    """Why there are no segments, or only one."""
    segments: list[SegmentAnswer]


class SegmentNameAnswer(Answer):
    """A name that somebody gave to a segment."""

    segment: int
    name: str
    at: datetime
    by: str
    """Name of the key or command that gave it."""


class End(Answer):
    """A row or a column of a matrix of moves."""

    segment: int | None
    """None: in no segment, or not there."""
    name: str
    """The segment's name, `in no segment`, `not there before` or `gone`."""


class Stream(Answer):
    """Customers who went from one segment to another, or stayed in one."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True, use_attribute_docstrings=True)

    from_: int | None = Field(alias="from")
    from_name: str
    to: int | None
    to_name: str
    customers: int


class SegmentEventAnswer(Answer):
    """What happened to a segment."""

    kind: Literal["born", "split", "merged", "died"]
    segment: int
    others: list[int]
    """split: the new segments that left it; merged: the one that it went into."""
    generation: int
    """The segmentation, counted from 1, that it first shows in."""
    evidence: dict[str, float]
    """What it was decided on."""
    words: str


class MovesAnswer(Answer):
    """Two snapshots compared."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True, use_attribute_docstrings=True)

    from_: str = Field(alias="from")
    """The earlier snapshot."""
    to: str
    """The later snapshot."""
    comparable: bool
    """Whether a segment's id means the same in both."""
    note: str | None
    """What it means where they are not comparable."""
    rows: list[End]
    """Where customers were."""
    columns: list[End]
    """Where they are."""
    counts: list[list[int]]
    """Customers by row and column."""
    streams: list[Stream]
    """The same as a list, the largest first, without what is 0."""
    stayed: int | None
    """Customers in the same segment, or in none, in both; None where the two are not comparable."""
    moved: int | None
    """Customers who are in both and in different segments; None where the two are not comparable."""
    new: int
    """Customers who were not there before."""
    gone: int
    """Customers who are there no more."""
    events: list[SegmentEventAnswer]
    """What happened to segments in between, oldest first."""


class StayAnswer(Answer):
    """Where a customer was in a snapshot."""

    snapshot: str
    published: datetime
    there: bool
    """Whether the customer was in the snapshot at all."""
    segment: int | None
    """None: in no segment."""
    name: str | None
    """The segment's name."""
    strength: float | None


class WayAnswer(Answer):
    """A customer's way through the kept snapshots in which segments keep their ids."""

    customer_id: CustomerId
    snapshot: str
    """The last of them, which is served."""
    segments: list[StayAnswer]
    """Oldest first."""


class SegmentMember(Answer):
    """A customer of a segment."""

    customer_id: CustomerId
    strength: float


class MembersPage(Answer):
    """A page of a segment's customers, by id."""

    snapshot: str
    segment: int
    size: int
    """Customers in the segment, on all pages."""
    members: list[SegmentMember]
    next_cursor: str | None
    """Pass it as `cursor` for the next page; None on the last one."""


class ObjectionAnswer(Answer):
    """What a customer last said about marketing profiling."""

    customer_id: str
    objects: bool
    at: datetime
    by: str
    """Name of the key or command that noted it."""


class ObjectionsAnswer(Answer):
    """The register of objections."""

    standing: int
    """Customers who object now."""


class ObjectionsNoted(Answer):
    """What a list of objections and withdrawals changed."""

    objected: int
    """Customers who object now and did not before."""
    withdrawn: int
    """Customers who did object and do not any more."""
    standing: int
