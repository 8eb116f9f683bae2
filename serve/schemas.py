"""The shapes of the service's answers, as /openapi.json describes them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

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
    """How firmly, 0 to 1: the share of the most similar customers who are in it too."""
    part: int | None
    """The number of the segment's part that the customer is in."""
    part_name: str | None


class NextBest(Answer):
    """The segment that a customer would be in next."""

    id: int
    name: str
    strength: float
    """The share of the most similar customers who are in it, 0 to 1."""


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
    next_best: NextBest | None
    """The segment that comes next; None where no other comes near, or where the snapshot does not know."""
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


class NightSummary(Answer):
    """What became of a night or a retraining."""

    name: str
    """Its day and its snapshot."""
    kind: Literal["night", "retrain"]
    status: Literal["published", "held", "nothing_new"]
    """held: a gate failed, and the snapshot before stays served."""
    as_of: str
    """The last day whose events were taken, YYYY-MM-DD."""
    reason: str
    """One sentence: what happened, or why nothing was published."""
    snapshot: str | None
    """None where nothing was new, so that none was made."""
    previous: str
    """The snapshot that was served before."""
    events: dict[str, int]
    """before, new, late, now"""
    alerts: dict[str, int]
    """Events about customers by kind: moved, shifted; changed, on nights that end a week."""
    warnings: list[str]


class NightsAnswer(Answer):
    """The last nights and retrainings, newest first."""

    nights: list[NightSummary]


class NightAnswer(NightSummary):
    """All that is told of a night; lists of figures as in its report.json."""

    model: str
    previous_model: str
    sources: list[dict[str, Any]]
    """What came in from each source."""
    customers: dict[str, int] | None
    """before, now, new, changed, replayed, gone"""
    gates: list[dict[str, Any]]
    """Name, words, figure, limit, bound, accepted, met, passed."""
    drift: list[dict[str, Any]]
    """How far each field's new events are from those of the training."""
    vectors: dict[str, float]
    segments: list[dict[str, Any]]
    """Every segment before and now."""
    flows: list[dict[str, Any]]
    """Customers between different segments, the most first; -1 no segment, -2 not a customer."""
    happened: list[str]
    """What happened to segments."""
    model_change: dict[str, float]
    pruned: list[str]
    timings: dict[str, float]
    """Seconds by stage, total, peak_mb, peak_mapped_mb"""
