"""What a simulated bank is made from."""

from datetime import date, timedelta
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from configs.reader import Config

MAX_CUSTOMERS = 1 << 30
FUTURE = 90
"""Days after the end whose spend is the truth's future value."""


class SimulateConfig(Config):
    """The knobs of `kinfolk simulate`. Same knobs and seed, same bytes; more `days` only add to what fewer gave."""

    what: ClassVar[str] = "simulate"

    customers: int = Field(default=10_000, ge=1, le=MAX_CUSTOMERS)
    """Customers that the bank has on the first day; new ones join on top of them at the rate `joins`."""
    days: int = Field(default=180, ge=1, le=36_500)
    """Days to generate, from `start` on. A run with more days starts with the same bytes."""
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    """Seed of everything random."""
    start: date = date(2025, 1, 1)
    """The first day (UTC)."""
    day: int | None = Field(default=None, ge=0, le=36_500)
    """Generate this day alone, counted from 0 at `start`, with the bytes it has in a whole run; truth is left alone."""
    id_type: Literal["integer", "string"] = "integer"
    """Type of `customer_id`; both are random-looking and say nothing about the customer."""
    attrition: float = Field(default=0.1, ge=0, le=5)
    """Share of customers who leave in a year, averaged over personas; they go quiet for good, many after a decline."""
    joins: float = Field(default=0.08, ge=0, le=5)
    """Customers who join in a year, as a share of `customers`, evenly over the days."""
    life_events: float = Field(default=1.0, ge=0, le=20)
    """How many times the usual rate of life events (new job, child, house, ...); 0 for none."""
    activity: float = Field(default=1.0, gt=0, le=10)
    """How many times the usual number of payments, logins, calls and visits."""
    noise: bool = True
    """Whether cards and logins carry the three columns of pure noise."""

    @model_validator(mode="after")
    def _within_the_calendar(self) -> Self:
        last = max(self.days, (self.day or 0) + 1) + FUTURE
        if self.start < date(1971, 1, 1) or self.start > date(2260, 1, 1) - timedelta(days=last):
            raise ValueError(f"start must be between 1971-01-01 and 2260-01-01 less the days, got {self.start}")
        if self.customers_by(last) > MAX_CUSTOMERS:
            raise ValueError(
                f"at most {MAX_CUSTOMERS:,} customers may join in all; ask for fewer customers, joins or days"
            )
        return self

    def date_of(self, day: int) -> date:
        """The calendar date of a day, counted from 0 at `start`."""
        return self.start + timedelta(days=day)

    def customers_by(self, day: int) -> int:
        """How many customers have joined by the end of a day; those who left since are counted."""
        return self.customers + int(self.joins * self.customers * (day + 1) / 365.0)
