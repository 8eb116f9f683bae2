"""What a marketer asks for, and what it comes to in one snapshot."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from configs.errors import InputError
from configs.reader import Config
from embed.artifact import Embeddings
from index.config import AudienceConfig

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
CustomerId = int | str


class AudienceRequest(Config):
    """Ask for an audience of `size` customers like `seeds`."""

    seeds: tuple[CustomerId, ...]
    """Ids of the customers to find more of; their order does not matter."""
    size: int
    """Customers in the audience."""
    include_seeds: bool = False
    """Whether seeds may be members themselves."""
    suppress: tuple[CustomerId, ...] = ()
    """Ids that must not be in the audience; unknown ones are ignored and counted."""
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
    size: int
    counts: SeedCounts
    suppressed: int
    """Customers of the snapshot that the suppression list names."""
    suppress_unmatched: int

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


def resolve(request: AudienceRequest, embeddings: Embeddings, config: AudienceConfig) -> Pool:
    """Match ids to rows and check what is asked.

    Raises InputError, with counts, for too few matched seeds, an audience too small, or one larger than the
    customers who may be in it.
    """
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
    _check_size(request, config, eligible, suppressed, seeds)
    if len(seeds) == embeddings.n_customers:
        raise InputError(f"all {len(seeds)} customers are seeds: there is nobody to compare them with")
    return Pool(seeds, eligible, request.size, counts, suppressed, missed)


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


def _check_size(request: AudienceRequest, config: AudienceConfig, eligible: Mask, suppressed: int, seeds: Rows) -> None:
    many = int(eligible.sum())
    if request.size < config.least_size:
        raise InputError(
            f"an audience of {request.size} is asked for: the least is {config.least_size}, since smaller ones "
            "cannot be judged and could single people out"
        )
    if request.size > many:
        left_out = "" if request.include_seeds else f", {len(seeds)} seeds left out"
        most = f"ask for {many} at most" if many >= config.least_size else f"the least audience is {config.least_size}"
        raise InputError(
            f"an audience of {request.size} is asked for: {many} customers are eligible "
            f"({len(eligible)} in the snapshot{left_out}, {suppressed} suppressed); {most}"
        )


def _some(unmatched: tuple[str, ...], shown: int = 5) -> str:
    if not unmatched:
        return ""
    return ": " + ", ".join(repr(c) for c in unmatched[:shown]) + (", …" if len(unmatched) > shown else "")
