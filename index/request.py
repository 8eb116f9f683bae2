"""What a marketer asks for, and what it comes to in one snapshot."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BeforeValidator, Field

from configs.errors import InputError
from configs.reader import Config
from embed.artifact import Embeddings
from index.config import AudienceConfig

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
CustomerId = int | str


def _numbers(value: Any) -> Any:
    """Numbers separated by commas, as they come from a command line or a form."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers)]


class AudienceRequest(Config):
    """Ask for an audience of customers like `seeds`: how many by `size`, `share` or `precision`."""

    what: ClassVar[str] = "audience"

    seeds: tuple[CustomerId, ...]
    """Ids of the customers to find more of; their order does not matter."""
    size: int | None = None
    """Customers in the audience."""
    share: float | None = Field(default=None, gt=0, le=1)
    """Customers in the audience, as a share of those who may be in it."""
    precision: float | None = Field(default=None, gt=0, lt=1)
    """As many customers as keep the expected share of members like the seeds at this or above; needs `base_rate`."""
    base_rate: float | None = Field(default=None, gt=0, lt=1)
    """Share of everybody who is like the seeds, where it is known (the response of an untargeted mailing, say)."""
    nested: Numbers = ()
    """Smaller audiences inside it, best members first; the members' list tells the smallest that each is in."""
    include_seeds: bool = False
    """Whether seeds may be members themselves."""
    suppress: tuple[CustomerId, ...] = ()
    """Ids that must not be in the audience; unknown ones are ignored and counted."""
    segments: Numbers = ()
    """Segments that members must be in (-1: in none); all where none is named."""
    not_segments: Numbers = ()
    """Segments that members must not be in."""
    hold_out: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the members, drawn at random, who are kept out of the list, so that the effect can be measured later."""
    seed: int = Field(default=0, ge=0)
    """Seed of all that is drawn at random; the same request gives the same audience."""


@dataclass(frozen=True)
class SeedCounts:
    """What became of the seeds that were given."""

    given: int
    duplicates: int
    matched: int
    unmatched: tuple[str, ...]
    """Ids that are no customers of the snapshot, in the order given, once each."""


@dataclass(frozen=True)
class Pool:
    """A request in terms of rows."""

    seeds: Rows
    """Rows of the matched seeds, ascending, unique."""
    eligible: Mask
    """bool [n]: who may be a member."""
    size: int | None
    """None where the precision decides."""
    counts: SeedCounts
    suppressed: int
    """Customers of the snapshot that the suppression list names."""
    suppress_unmatched: int
    outside_segments: int
    """Customers who may not be members for the segment they are in."""

    @cached_property
    def is_seed(self) -> Mask:
        """bool [n]"""
        mask = np.zeros(len(self.eligible), dtype=bool)
        mask[self.seeds] = True
        return mask

    @cached_property
    def others(self) -> Rows:
        """Rows that are not seeds, ascending."""
        return np.flatnonzero(~self.is_seed)

    @cached_property
    def reachable(self) -> int:
        """How many may be members and are not seeds: where customers like the seeds are yet to be found."""
        return int(np.count_nonzero(self.eligible & ~self.is_seed))


def resolve(
    request: AudienceRequest, embeddings: Embeddings, config: AudienceConfig, labels: Labels | None = None
) -> Pool:
    """Match ids to rows and check what is asked; `labels` [n] are everybody's segments.

    Raises InputError, with counts, for too few matched seeds, an audience too small, or one larger than the
    customers who may be in it, for options that contradict each other, and for segments that there are not.
    """
    _check_options(request)
    given = ids(request.seeds)
    if len(given) == 0:
        raise InputError(f"the seed list is empty: give at least {config.least_seeds} customer ids")
    unique = given.unique(maintain_order=True)
    rows = embeddings.rows_of(unique)
    unmatched = tuple(str(c) for c in unique.filter(pl.Series(rows < 0)).to_list())
    # two forms of one id ("7" and "07") are one customer
    seeds = np.unique(rows[rows >= 0])
    counts = SeedCounts(
        len(given), int((rows >= 0).sum()) - len(seeds) + len(given) - len(unique), len(seeds), unmatched
    )
    if len(seeds) < config.least_seeds:
        raise InputError(
            f"{len(seeds)} of {len(given)} seeds are known customers ({len(unmatched)} unknown{_some(unmatched)}, "
            f"{counts.duplicates} duplicates): at least {config.least_seeds} are needed to see what they share"
        )
    eligible, suppressed, missed = _eligible(request, embeddings, seeds)
    inside = _inside(request, labels, embeddings.n_customers)
    eligible &= inside
    size = request.size if request.share is None else round(request.share * int(eligible.sum()))
    outside = len(inside) - int(inside.sum())
    _check_size(request, config, size, eligible, (suppressed, outside), seeds)
    if len(seeds) == embeddings.n_customers:
        raise InputError(f"all {len(seeds)} customers are seeds: there is nobody to compare them with")
    return Pool(seeds, eligible, size, counts, suppressed, missed, outside)


def _check_options(request: AudienceRequest) -> None:
    given = [name for name in ("size", "share", "precision") if getattr(request, name) is not None]
    if len(given) != 1:
        told = f"{' and '.join(given)} are given" if given else "none is given"
        raise InputError(f"how many customers? Exactly one of size, share and precision says so; {told}")
    if request.precision is not None and request.base_rate is None:
        raise InputError(
            "a precision is asked for without base_rate, the share of everybody who is like the seeds: likeness alone "
            "tells how much better than a random audience it is (lift), not how many members will be right"
        )
    if request.precision is not None and request.include_seeds:
        raise InputError("precision counts customers who are not seeds: leave out include_seeds, or ask for a size")
    if both := sorted(set(request.segments) & set(request.not_segments)):
        raise InputError(f"segment {both[0]} is both in segments and in not_segments")


def _inside(request: AudienceRequest, labels: Labels | None, n: int) -> Mask:
    """bool [n]: who is in a segment that is asked for, and in none that is ruled out."""
    inside = np.ones(n, dtype=bool)
    asked = {*request.segments, *request.not_segments}
    if not asked:
        return inside
    known = {-1} if labels is None else {-1, *np.unique(labels).tolist()}
    if unknown := sorted(asked - known):
        there = ", ".join(str(segment) for segment in sorted(known - {-1})) or "none"
        raise InputError(f"segment {unknown[0]} is not in this snapshot: there are {there} (-1: in no segment)")
    of = np.full(n, -1) if labels is None else labels
    if request.segments:
        inside &= np.isin(of, request.segments)
    return np.asarray(inside & ~np.isin(of, request.not_segments))


def ids(customers: tuple[CustomerId, ...]) -> pl.Series:
    """Ids as one series: integers where all are, else text."""
    if all(isinstance(c, int) for c in customers):
        try:
            return pl.Series("customer_id", customers, dtype=pl.Int64)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            pass  # an integer too large to be an id: as text it is unknown, and listed
    return pl.Series("customer_id", [str(c) for c in customers], dtype=pl.String)


def _eligible(request: AudienceRequest, embeddings: Embeddings, seeds: Rows) -> tuple[Mask, int, int]:
    eligible = np.ones(embeddings.n_customers, dtype=bool)
    rows = embeddings.rows_of(ids(request.suppress).unique()) if request.suppress else np.empty(0, np.int64)
    eligible[rows[rows >= 0]] = False
    suppressed = len(eligible) - int(eligible.sum())
    if not request.include_seeds:
        eligible[seeds] = False
    return eligible, suppressed, int((rows < 0).sum())


def _check_size(
    request: AudienceRequest,
    config: AudienceConfig,
    size: int | None,
    eligible: Mask,
    left_out: tuple[int, int],
    seeds: Rows,
) -> None:
    many, (suppressed, outside) = int(eligible.sum()), left_out
    told = f"{many} customers are eligible ({len(eligible)} in the snapshot"
    told += "" if request.include_seeds else f", {len(seeds)} seeds left out"
    told += f", {suppressed} suppressed" + (f", {outside} in other segments" if outside else "") + ")"
    for asked in (size, *request.nested):
        if asked is not None and asked < config.least_size:
            raise InputError(
                f"an audience of {asked} is asked for: the least is {config.least_size}, since smaller ones "
                f"cannot be judged and could single people out{'' if asked == request.size else f'; {told}'}"
            )
    if (size or config.least_size) > many:
        most = f"ask for {many} at most" if many >= config.least_size else f"the least audience is {config.least_size}"
        raise InputError(f"an audience of {size or config.least_size} is asked for: {told}; {most}")
    if size is not None and request.nested and max(request.nested) > size:
        raise InputError(f"an audience of {max(request.nested)} cannot be nested in one of {size}")


def _some(unmatched: tuple[str, ...], shown: int = 5) -> str:
    if not unmatched:
        return ""
    return ": " + ", ".join(repr(c) for c in unmatched[:shown]) + (", …" if len(unmatched) > shown else "")
