"""Readable names of segments, made from what sets them apart; no two are equal."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from cluster.profile import Driver
from cluster.words import column, is_code, plural, readable

if TYPE_CHECKING:
    from eventlog.behaviour import Feature

MOSTLY, STRONG, SCARCE = 0.5, 2.0, 0.25
ABSENCE = 0.4
"""How much a behaviour that a segment lacks counts in its name beside one that it has."""
STRONGEST = 2.0
"""Score of a driver from which a stronger one says no more."""
PLAINNESS = {"std": 0.1, "min": 0.1, "max": 0.8, "median": 0.8, "distinct": 0.5}
"""How much a statistic says to a reader, beside a share or a total."""
LONGEST = 72
PARTS = 2
TRIED = 8
"""Phrases that are combined to find a name that is free."""
TERSE = 15
"""The values of a field with at most so many say little without its name, such as a brand that is "Private"."""

HOURS = {
    "00-03": "at night", "03-06": "before dawn", "06-09": "in the early morning", "09-12": "in the morning",
    "12-15": "at midday", "15-18": "in the afternoon", "18-21": "in the evening", "21-24": "late in the evening",
}  # fmt: skip
ACTIVITY = {
    "events": ("very active", "rarely active"),
    "active_days": ("active on many days", "active on few days"),
    "events_per_active_day": ("much at a time", "little at a time"),
    "gap_mean_days": ("rarely active", "very active"),
    "gap_std_days": ("irregular", "regular"),
    "visit_gap_days": ("long between visits", "short between visits"),
    "first_event_days": ("here for long", "new"),
    "last_event_days": ("not seen lately", "seen lately"),
}
"""Feature -> what its high and its low side are called."""


def terse_fields(features: "Sequence[Feature]") -> frozenset[str]:
    """The fields with few values, whose values need the field's name beside them; `source` speaks for itself."""
    values = {(f.field, f.value) for f in features if f.kind == "share" and f.field and f.value}
    counts = Counter(field for field, _ in values)
    return frozenset(field for field, count in counts.items() if field and count <= TERSE and field != "source")


BROAD = "Broad majority"
"""Name of a segment that holds most customers: it differs from everybody only in lacking what the others have."""


def names_of(drivers: Sequence[Sequence[Driver]], terse: Collection[str] = (), broad: int | None = None) -> list[str]:
    """One name per segment: its two strongest behaviours, and more where two segments would share a name.

    `terse` are the fields whose values are named together with the field; `broad` is the segment of most customers.
    """
    names = name_new(dict(enumerate(drivers)), {}, (), terse, broad)
    return [names[i] for i in range(len(drivers))]


def name_new(
    drivers: Mapping[int, Sequence[Driver]],
    kept: Mapping[int, str],
    taken: Collection[str] = (),
    terse: Collection[str] = (),
    broad: int | None = None,
) -> dict[int, str]:
    """Names of the segments that are not in `kept`, by id; `drivers` are those of all segments, kept ones included.

    A name is made of what sets its segment apart from the others as well as from everybody. It is not confusable with
    a kept one, with one of `taken` (names that were given to others before), or with another new one.
    """
    phrases = dict(zip(drivers, _phrases(list(drivers.values()), terse), strict=True))
    first = {segment: _join(of_one[:PARTS]) for segment, of_one in phrases.items()}
    alike: dict[frozenset[str], list[int]] = {}
    for segment, name in first.items():
        alike.setdefault(_gist(name), []).append(segment)
    used, names = [*kept.values(), *taken], {}
    for segment in (s for s in drivers if s not in kept):
        others = {phrase for same in alike[_gist(first[segment])] if same != segment for phrase in phrases[same]}
        wanted = _told_apart(phrases[segment], others) if others else first[segment]
        names[segment] = _free(BROAD if segment == broad else wanted, phrases[segment], used)
        used.append(names[segment])
    return names


def confusable(one: str, other: str) -> bool:
    """Whether two names are equal but for upper case, the order of their phrases, or words of degree."""
    return _gist(one) == _gist(other)


def _free(wanted: str, phrases: Sequence[str], used: Collection[str]) -> str:
    """The name that is wanted, or the next best of these phrases that is not confusable with one that is used.

    A name that says nothing which a used one does not say as well is taken only where there is no other.
    """
    known = {_gist(name) for name in used}
    several = [c for parts in (PARTS, PARTS + 1) for c in combinations(range(min(len(phrases), TRIED)), parts)]
    ways = sorted(several, key=lambda way: (len(way), sum(way)))
    names = [wanted, *(_join([phrases[i] for i in way]) for way in ways)]
    free = [name for name in names if _gist(name) not in known]
    own = [name for name in free if not any(_gist(name) < other for other in known)]
    if free:
        return own[0] if own else free[0]
    number = 2
    while _gist(f"{wanted} ({number})") in known:
        number += 1
    return f"{wanted} ({number})"


def numbered(names: Sequence[str]) -> list[str]:
    """Names made unique: the second and later of equal ones get the next number that is free."""
    taken, out = set(names), []
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        unique = name
        if seen[name] > 1:
            number = seen[name]
            while f"{name} ({number})" in taken:
                number += 1
            unique = f"{name} ({number})"
            taken.add(unique)
        out.append(unique)
    return out


