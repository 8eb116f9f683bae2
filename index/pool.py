"""What a request for an audience comes to in one snapshot: rows of seeds, and who may be a member."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from configs.errors import InputError
from embed.artifact import Embeddings
from embed.customers import lots
from index.config import AudienceConfig
from index.eligibility import Context, Eligibility, eligibility
from index.request import AudienceRequest, Mask, Rows, ids


@dataclass(frozen=True)
class SeedCounts:
    """What became of the seeds that were given."""

    given: int
    duplicates: int
    matched: int
    """Seeds that are used: customers of the snapshot who have not objected."""
    unmatched: tuple[str, ...]
    """Ids that are no customers of the snapshot, in the order given, once each."""
    objected: int = 0
    """Seeds left out since they objected to marketing profiling."""


@dataclass(frozen=True)
class Pool:
    """A request in terms of rows."""

    seeds: Rows
    """Rows of the seeds that are used, ascending, unique."""
    standing: Eligibility
    """Who may be a member."""
    objected: Mask
    """bool [n]: who is left out of everything."""
    size: int | None
    """None where the precision decides."""
    counts: SeedCounts
    lots: npt.NDArray[np.uint64]
    """uint64 [n]: a number for everybody by their id, by which samples are drawn: one customer more or less hardly
    changes who else is drawn."""

    @property
    def eligible(self) -> Mask:
        """bool [n]: who may be a member."""
        return self.standing.allowed

    @cached_property
    def is_seed(self) -> Mask:
        """bool [n]"""
        mask = np.zeros(len(self.eligible), dtype=bool)
        mask[self.seeds] = True
        return mask

    @cached_property
    def present(self) -> Rows:
        """Rows of everybody who has not objected, ascending."""
        return np.flatnonzero(~self.objected)

    @cached_property
    def others(self) -> Rows:
        """Rows that are not seeds and have not objected, ascending."""
        return np.flatnonzero(~self.is_seed & ~self.objected)

    @cached_property
    def drawn(self) -> Rows:
        """Rows of the others in the order in which they are drawn."""
        return np.asarray(self.others[np.argsort(self.lots[self.others], kind="stable")])

    def first_drawn(self, many: int) -> Rows:
        """The first `many` of `drawn`, fewer where there are fewer; of a million, next to nobody is put in order."""
        lots, share = self.lots[self.others], 1.1 * many / len(self.others)
        if share < 0.9:
            early = np.flatnonzero(lots < np.uint64(share * 2**64))
            if len(early) >= many:
                return self.others[early[np.argsort(lots[early], kind="stable")[:many]]]
        return self.drawn[:many]

    @cached_property
    def reachable(self) -> int:
        """How many may be members and are not seeds: where customers like the seeds are yet to be found."""
        return int(np.count_nonzero(self.eligible & ~self.is_seed))


def resolve(
    request: AudienceRequest, embeddings: Embeddings, config: AudienceConfig, context: Context | None = None
) -> Pool:
    """Match ids to rows and check what is asked.

    Raises InputError, with counts, for too few matched seeds, an audience too small, or one larger than the
    customers who may be in it, for options that contradict each other, and for segments, attributes or values that
    there are not.
    """
    context = context or Context()
    _check_options(request)
    objected = np.zeros(embeddings.n_customers, dtype=bool) if context.objected is None else context.objected
    seeds, counts = _seeds(request, embeddings, objected)
    if len(seeds) < config.least_seeds:
        left_out = f", {counts.objected} who objected to profiling" if counts.objected else ""
        error = InputError(
            f"{len(seeds)} of {counts.given} seeds are known customers ({len(counts.unmatched)} unknown, "
            f"{counts.duplicates} duplicates{left_out}): at least {config.least_seeds} "
            "are needed to see what they share"
        )
        if counts.unmatched:  # for who asked; the text itself goes into reports too
            error.add_note(f"Unknown are {_some(counts.unmatched)}")
        raise error
    standing = eligibility(request, embeddings, seeds, context)
    size = request.size if request.share is None else round(request.share * int(standing.allowed.sum()))
    _check_size(request, config, size, standing, 0 if request.include_seeds else len(seeds))
    pool = Pool(seeds, standing, objected, size, counts, lots(embeddings.customers, request.seed))
    if len(pool.others) == 0:
        raise InputError(f"all {len(seeds)} customers are seeds: there is nobody to compare them with")
    return pool


def _seeds(request: AudienceRequest, embeddings: Embeddings, objected: Mask) -> tuple[Rows, SeedCounts]:
    given = ids(request.seeds)
    if len(given) == 0:
        raise InputError("the seed list is empty: give the ids of the customers to find more of")
    unique = given.unique(maintain_order=True)
    rows = embeddings.rows_of(unique)
    unmatched = tuple(str(c) for c in unique.filter(pl.Series(rows < 0)).to_list())
    # two forms of one id ("7" and "07") are one customer
    known = np.unique(rows[rows >= 0])
    duplicates = int((rows >= 0).sum()) - len(known) + len(given) - len(unique)
    seeds = known[~objected[known]]
    return seeds, SeedCounts(len(given), duplicates, len(seeds), unmatched, len(known) - len(seeds))


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
    if request.spread is not None and (request.nested or request.precision is not None):
        other = "nested" if request.nested else "precision"
        raise InputError(f"spread goes with a size or a share, not with {other}: ask for one of the two")


def _check_size(
    request: AudienceRequest, config: AudienceConfig, size: int | None, standing: Eligibility, seeds: int
) -> None:
    many, told = int(standing.allowed.sum()), standing.told(seeds)
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
    return ", ".join(repr(c) for c in unmatched[:shown]) + (", …" if len(unmatched) > shown else "")
