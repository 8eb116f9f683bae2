"""The shapes of the service's answers about segments, as /openapi.json describes them."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from serve.schemas import Answer, CustomerId


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


class SegmentCondition(Answer):
    """One condition of a definition."""

    feature: str
    words: str
    """The behaviour, readable."""
    at_least: bool
    """Whether the value has to be at least the threshold, rather than at most."""
    threshold: float
    text: str
    """The condition in words."""


class SegmentDefinition(Answer):
    """Who is in a segment, as a rule."""

    text: str
    """The conditions in one sentence."""
    precision: float
    """Share of members among the customers whom it fits, of those that it was not sought on."""
    recall: float
    """Share of the members whom it fits, of those that it was not sought on."""
    conditions: list[SegmentCondition]
    """One to four, all of which hold."""


class SegmentPart(Answer):
    """A finer group inside a segment."""

    number: int
    """From 1, the largest first."""
    name: str
    """What sets it apart from the rest of its segment."""
    size: int
    share: float
    """Its share of the segment."""
    stability: float
    """Mean best Jaccard over refits on subsamples, 0 to 1."""
    standing: str
    """firm, stable or tentative, by its stability."""


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


class SegmentAnswer(Answer):
    """One segment."""

    snapshot: str
    id: int
    name: str
    born: int
    """The segmentation, counted from 1 along the line of snapshots, that it is first in."""
    size: int
    share: float
    """Its share of all customers."""
    stability: float
    """Mean best Jaccard over refits on subsamples, 0 to 1."""
    standing: str
    """firm, stable or tentative, by its stability."""
    strength: float
    """Mean membership strength, 0 to 1."""
    definition: SegmentDefinition | None
    """Who is in it, as a rule; None where no rule of few conditions says it."""
    parts: list[SegmentPart]
    """Finer groups inside it, the largest first."""
    group: list[int] | None
    """All segments of its group, itself among them, where there are about `about` (7) groups; None where the snapshot
    does not know how segments make up groups."""
    drivers: list[SegmentDriver]
    typical: list[CustomerId]
    """Its most typical customers, without those who objected; empty for a key that may not read lists of members."""
    change: int | None
    """Change of its size since the snapshot before; None where it was not there."""
    sizes: list[SizeThen]
    """Its size in the kept snapshots in which segments keep their ids, oldest first, since it was born."""
    events: list[SegmentEventAnswer]
    """What happened to it, oldest first."""


class SegmentGroupAnswer(Answer):
    """Some segments that are alike."""

    id: int
    """The id of the lowest segment in it."""
    name: str
    """The segment's own name where it is alone."""
    segments: list[int]
    """Ids, ascending."""
    size: int
    """Customers in it."""
    share: float
    """Its share of all customers."""
    drivers: list[SegmentDriver]
    """The behaviours that set it apart, strongest first."""


class SegmentsAnswer(Answer):
    """All segments."""

    snapshot: str
    customers: int
    unassigned: int
    """Customers in no segment."""
    unassigned_share: float
    message: str | None
    """Why there are no segments, or only one."""
    generation: int
    """Segmentations along the line of snapshots, from 1."""
    events: list[SegmentEventAnswer]
    """What happened to segments in this segmentation."""
    segments: list[SegmentAnswer]
    groups: list[SegmentGroupAnswer] | None
    """The segments in about `about` groups, the largest first; None where that was not asked for."""


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
    """How firmly, 0 to 1."""
    part: int | None
    """The number of the segment's part that the customer is in."""


class MembersPage(Answer):
    """A page of a segment's customers, by id."""

    snapshot: str
    segment: int
    size: int
    """Customers in the segment who are at least so strongly in it as was asked for, on all pages."""
    members: list[SegmentMember]
    next_cursor: str | None
    """Pass it as `cursor` for the next page; None on the last one."""
