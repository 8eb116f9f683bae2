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


class EstimateAnswer(Answer):
    """A figure with the interval that holds the true one with the report's `confidence`."""

    value: float
    low: float
    high: float


class ScorerAnswer(Answer):
    """How one way of scoring did on held-out seeds."""

    name: str
    auroc: float
    recall: float
    used: bool
    """Whether it is part of the final score."""


class PointAnswer(Answer):
    """What an audience of another size would be."""

    size: int
    recall: EstimateAnswer
    lift: EstimateAnswer
    similarity: float
    """Mean cosine similarity of the members to the seeds' centroid."""


class AudienceDriver(Answer):
    """A behaviour that sets a group of customers apart from everybody."""

    feature: str
    words: str
    group_mean: float
    population_mean: float
    lift: float | None
    difference: float
    """Difference of the means in standard deviations of the population."""


class SeedsAnswer(Answer):
    """What became of the seeds."""

    given: int
    duplicates: int
    matched: int
    unmatched: int
    unmatched_ids: list[str]
    """The first 100 that are no customers of the snapshot."""


class GroupAnswer(Answer):
    """One group of customers, by an attribute, in the population and in the audience."""

    attribute: str
    group: str
    eligible: int
    """Customers of the group who may be members."""
    members: int
    rate: float
    """Members over eligible."""
    ratio: EstimateAnswer | None
    """Rate over that of the group selected most; null for groups too small to tell."""
    flagged: bool
    """Whether the ratio is below four fifths."""


class RequestAnswer(Answer):
    """The options that an audience was asked for with; lists of customers are given as their lengths."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")

    size: int | None = None
    include_seeds: bool
    suppress: int
    seed: int


class AudienceAnswer(Answer):
    """A lookalike audience: what to expect of it, and how it came about."""

    id: str
    created: datetime
    created_by: str
    """Name of the key or command that asked for it first."""
    snapshot: str
    """The snapshot that it was made from."""
    members: str
    """Path of the list of members."""
    request: RequestAnswer
    seeds: SeedsAnswer
    population: int
    eligible: int
    size: int
    seeds_in_audience: int
    held_out: int = 0
    """Members, drawn at random, who are kept out of the list, so that the effect can be measured later."""
    nested: list[int] = []
    """Sizes of the smaller audiences inside it."""
    suppressed: int
    suppress_unmatched: int
    outside_segments: int = 0
    """Customers who may not be members for the segment they are in."""
    confidence: float
    """Probability that an interval is meant to hold the true value."""
    recall: EstimateAnswer
    """Expected share of the customers like the seeds, not yet known, whom the audience finds."""
    lift: EstimateAnswer
    """The same, over a random audience of this size."""
    precision: EstimateAnswer | None = None
    """Expected share of the members who are like the seeds; null where no base rate was given."""
    auroc: EstimateAnswer
    """How well held-out seeds rank above everybody else; 0.5 is chance."""
    warnings: list[str]
    scorers: list[ScorerAnswer]
    curve: list[PointAnswer]
    """Reach versus likeness: audiences of other sizes."""
    similarity_of_seeds: float
    similarity_of_everybody: float
    audience_drivers: list[AudienceDriver]
    seed_drivers: list[AudienceDriver]
    reasons_fidelity: float | None = None
    """How much of the score the members' reasons account for (R²): 1 is all; null where there are no behaviours."""
    prototypes: list[str] = []
    """Ids of seeds to look at: those nearest to the middle of each kind of seeds."""
    make_up: list[GroupAnswer] = []
    """Who the audience is made up of, by attributes that were given for that alone."""


class AudienceSummary(Answer):
    """An audience in the list."""

    id: str
    created: datetime
    created_by: str
    snapshot: str
    size: int
    recall: EstimateAnswer | None
    """None where the audience was noted by a version that kept no such figure; the audience itself tells it."""
    lift: EstimateAnswer | None
    warnings: list[str] | None


class AudiencesPage(Answer):
    """Audiences, newest first."""

    audiences: list[AudienceSummary]
    next_cursor: str | None


class AudienceMember(Answer):
    """A member of an audience."""

    customer_id: CustomerId
    score: float
    """Share of all customers who are less like the seeds."""
    rank: int
    """1 is the best."""
    within: int | None = None
    """Where audiences are nested, the size of the smallest that the member is in."""
    reasons: str | None = None
    """The behaviours that raise the member's score most, the strongest first."""


class AudienceMembers(Answer):
    """All members of an audience, best first."""

    audience: str
    size: int
    members: list[AudienceMember]
