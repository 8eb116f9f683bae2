"""Who the customers are: traits that stay, and lives that change on dates. Nothing here depends on the length of a run.

Legend of shapes: n customers, P personas, K spells of a life (a spell is the time under one persona).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import ndtri

from eventlog.simulate.chance import Floats, Ints, Stream, draw, generator, mixed, uniforms
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.personas import LIFE_EVENTS, PERSONAS, TRANSITIONS
from eventlog.simulate.tables import CODE, RATED, tables

NEVER = 1 << 31
"""A day that does not come."""
LOOKAHEAD = 120
"""How many days ahead of a day its events may know of a life: people decline before they leave, ask before they buy."""
REST = 45
"""Days between two life events, at least."""
ID_BITS = 30
RATE_SIGMA = {"card": 0.35, "groceries": 0.35, "travel": 0.5, "cash": 0.6, "transfer": 0.5, "login": 0.6, "call": 0.5,
              "branch": 0.5}  # fmt: skip


@dataclass(frozen=True)
class Life:
    """When a customer is with the bank, and under which persona. Days count from the first day."""

    join: Ints  # [n] first day; negative or 0 for those there from the start
    churn: Ints  # [n] first day without the customer, or NEVER
    decline: Ints  # [n] days over which a leaver fades, 0 for an abrupt end
    starts: Ints  # [n, K] first day of each spell, NEVER where there is none
    personas: NDArray[np.uint8]  # [n, K]
    events: NDArray[np.uint8]  # [n, K] what began the spell, an index of LIFE_EVENTS; meaningless in column 0

    def spell(self, day: int) -> Ints:
        """The spell [n] that a day falls in."""
        return np.asarray(np.maximum((self.starts <= day).sum(axis=1) - 1, 0))

    def persona(self, day: int) -> NDArray[np.uint8]:
        """The true persona [n] on a day."""
        return self.personas[np.arange(self.join.size), self.spell(day)]


@dataclass(frozen=True)
class Traits:
    """What makes a customer not quite like the others of a persona; each [n] unless said otherwise."""

    id: Ints
    second: NDArray[np.uint8]  # another persona that the customer resembles on some days
    second_share: Floats  # of days
    rates: Floats  # [8, n] personal factor of each rated source
    log_spend: Floats
    town: NDArray[np.uint8]
    clock: Floats  # seconds by which the day is shifted
    payday: Floats  # uniform: picks the payday, also who is paid weekly
    weekly: Floats
    log_income: Floats
    home: Floats  # uniform: rents, pays off or owns
    device: Floats  # uniform: picks the main device
    favourites: NDArray[np.uint8]  # [n, 3] card categories
    fingerprint: NDArray[np.uint8]  # says nothing about the customer but who it is


@dataclass(frozen=True)
class Population:
    """All customers who join up to a day, in the order in which they join."""

    life: Life
    traits: Traits

    def size(self) -> int:
        """Number of customers."""
        return self.life.join.size

    @cached_property
    def text_ids(self) -> Any:
        """Ids [n] as an Arrow array of strings."""
        return pc.binary_join_element_wise("C", pa.array(self.traits.id).cast(pa.string()), "")


def population(config: SimulateConfig, day: int) -> Population:
    """Everyone who joins by the end of `day`. A population for a later day starts with the same customers."""
    n = config.customers_by(day)
    return Population(_life(config, n, day + LOOKAHEAD), _traits(config, n))


def _normal(seed: int, n: int, index: int) -> Floats:
    # by the inverse of the distribution: one uniform a customer, so that a longer draw starts with a shorter one
    return np.asarray(ndtri(uniforms(seed, Stream.TRAIT, n, index) * (1 - 2e-12) + 1e-12))


def _categorical(seed: int, stream: Stream, n: int, shares: Floats) -> NDArray[np.uint8]:
    ends = np.cumsum(shares) / shares.sum()
    return np.searchsorted(ends[:-1], uniforms(seed, stream, n)).astype(np.uint8)


def _join_days(config: SimulateConfig, n: int) -> Ints:
    """[n] day of joining: 0 for the first customers, then evenly spread. The inverse of `customers_by`."""
    order = np.arange(n - config.customers, dtype=np.int64)
    if not order.size:
        return np.zeros(n, np.int64)
    last = 1
    while config.customers_by(last) < n:
        last *= 2
    counts = np.array([config.customers_by(day) for day in range(last + 1)]) - config.customers
    return np.concatenate([np.zeros(config.customers, np.int64), np.searchsorted(counts, order, side="right")])


def _life(config: SimulateConfig, n: int, horizon: int) -> Life:
    """Lives up to `horizon`; what comes later is not known, and what is known does not depend on the horizon."""
    seed, cast = config.seed, tables()
    start = np.array([p.share for p in PERSONAS])
    later = np.array([p.joining for p in PERSONAS])
    persona = _categorical(seed, Stream.PERSONA, n, start)
    persona[config.customers :] = _categorical(seed, Stream.PERSONA, n, later)[config.customers :]
    join = _join_days(config, n)
    spells = [(join, persona, np.zeros(n, np.uint8))]
    # what is left of an exponential clock that runs at the speed of the persona's attrition
    clock = -np.log(uniforms(seed, Stream.CHURN, n, 0))
    churn = np.full(n, NEVER, np.int64)
    step = 0
    while np.any(spells[-1][0] < horizon):
        spells.append(_next_spell(config, step, *spells[-1][:2]))
        (begin, who, _), end = spells[-2], spells[-1][0]
        hazard = np.maximum(cast.leaving[who] * config.attrition / 365.0, 1e-12)
        left = (churn == NEVER) & (clock < hazard * (end - begin))
        churn[left] = begin[left] + 1 + (clock[left] / hazard[left]).astype(np.int64)
        clock = clock - hazard * (end - begin)
        step += 1
    churn[churn >= horizon] = NEVER
    starts = np.stack([begin for begin, _, _ in spells], axis=1)
    starts[:, 1:][(starts[:, 1:] >= churn[:, None]) | (starts[:, 1:] >= horizon)] = NEVER
    fades = uniforms(seed, Stream.CHURN, n, 1)
    decline = np.where(fades < 0.6, 30 + (fades / 0.6 * 45).astype(np.int64), 0)
    personas = np.stack([who for _, who, _ in spells], axis=1)
    return Life(join, churn, decline, starts, personas, np.stack([what for _, _, what in spells], axis=1))


def _next_spell(
    config: SimulateConfig, step: int, begin: Ints, who: NDArray[np.uint8]
) -> tuple[Ints, NDArray[np.uint8], NDArray[np.uint8]]:
    """The first of the competing life events of each persona: its day, the persona after it, what it was."""
    n, last = begin.size, begin.copy()
    after, what = who.copy(), np.zeros(n, np.uint8)
    wait = -np.log(uniforms(config.seed, Stream.LIFE_TIME, n, step))
    kind = uniforms(config.seed, Stream.LIFE_KIND, n, step)
    last[:] = NEVER
    for code, persona in enumerate(PERSONAS):
        ways = [
            (CODE[to], LIFE_EVENTS.index(event), rate)
            for source, event, to, rate in TRANSITIONS
            if source == persona.name
        ]
        rate = sum(way[2] for way in ways) * config.life_events / 365.0
        rows = np.flatnonzero((who == code) & (begin < NEVER))
        if rate <= 0 or not rows.size:
            continue
        days = begin[rows] + 1 + (REST if step else 0) + (wait[rows] / rate).astype(np.int64)
        last[rows] = np.minimum(days, NEVER)
        ends = np.cumsum([way[2] for way in ways])
        way = np.searchsorted(ends[:-1] / ends[-1], kind[rows])
        after[rows] = np.array([to for to, _, _ in ways], np.uint8)[way]
        what[rows] = np.array([event for _, event, _ in ways], np.uint8)[way]
    return last, after, what


def _traits(config: SimulateConfig, n: int) -> Traits:
    seed = config.seed
    overall = _normal(seed, n, 0)  # busy customers are busy everywhere
    rates = np.stack([
        np.exp(sigma * (0.5 * overall + 0.87 * _normal(seed, n, 1 + i)) - sigma**2 / 2)
        for i, sigma in enumerate(RATE_SIGMA[name] for name in RATED)
    ])  # fmt: skip

    def uniform(index: int) -> Floats:
        return uniforms(seed, Stream.TRAIT, n, index)

    def chosen(index: int, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return draw(generator(seed, Stream.TRAIT, index), table, np.zeros(n, np.uint8))

    share = np.cumsum([p.share for p in PERSONAS])
    cast = tables()
    return Traits(
        id=_ids(seed, n),
        second=np.searchsorted(share[:-1], uniform(20)).astype(np.uint8),
        second_share=0.5 * uniform(21) ** 2,
        rates=rates,
        log_spend=0.3 * _normal(seed, n, 22),
        town=chosen(23, cast.towns),
        clock=3600.0 * _normal(seed, n, 24),
        payday=uniform(25),
        weekly=uniform(26),
        log_income=0.25 * _normal(seed, n, 27),
        home=uniform(28),
        device=uniform(29),
        favourites=np.stack([chosen(30 + i, cast.favourite) for i in range(3)], axis=1),
        fingerprint=(uniform(40) * 63.999).astype(np.uint8),
    )


def _ids(seed: int, n: int) -> Ints:
    """[n] distinct ids of ten digits in an order that means nothing: a Feistel network permutes 0 .. 2**30 - 1."""
    half = ID_BITS // 2
    mask = np.int64((1 << half) - 1)
    left, right = np.arange(n, dtype=np.int64) >> half, np.arange(n, dtype=np.int64) & mask
    for turn in range(6):
        left, right = right, left ^ (mixed(right, seed % (1 << 32) * 64 + turn + 1).astype(np.int64) & mask)
    return 1_000_000_000 + ((left << half) | right)
