"""The answers of the service about audiences, as they stand in /openapi.json."""

from datetime import datetime

from pydantic import ConfigDict

from serve.schemas import Answer, CustomerId


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
    """The first 100 that are no customers of the snapshot; empty for a key that may not read lists of members."""
    objected: int = 0
    """Seeds left out since they objected to marketing profiling."""


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
    kept_by_cap: int = 0
    """Members who are in it since the cap on churn kept them; the expectation counts on none of them."""
    held_out: int = 0
    """Members, drawn at random, who are kept out of the list, so that the effect can be measured later."""
    nested: tuple[int, ...] = ()
    """Sizes of the smaller audiences inside it."""
    suppressed: int
    suppress_unmatched: int
    outside_segments: int = 0
    """Customers who may not be members for the segment they are in."""
    outside_attributes: int = 0
    """Customers who may not be members since they do not meet the conditions on attributes."""
    objected: int = 0
    """Customers who objected to marketing profiling: neither scored, nor seeds, nor members."""
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
    prototypes: tuple[str, ...] = ()
    """Ids of seeds to look at: those nearest to the middle of each kind of seeds."""
    make_up: tuple[GroupAnswer, ...] = ()
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


class EditionAnswer(Answer):
    """One refresh of a saved audience."""

    number: int
    audience: str
    """Id of the audience that holds its report and members."""
    snapshot: str
    definition: int
    """Number of the definition that it was made by."""
    size: int
    entered: dict[str, int]
    """Members who were not in the edition before, by reason."""
    left: dict[str, int]
    """Members of the edition before who are not in this one, by reason."""


class SavedAnswer(Answer):
    """An audience that is refreshed with every snapshot."""

    name: str
    definition: int
    """Number of the definition that stands; each change of it is a new one."""
    request: RequestAnswer
    editions: list[EditionAnswer]
    """Oldest first."""


class SavedSummary(Answer):
    """A saved audience in the list."""

    name: str
    definition: int
    last: EditionAnswer | None


class SavedList(Answer):
    """All saved audiences, by name."""

    saved: list[SavedSummary]


class Change(Answer):
    """A customer who entered or left."""

    customer_id: CustomerId
    change: str
    """entered or left."""
    why: str
    """behaviour, model, behaviour and model, definition, consent, customers, others or unknown."""


class ChangesAnswer(Answer):
    """Who entered and who left a saved audience with an edition."""

    saved: str
    edition: int
    changes: list[Change]


class EffectAnswer(Answer):
    """What a campaign caused: members in the list beside members who were held out of it at random."""

    audience: str
    listed: int
    listed_with_outcome: int
    held_out: int
    held_out_with_outcome: int
    listed_rate: EstimateAnswer
    held_out_rate: EstimateAnswer
    difference: EstimateAnswer
    """Rate of the listed less that of the held out."""
    caused: EstimateAnswer
    """Outcomes among the listed that would not have been without the campaign."""
    confidence: float
    told: bool
    """Whether the interval of the difference leaves out nought."""
