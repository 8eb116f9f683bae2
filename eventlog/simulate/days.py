"""One day of the bank: who is active, under which persona, where, and how busy. Legend: n customers joined by then."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from eventlog.simulate.chance import Floats, Ints, Stream, generator
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.life import NEVER, Population, Traits
from eventlog.simulate.personas import LIFE_EVENTS
from eventlog.simulate.tables import COUNTRIES, MAX_PAYDAYS, RATED, Tables, tables

RAMP = 14
"""Days over which a life event turns one behaviour into another."""
AHEAD = 30
"""Days before a house, a divorce or leaving the bank in which it shows in calls, visits and logins."""
MONTHS = {
    "card": (0.93, 0.94, 0.98, 0.99, 1.0, 1.0, 1.02, 0.99, 0.99, 1.0, 1.06, 1.22),
    "groceries": (0.97, 0.97, 1.0, 1.01, 1.0, 0.99, 0.97, 0.96, 1.0, 1.0, 1.02, 1.12),
    "travel": (0.8, 0.85, 0.95, 1.1, 1.15, 1.3, 1.4, 1.3, 1.0, 0.95, 0.8, 0.9),
}
WEEKDAYS = {
    "branch": (1.1, 1.0, 1.0, 1.0, 1.2, 0.35, 0.0),
    "call": (1.3, 1.1, 1.0, 1.0, 1.0, 0.5, 0.25),
    "cash": (0.9, 0.85, 0.9, 1.0, 1.3, 1.25, 0.8),
    "transfer": (1.1, 1.05, 1.0, 1.0, 1.15, 0.8, 0.7),
    "travel": (1.05, 1.0, 1.0, 1.0, 1.1, 0.9, 0.95),
    "login": (1.1, 1.0, 1.0, 1.0, 1.05, 0.9, 0.85),
}


@dataclass(frozen=True)
class Today:
    """The state of everybody on one day, from which every source draws its events; arrays are [n]."""

    seed: int
    day: int
    date: date
    tables: Tables
    traits: Traits
    true: NDArray[np.uint8]  # the true persona: sets income and home
    persona: NDArray[np.uint8]  # the persona acted today, which need not be the true one
    busy: Floats  # 0 for those who have not joined or have left, less than 1 for those who fade
    since_payday: Floats  # days
    paid_weekly: NDArray[np.bool_]
    payday: Ints  # day of the month
    country: NDArray[np.uint8]  # 0 at home, else an index of COUNTRIES
    asking: NDArray[np.bool_]  # about to buy a house
    leaving: NDArray[np.bool_]  # about to leave the bank, and showing it

    def rng(self, source: int) -> np.random.Generator:
        """The day's generator of one source."""
        return generator(self.seed, Stream.EVENTS, self.day, source)

    def rate(self, source: str) -> Floats:
        """Events [n] that everybody is expected to have today in one source."""
        which, weekday, cast = RATED.index(source), self.date.weekday(), self.tables
        by_persona: Floats = cast.rates[which] * MONTHS.get(source, (1.0,) * 12)[self.date.month - 1]
        if source in WEEKDAYS:
            by_persona = by_persona * WEEKDAYS[source][weekday]
        elif weekday >= 5:
            by_persona = by_persona * cast.weekend
        rate: Floats = by_persona[self.persona] * self.traits.rates[which, : self.persona.size] * self.busy
        if source in ("card", "groceries", "cash"):
            rate *= 1.0 + cast.squeeze[self.persona] * (0.5 - self.since_payday / 30.0)
        away = self.country > 0
        if source == "travel":
            rate[away] += 0.35 * self.busy[away]
        elif source in ("groceries", "branch", "cash", "card"):
            rate[away] *= {"groceries": 0.35, "branch": 0.0, "cash": 1.5, "card": 1.4}[source]
        if source in ("call", "branch"):
            rate[self.asking] *= 4.0
            rate[self.leaving] *= 2.5
        return rate


def today(config: SimulateConfig, people: Population, day: int) -> Today:
    """The state of a day. Costs the same for any day, however late."""
    n = config.customers_by(day)
    on, cast, life = config.date_of(day), tables(), people.life
    join, churn, decline = life.join[:n], life.churn[:n], life.decline[:n]
    rng = generator(config.seed, Stream.STATE, day)
    true, acted = _personas(people, day, n, rng)
    persona = np.where(rng.random(n) < people.traits.second_share[:n], people.traits.second[:n], acted)
    busy = np.where(day < churn, config.activity, 0.0)
    fades = (decline > 0) & (churn - day <= decline) & (churn != NEVER)
    busy[fades] *= np.maximum((churn[fades] - day) / decline[fades], 0.05)
    fresh = (join > 0) & (day - join < 14)
    busy[fresh] *= (day - join[fresh] + 4) / 18.0
    payday = cast.paydays[true, (people.traits.payday[:n] * (MAX_PAYDAYS - 1e-9)).astype(np.int64)]
    weekly = people.traits.weekly[:n] <= cast.weekly[true]
    since = np.where(weekly, (on.weekday() - 4) % 7 * 30 / 7, (on.day - payday) % 30).astype(np.float64)
    country = _country(config, people, day, n, true)
    return Today(
        config.seed, day, on, cast, people.traits, true, persona.astype(np.uint8), busy, since, weekly, payday, country,
        asking=_before(people, day, n, "house"), leaving=fades & (churn - day <= AHEAD),
    )  # fmt: skip


def _personas(
    people: Population, day: int, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The true persona, and the one acted: soon after a life event the one before it still shows on some days."""
    life, rows = people.life, np.arange(n)
    spell = np.maximum((life.starts[:n] <= day).sum(axis=1) - 1, 0)
    age = day - life.starts[rows, spell]
    before = (spell > 0) & (rng.random(n) >= (age + 1) / (RAMP + 1))
    return life.personas[rows, spell], life.personas[rows, np.where(before, spell - 1, spell)]


def _before(people: Population, day: int, n: int, event: str) -> NDArray[np.bool_]:
    life = people.life
    ahead = (life.starts[:n] > day) & (life.starts[:n] <= day + AHEAD)
    ahead[:, 0] = False
    return np.asarray((ahead & (life.events[:n] == LIFE_EVENTS.index(event))).any(axis=1))


def _country(
    config: SimulateConfig, people: Population, day: int, n: int, persona: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Where everybody is: a trip lies within one week, drawn once for the whole week."""
    weekday = (config.date_of(day)).weekday()
    week = (day - weekday + 7) // 7
    chance, begin, length, where = generator(config.seed, Stream.TRIP, week).random((n, 4)).T
    summer = 1.8 if config.date_of(day).month in (7, 8) else 1.0
    first = (begin * 5).astype(np.int64)
    gone = (
        (chance < tables().trips[persona] * summer)
        & (weekday >= first)
        & (weekday < first + 2 + (length * 5).astype(np.int64))
    )
    gone &= people.life.join[:n] <= day
    return np.where(gone, 1 + (where**1.5 * (len(COUNTRIES) - 1)).astype(np.int64), 0).astype(np.uint8)


def due(on: date) -> tuple[int, ...]:
    """The days of the month that are paid on a date: what falls on a weekend is paid the Friday before."""
    if on.weekday() >= 5:
        return ()
    ahead = 3 if on.weekday() == 4 else 1
    return tuple((on + timedelta(days=i)).day for i in range(ahead))


def is_due(days: Ints, on: date) -> NDArray[np.bool_]:
    """Whether days of the month [n] are paid on a date."""
    return np.isin(days, due(on))
