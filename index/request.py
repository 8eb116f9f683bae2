"""What a marketer asks for."""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BeforeValidator, Field

from configs.reader import Config

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
    where: tuple[str, ...] = ()
    """Conditions on attributes that members must meet, each `attribute=value|value` or `attribute!=value`."""
    spread: str | None = None
    """Attribute over whose groups the members spread as the customers who may be in it do."""
    hold_out: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the members, drawn at random, who are kept out of the list, so that the effect can be measured later."""
    churn_cap: float | None = Field(default=None, gt=0, le=1)
    """Where it is a saved audience that is refreshed: share of its members that may leave each time, at most."""
    seed: int = Field(default=0, ge=0)
    """Seed of all that is drawn at random; the same request gives the same audience."""


def ids(customers: tuple[CustomerId, ...]) -> pl.Series:
    """Ids as one series: integers where all are, else text."""
    if all(isinstance(c, int) for c in customers):
        try:
            return pl.Series("customer_id", customers, dtype=pl.Int64)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            pass  # an integer too large to be an id: as text it is unknown, and listed
    return pl.Series("customer_id", [str(c) for c in customers], dtype=pl.String)
