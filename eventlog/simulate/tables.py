"""The cast as arrays: what a day's events are drawn from. Legend: P personas, C categories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eventlog.simulate import personas as cast
from eventlog.simulate.chance import RESOLUTION, Floats, lookup
from eventlog.simulate.personas import NAMES, PERSONAS

Table = NDArray[np.uint8]
RATED = ("card", "groceries", "travel", "cash", "transfer", "login", "call", "branch")
"""Sources whose events come at a rate, in the order of `Persona.rates`; salary and rent come by the calendar."""
TOWNS = tuple(f"town_{i:02d}" for i in range(24))
COUNTRIES = ("home", "ES", "FR", "IT", "PT", "GR", "DE", "AT", "CH", "NL", "GB", "US", "TR", "TH", "AE")
AWAY = len(PERSONAS)
"""Row of the card table for a customer who is abroad."""
MAX_PAYDAYS = 4


@dataclass(frozen=True)
class Tables:
    """Lookup tables [P, RESOLUTION] and plain arrays [P, ...]."""

    rates: Floats  # [8, P] events a day
    card: Table  # [P + 1, RESOLUTION]; the last row is AWAY
    favourite: Table  # [1, RESOLUTION] the common mix
    groceries: Table
    travel: Table
    cash: Table
    transfer: Table
    devices: Table
    actions: Table
    calls: Table
    visits: Table
    channels: Table
    towns: Table  # [1, RESOLUTION]
    hours: dict[str, Floats]  # shape -> [RESOLUTION + 1] second of the day at each quantile
    persona_hours: Floats  # [P, RESOLUTION + 1]
    weekend: Floats  # [P]
    trips: Floats  # [P]
    squeeze: Floats  # [P]
    log_spend: Floats  # [P]
    leaving: Floats  # [P]
    income: Floats  # [P] median a month
    weekly: Floats  # [P] share paid weekly
    paydays: NDArray[np.int64]  # [P, MAX_PAYDAYS]
    homes: Floats  # [P, 3] share renting, share with a mortgage, median a month


def _mix(base: Mapping[str, float], tilts: Sequence[Mapping[str, float]]) -> Table:
    unknown = {name for tilt in tilts for name in tilt} - set(base)
    if unknown:
        raise KeyError(f"personas tilt unknown categories: {', '.join(sorted(unknown))}")
    return lookup(np.array([[weight * tilt.get(name, 1.0) for name, weight in base.items()] for tilt in tilts]))


def _weights(base: Mapping[str, tuple[float, float, float]]) -> dict[str, float]:
    return {name: weight for name, (weight, _, _) in base.items()}


def _quantiles(bumps: Sequence[tuple[float, float, float]]) -> Floats:
    """Seconds of the day [RESOLUTION + 1] at even quantiles of bumps that wrap round midnight, over a low floor."""
    at = np.arange(0, 86_400, 60) + 30.0
    density = np.full(at.size, 1e-9)
    for hour, width, weight in bumps:
        away = np.abs(at / 3600 - hour)
        away = np.minimum(away, 24 - away)
        density += weight / width * np.exp(-0.5 * (away / width) ** 2)
    ends = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    return np.interp(np.linspace(0, 1, RESOLUTION + 1), ends, np.arange(0, 86_401, 60))


def log_amounts(base: Mapping[str, tuple[float, float, float]]) -> tuple[Floats, Floats]:
    """Mean and sigma [C] of the log amount."""
    return np.log([median for _, median, _ in base.values()]), np.array([sigma for _, _, sigma in base.values()])


@lru_cache(maxsize=1)
def tables() -> Tables:
    """All tables, made once."""
    hours = {name: _quantiles(bumps) for name, bumps in cast.SHAPES.items()}
    leaving = np.array([p.leaving for p in PERSONAS])
    share = np.array([p.share for p in PERSONAS])
    return Tables(
        rates=np.array([p.rates for p in PERSONAS]).T,
        card=_mix(_weights(cast.CARD), [*(p.card for p in PERSONAS), cast.TRIP]),
        favourite=_mix(_weights(cast.CARD), [{}]),
        groceries=_mix(cast.GROCERY_FORMATS, [p.groceries for p in PERSONAS]),
        travel=_mix(_weights(cast.TRAVEL), [p.travel for p in PERSONAS]),
        cash=_mix(cast.CASH, [p.cash for p in PERSONAS]),
        transfer=_mix(_weights(cast.TRANSFERS), [p.transfer for p in PERSONAS]),
        devices=_mix(cast.DEVICES, [p.devices for p in PERSONAS]),
        actions=_mix(cast.ACTIONS, [p.actions for p in PERSONAS]),
        calls=_mix(cast.CALLS, [p.calls for p in PERSONAS]),
        visits=_mix(cast.VISITS, [p.visits for p in PERSONAS]),
        channels=lookup(np.array([p.channels for p in PERSONAS], float)),
        towns=lookup(1.0 / np.arange(2, len(TOWNS) + 2, dtype=float)[None]),
        hours=hours,
        persona_hours=np.stack([hours[p.hours] for p in PERSONAS]),
        weekend=np.array([p.weekend for p in PERSONAS]),
        trips=np.array([p.trips for p in PERSONAS]),
        squeeze=np.array([p.squeeze for p in PERSONAS]),
        log_spend=np.log([p.spend for p in PERSONAS]),
        leaving=leaving / float((leaving * share).sum()),
        income=np.array([p.income[1] for p in PERSONAS], float),
        weekly=np.array([p.income[2] for p in PERSONAS]),
        paydays=np.array([(p.paydays * MAX_PAYDAYS)[:MAX_PAYDAYS] for p in PERSONAS]),
        homes=np.array([p.home for p in PERSONAS]),
    )


INCOME_KINDS = tuple(dict.fromkeys(p.income[0] for p in PERSONAS))
INCOME_OF = np.array([INCOME_KINDS.index(p.income[0]) for p in PERSONAS])  # [P]
CODE = {name: i for i, name in enumerate(NAMES)}
