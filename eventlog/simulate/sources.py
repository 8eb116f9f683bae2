"""What each source records on a day. Every function draws a day's events of one source for everybody at once.

Money comes first in each stream, so that future spend can be known without making the rest of the event.
Legend of shapes: n customers, k events.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eventlog.simulate import personas as cast
from eventlog.simulate.chance import RESOLUTION, Floats, Ints, draw, mixed, pick
from eventlog.simulate.days import Today, is_due
from eventlog.simulate.tables import AWAY, CODE, COUNTRIES, INCOME_KINDS, INCOME_OF, TOWNS, log_amounts

BANKS = tuple(f"bank_{i:02d}" for i in range(12))
EMPLOYERS = 400
CHAINS, LOCALS = 16, 4
MERCHANTS = CHAINS + LOCALS * len(TOWNS)  # of each category
NOISE_GROUPS = tuple(f"group_{i:02d}" for i in range(16))
NOISE_PRINTS = tuple(f"print_{i:02d}" for i in range(64))


@dataclass(frozen=True)
class Coded:
    """A categorical column: codes [k] into names."""

    codes: NDArray[np.integer]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Events:
    """A day's events of one source in no order: customer rows [k], times [k], columns of k values."""

    customer: Ints
    seconds: Floats
    columns: dict[str, Coded | Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Money:
    """The part of a source's events that spend is known from."""

    customer: Ints
    kind: NDArray[np.uint8]
    amount: Floats


def _amount(rng: np.random.Generator, log_mean: Floats, sigma: Floats | float) -> Floats:
    return np.maximum(np.round(np.exp(log_mean + sigma * rng.standard_normal(log_mean.size)), 2), 0.01)


def _tenths(values: Floats) -> Floats:
    return np.round(values, 1)


def _when(
    rng: np.random.Generator, today: Today, who: Ints, quantiles: Floats | None = None, clock: float = 1.0
) -> Floats:
    """Seconds of the day [k] by the hours of each persona, or of one shape for all, shifted by the personal clock."""
    at = rng.random(who.size) * RESOLUTION
    low = at.astype(np.int64)
    if quantiles is None:
        table, row = today.tables.persona_hours, today.persona[who]
        if today.date.weekday() >= 5:
            table, row = today.tables.hours["weekend"][None], np.zeros(who.size, np.uint8)
        begin, end = table[row, low], table[row, low + 1]
    else:
        begin, end = quantiles[low], quantiles[low + 1]
    return (begin + (at - low) * (end - begin) + clock * today.traits.clock[who]) % 86_400.0


def _town(rng: np.random.Generator, today: Today, who: Ints) -> NDArray[np.uint8]:
    elsewhere = rng.random(who.size) < 0.12
    towns = today.traits.town[who].copy()
    towns[elsewhere] = draw(rng, today.tables.towns, np.zeros(int(elsewhere.sum()), np.uint8))
    return towns


def card_money(today: Today, rng: np.random.Generator) -> Money:
    """Card payments but groceries and travel: category by persona, sometimes by the customer's own taste."""
    who = pick(rng, today.rate("card"))
    away = today.country[who] > 0
    kind = draw(rng, today.tables.card, np.where(away, AWAY, today.persona[who]).astype(np.uint8))
    own = rng.random(who.size)
    taste = (own < 0.18) & ~away
    kind[taste] = today.traits.favourites[who[taste], (own[taste] / 0.18 * 2.999).astype(np.int64)]
    mean, sigma = log_amounts(cast.CARD)
    # half of the difference in means shows in the single payment, the rest in what is bought
    level = 0.6 * today.tables.log_spend[today.persona[who]] + today.traits.log_spend[who]
    return Money(who, kind, _amount(rng, mean[kind] + level, sigma[kind]))


def _merchants(
    rng: np.random.Generator, today: Today, who: Ints, kind: NDArray[np.uint8], town: NDArray[np.uint8]
) -> Ints:
    """A merchant [k]: one of two favourites of this customer for this category, else any chain or local one."""
    luck = rng.random(who.size)
    code = rng.integers(0, 1 << 63, who.size, dtype=np.uint64)
    for salt, share in ((1, luck < 0.4), (2, (luck >= 0.4) & (luck < 0.6))):
        code[share] = mixed(who[share] * 64 + kind[share], today.seed % (1 << 32) * 4 + salt)
    chain = (code & np.uint64(7)) < 4
    rank = ((code >> np.uint64(8)) & np.uint64(0xFFFF)).astype(np.float64) / 65536
    number = np.where(
        chain,
        (rank**2 * CHAINS).astype(np.int64),
        CHAINS + town.astype(np.int64) * LOCALS + (rank * LOCALS).astype(np.int64),
    )
    return np.asarray(kind.astype(np.int64) * MERCHANTS + number)


def _merchant_names() -> tuple[str, ...]:
    # numbered in an order that does not give the category away
    count = len(cast.CARD) * MERCHANTS
    order = np.argsort(mixed(np.arange(count, dtype=np.int64), 7))
    return tuple(f"M{number:05d}" for number in np.argsort(order))


MERCHANT_NAMES = _merchant_names()


def card(today: Today, rng: np.random.Generator) -> Events:
    """Card payments."""
    money = card_money(today, rng)
    who, town = money.customer, _town(rng, today, money.customer)
    return Events(who, _when(rng, today, who), {
        "amount": money.amount,
        "category": Coded(money.kind, tuple(cast.CARD)),
        "merchant": Coded(_merchants(rng, today, who, money.kind, town), MERCHANT_NAMES),
        "channel": Coded(draw(rng, today.tables.channels, today.persona[who]), cast.CHANNELS),
        "town": Coded(town, TOWNS),
        "country": Coded(today.country[who], COUNTRIES),
    })  # fmt: skip


def groceries_money(today: Today, rng: np.random.Generator) -> Money:
    """Food shopping; the format of the shop sets the size of the basket."""
    who = pick(rng, today.rate("groceries"))
    kind = draw(rng, today.tables.groceries, today.persona[who])
    mean = np.log([42.0, 30.0, 12.0, 78.0, 36.0])[kind]
    level = 0.8 * today.tables.log_spend[today.persona[who]] + today.traits.log_spend[who]
    return Money(who, kind, _amount(rng, mean + level, 0.55))


def groceries(today: Today, rng: np.random.Generator) -> Events:
    """Groceries."""
    money = groceries_money(today, rng)
    who = money.customer
    chain = mixed(who * 8 + money.kind, 11) % np.uint64(6)
    wander = rng.random(who.size) < 0.3
    chain = np.where(wander, rng.integers(0, 6, who.size), chain).astype(np.int64)
    items = np.maximum(np.round(money.amount / 3.2 * np.exp(0.25 * rng.standard_normal(who.size))), 1.0)
    names = tuple(f"{name}_{i}" for name in cast.GROCERY_FORMATS for i in range(6))
    return Events(who, _when(rng, today, who), {
        "amount": money.amount,
        "items": items,
        "format": Coded(money.kind, tuple(cast.GROCERY_FORMATS)),
        "chain": Coded(money.kind.astype(np.int64) * 6 + chain, names),
        "town": Coded(_town(rng, today, who), TOWNS),
    })  # fmt: skip


def travel_money(today: Today, rng: np.random.Generator) -> Money:
    """Tickets, hotels, cars and holidays."""
    who = pick(rng, today.rate("travel"))
    kind = draw(rng, today.tables.travel, today.persona[who])
    mean, sigma = log_amounts(cast.TRAVEL)
    level = 0.6 * today.tables.log_spend[today.persona[who]] + today.traits.log_spend[who]
    return Money(who, kind, _amount(rng, mean[kind] + level, sigma[kind]))


def travel(today: Today, rng: np.random.Generator) -> Events:
    """Travel; `lead_days` is how long before it begins it is paid, 0 for those who are on the way."""
    money = travel_money(today, rng)
    who = money.customer
    country = today.country[who]
    booked = (rng.random(who.size) ** 1.5 * len(COUNTRIES)).astype(np.int64)
    lead = np.round(np.exp(2.5 + 1.0 * rng.standard_normal(who.size)))
    return Events(who, _when(rng, today, who), {
        "amount": money.amount,
        "lead_days": np.where(country > 0, 0.0, lead),
        "kind": Coded(money.kind, tuple(cast.TRAVEL)),
        "country": Coded(np.where(country > 0, country, booked), COUNTRIES),
    })  # fmt: skip


def cash(today: Today, rng: np.random.Generator) -> Events:
    """Cash taken out, in notes of ten, and paid in."""
    who = pick(rng, today.rate("cash"))
    kind = draw(rng, today.tables.cash, today.persona[who])
    mean = np.log([60.0, 180.0, 220.0])[kind] + 0.3 * today.traits.log_spend[who]
    amount = np.maximum(np.round(_amount(rng, mean, 0.6) / 10) * 10, 10.0)
    seconds = np.where(kind == 0, _when(rng, today, who), _when(rng, today, who, today.tables.hours["desk"], 0.1))
    return Events(who, seconds, {
        "amount": amount, "kind": Coded(kind, tuple(cast.CASH)), "town": Coded(_town(rng, today, who), TOWNS),
        "country": Coded(today.country[who], COUNTRIES),
    })  # fmt: skip


def transfer(today: Today, rng: np.random.Generator) -> Events:
    """Transfers, bills and fees; those out are positive like payments, `direction` tells them apart."""
    who = pick(rng, today.rate("transfer"))
    kind = draw(rng, today.tables.transfer, today.persona[who])
    mean, sigma = log_amounts(cast.TRANSFERS)
    level = 0.5 * today.tables.log_spend[today.persona[who]] + today.traits.log_spend[who]
    incoming = np.array([name in cast.INCOMING for name in cast.TRANSFERS])
    bank = mixed(who * 16 + kind, 13) % np.uint64(len(BANKS))
    stray = rng.random(who.size) < 0.4
    bank = np.where(stray, rng.integers(0, len(BANKS), who.size), bank).astype(np.int64)
    return Events(who, _when(rng, today, who), {
        "amount": _amount(rng, mean[kind] + level, sigma[kind]),
        "kind": Coded(kind, tuple(cast.TRANSFERS)),
        "direction": Coded(incoming[kind].astype(np.int64), ("out", "in")),
        "bank": Coded(bank, BANKS),
    })  # fmt: skip


def login(today: Today, rng: np.random.Generator) -> Events:
    """Logins: mostly from the customer's main device."""
    who = pick(rng, today.rate("login"))
    persona = today.persona[who]
    main = today.tables.devices[persona, (today.traits.device[who] * (RESOLUTION - 1)).astype(np.int64)]
    device = np.where(rng.random(who.size) < 0.8, main, draw(rng, today.tables.devices, persona))
    action = draw(rng, today.tables.actions, persona)
    curious = today.asking[who] & (rng.random(who.size) < 0.35)
    action[curious] = tuple(cast.ACTIONS).index("mortgage")
    seconds = np.round(np.exp(3.4 + 0.5 * (device == 2) + 0.8 * rng.standard_normal(who.size)), 1)
    return Events(who, _when(rng, today, who), {
        "seconds": seconds, "device": Coded(device, tuple(cast.DEVICES)), "action": Coded(action, tuple(cast.ACTIONS)),
    })  # fmt: skip


def call(today: Today, rng: np.random.Generator) -> Events:
    """Calls to the bank in its opening hours."""
    who = pick(rng, today.rate("call"))
    reason = draw(rng, today.tables.calls, today.persona[who])
    luck, names = rng.random(who.size), tuple(cast.CALLS)
    reason[today.asking[who] & (luck < 0.6)] = names.index("mortgage")
    reason[today.leaving[who] & (luck < 0.5)] = names.index("complaint")
    return Events(who, _when(rng, today, who, today.tables.hours["desk"], 0.1), {
        "minutes": _tenths(np.exp(1.6 + 0.7 * rng.standard_normal(who.size))),
        "wait_minutes": np.round(rng.exponential(3.5, who.size), 1),
        "reason": Coded(reason, names),
    })  # fmt: skip


def branch(today: Today, rng: np.random.Generator) -> Events:
    """Visits to a branch."""
    who = pick(rng, today.rate("branch"))
    purpose = draw(rng, today.tables.visits, today.persona[who])
    purpose[today.asking[who] & (rng.random(who.size) < 0.6)] = tuple(cast.VISITS).index("mortgage")
    return Events(who, _when(rng, today, who, today.tables.hours["desk"], 0.1), {
        "minutes": _tenths(np.exp(2.2 + 0.6 * rng.standard_normal(who.size))),
        "purpose": Coded(purpose, tuple(cast.VISITS)),
        "town": Coded(_town(rng, today, who), TOWNS),
    })  # fmt: skip


def salary(today: Today, rng: np.random.Generator) -> Events:
    """Salaries, pensions, grants and benefits, on the customer's payday; nearly the same each time."""
    paid = np.where(today.paid_weekly, today.date.weekday() == 4, is_due(today.payday, today.date))
    # who is about to leave has told the employer of another account
    who = np.flatnonzero(paid & (today.busy > 0) & ~today.leaving).astype(np.int64)
    persona = today.true[who]
    part = np.where(today.paid_weekly[who], 12 / 52, 1.0)
    vary = np.where(persona == CODE["self_employed"], 0.35, np.where(persona == CODE["shift_worker"], 0.12, 0.01))
    level = np.log(today.tables.income[persona] * part) + today.traits.log_income[who]
    employer = mixed(who * 16 + persona, 17) % np.uint64(EMPLOYERS)
    return Events(who, _when(rng, today, who, today.tables.hours["batch"], 0.0), {
        "amount": _amount(rng, level, vary),
        "kind": Coded(INCOME_OF[persona], INCOME_KINDS),
        "employer": Coded(employer.astype(np.int64), tuple(f"E{i:03d}" for i in range(EMPLOYERS))),
    })  # fmt: skip


def rent(today: Today, rng: np.random.Generator) -> Events:
    """Rent and mortgage payments: the same sum on the same day of each month."""
    n = today.persona.size
    homes, u = today.tables.homes[today.true], today.traits.home[:n]
    kind = np.where(u < homes[:, 0], 0, np.where(u < homes[:, 0] + homes[:, 1], 1, 2))
    day = 1 + (mixed(np.arange(n, dtype=np.int64), 19) % np.uint64(6)).astype(np.int64)
    who = np.flatnonzero((kind < 2) & is_due(day, today.date) & (today.busy > 0)).astype(np.int64)
    level = np.log(homes[who, 2]) + 0.8 * today.traits.log_income[who] + 0.02 * (12.0 - today.traits.town[who])
    return Events(who, _when(rng, today, who, today.tables.hours["batch"], 0.0), {
        "amount": np.round(np.exp(level), 2), "kind": Coded(kind[who], ("rent", "mortgage")),
    })  # fmt: skip


SOURCES: dict[str, Callable[[Today, np.random.Generator], Events]] = {
    "salary": salary, "rent": rent, "groceries": groceries, "travel": travel, "cash": cash, "transfer": transfer,
    "card": card, "login": login, "call": call, "branch": branch,
}  # fmt: skip
"""All sources. Their order is part of every event's id and stream: append only."""

SPEND: dict[str, Callable[[Today, np.random.Generator], Money]] = {
    "groceries": groceries_money, "travel": travel_money, "card": card_money,
}  # fmt: skip
"""The sources whose amounts are a customer's spend."""

NOISY = ("card", "login")


def events_of(today: Today, source: str, *, noise: bool) -> Events:
    """A day's events of one source, with the columns of noise where they belong."""
    number = list(SOURCES).index(source)
    events = SOURCES[source](today, today.rng(number))
    if noise and source in NOISY:
        rng = today.rng(number + 1000)
        k = events.customer.size
        events.columns["noise_group"] = Coded(rng.integers(0, len(NOISE_GROUPS), k), NOISE_GROUPS)
        events.columns["noise_number"] = np.round(rng.standard_normal(k), 4)
        events.columns["noise_print"] = Coded(today.traits.fingerprint[events.customer], NOISE_PRINTS)
    return events


def spend_of(today: Today) -> Floats:
    """What everybody spends on a day [n], without making the events."""
    total = np.zeros(today.persona.size)
    for number, source in enumerate(SOURCES):
        if source in SPEND:
            money = SPEND[source](today, today.rng(number))
            total += np.bincount(money.customer, money.amount, minlength=total.size)
    return total