def _phrases(drivers: Sequence[Sequence[Driver]], terse: Collection[str]) -> list[list[str]]:
    """Each segment's drivers in a marketer's words, no subject twice; of the first two, what it does more leads.

    What many other segments do just as much says little, and comes later.
    """
    claims = [_claims(of_one, terse) for of_one in drivers]
    out = []
    for own, of_one in enumerate(claims):
        telling = {}
        for about, (_, weight) in of_one.items():
            rivals = (other[about][1] for i, other in enumerate(claims) if i != own and about in other)
            telling[about] = weight / max(1.0, sum(min(1.0, rival / max(weight, 1e-9)) ** 2 for rival in rivals))
        ranked = sorted(of_one, key=lambda about: -telling[about])
        once = {subject: (higher, of_one[subject, higher][0]) for subject, higher in reversed(ranked)}
        ordered = [once[subject] for subject in dict.fromkeys(subject for subject, _ in ranked)]
        first = sorted(ordered[:PARTS], key=lambda phrase: not phrase[0])
        out.append([phrase for _, phrase in first + ordered[PARTS:]])
    return out


def _claims(drivers: Sequence[Driver], terse: Collection[str]) -> dict[tuple[str, bool], tuple[str, float]]:
    """(subject, whether more) -> phrase and how much it says; the strongest where several drivers say the same."""
    claims: dict[tuple[str, bool], tuple[str, float]] = {}
    for driver in drivers:
        subject, phrase = phrase_of(driver, terse)
        # what people do says more than what they do not do; beyond a bound, strength adds nothing to a name
        weight = min(driver.score, STRONGEST) * (1.0 if driver.higher else ABSENCE) * _plainness(driver)
        about = (subject.casefold(), driver.higher)
        if about not in claims or weight > claims[about][1]:
            claims[about] = (phrase, weight)
    return claims


def _plainness(driver: Driver) -> float:
    """How much a driver says to a reader beside a share or a total."""
    return PLAINNESS.get(driver.feature.rsplit(":", 1)[-1], 1.0) if driver.kind in ("amount", "count") else 1.0


def phrase_of(driver: Driver, terse: Collection[str] = ()) -> tuple[str, str]:
    """What a driver is about, and how the segment differs in it, such as ("fuel", "more fuel")."""
    if driver.feature in ACTIVITY:
        high, low = ACTIVITY[driver.feature]
        return "activity" if driver.kind == "count" or "gap" in driver.feature else driver.feature, (
            high if driver.higher else low
        )
    if driver.kind == "share" and driver.value is not None:
        return _share(driver, driver.value, terse)
    field = column(driver.field or driver.words)
    if driver.kind == "count":
        return field, f"{'many' if driver.higher else 'few'} different {plural(field)}"
    words = readable(driver.words)
    if words.startswith("spread of "):
        return field, f"{'widely varying' if driver.higher else 'steady'} {words.removeprefix('spread of ')}"
    words = re.sub("^largest ", "maximum ", re.sub("^smallest ", "minimum ", words))
    return field, f"{'high' if driver.higher else 'low'} {words}"


def _share(driver: Driver, value: str, terse: Collection[str]) -> tuple[str, str]:
    lift = driver.lift or 0.0
    if driver.field is None:
        when = HOURS.get(value, f"on {value}s")
        return when, f"{'often' if driver.higher else 'rarely'} {when}"
    if driver.higher:
        how = "mostly" if driver.segment >= MOSTLY else "a lot of" if lift >= STRONG else "more"
    else:
        how = "hardly any" if lift <= SCARCE else "less"
    field = column(driver.field)
    if is_code(value):
        # a number or short code: one of them is enough in a name, so that the rest can say what people do
        return field, f"{'often' if how in ('a lot of', 'more') else how} {field} {readable(value)}"
    subject = f"{readable(value)} {field}" if driver.field in terse else readable(value)
    return subject, f"{how} {subject}"


def _told_apart(phrases: Sequence[str], others: Collection[str]) -> str:
    """A name with the strongest phrase that none of the `others` has, where there is one."""
    known = {_plainly(phrase) for phrase in others}
    own = next((phrase for phrase in phrases[PARTS:] if _plainly(phrase) not in known), None)
    return _join([*phrases[:PARTS], own] if own else phrases[: PARTS + 1])


def _plainly(phrase: str) -> str:
    """A phrase without its degree: "a lot of wine" and "more wine" tell nobody apart."""
    lower = re.sub(r"^(hardly any|rarely) ", "less ", phrase.casefold())
    return re.sub(r"^(mostly|often|a lot of) ", "more ", lower)


def _gist(name: str) -> frozenset[str]:
    """What a reader keeps of a name: its phrases, whatever their order and degree."""
    return frozenset(_plainly(phrase.strip()) for phrase in name.split(", "))


def _join(phrases: Sequence[str]) -> str:
    """Phrases as a name; the middle ones give way, and at last letters, where it would be too long."""
    kept = list(phrases) or ["close to the average"]
    while len(kept) > 1 and len(", ".join(kept)) > LONGEST:
        del kept[-2 if len(kept) > 2 else -1]
    text = kept[0][0].upper() + ", ".join(kept)[1:]
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip(" ,") + "…"
