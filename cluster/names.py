"""Readable names of segments, made from what sets them apart; no two are equal."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cluster.profile import Driver

if TYPE_CHECKING:
    from eventlog.behaviour import Feature

MOSTLY, STRONG, SCARCE = 0.5, 2.0, 0.25
ABSENCE = 0.4
"""How much a behaviour that a segment lacks counts in its name beside one that it has."""
LONGEST = 72
PARTS = 2
TERSE = 6
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
    phrases = [phrases_of(of_one, terse) for of_one in drivers]
    first = [_join(of_one[:PARTS]) for of_one in phrases]
    names, shared = list(first), Counter(first)
    for i, name in enumerate(first):
        if shared[name] > 1:
            others = [phrases[j] for j, same in enumerate(first) if j != i and same == name]
            names[i] = _told_apart(phrases[i], {phrase for other in others for phrase in other})
    if broad is not None:
        names[broad] = BROAD
    return numbered(names)


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


def phrases_of(drivers: Sequence[Driver], terse: Collection[str] = ()) -> list[str]:
    """The drivers in a marketer's words, no subject twice; of the first two, what the segment does more leads."""
    phrases: list[tuple[bool, str]] = []
    subjects = set()
    # what people do says more than what they do not do
    for driver in sorted(drivers, key=lambda d: -d.score * (1.0 if d.higher else ABSENCE)):
        subject, phrase = phrase_of(driver, terse)
        if subject.casefold() not in subjects:
            subjects.add(subject.casefold())
            phrases.append((driver.higher, phrase))
    first = sorted(phrases[:PARTS], key=lambda p: not p[0])
    return [phrase for _, phrase in first + phrases[PARTS:]]


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
    return field, f"{'high' if driver.higher else 'low'} {readable(driver.words)}"


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
    if re.search(r"[^\W\d_]{3,}", value) is None:
        # a number or short code: one of them is enough in a name, so that the rest can say what people do
        return field, f"{'often' if how in ('a lot of', 'more') else how} {field} {readable(value)}"
    subject = f"{readable(value)} {field}" if driver.field in terse else readable(value)
    return subject, f"{how} {subject}"


def readable(text: str) -> str:
    """A column name or value as words: underscores to spaces, SHOUTING to lower case."""
    text = " ".join(text.replace("_", " ").split())
    return text.lower() if text.isupper() else text


def column(name: str) -> str:
    """A column's name as a noun: store_id, store."""
    return re.sub(r" (id|code|no|nr|key)$", "", readable(name))


def plural(noun: str) -> str:
    """The regular plural of a noun: category, categories."""
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|ch|sh)$", noun) else "s")


def _told_apart(phrases: Sequence[str], others: Collection[str]) -> str:
    """A name with the strongest phrase that none of the `others` has, where there is one."""
    known = {_plainly(phrase) for phrase in others}
    own = next((phrase for phrase in phrases[PARTS:] if _plainly(phrase) not in known), None)
    return _join([*phrases[:PARTS], own] if own else phrases[: PARTS + 1])


def _plainly(phrase: str) -> str:
    """A phrase without its degree: "a lot of wine" and "more wine" tell nobody apart."""
    return re.sub(r"^hardly any ", "less ", re.sub(r"^(mostly|a lot of) ", "more ", phrase))


def _join(phrases: Sequence[str]) -> str:
    """Phrases as a name; the middle ones give way, and at last letters, where it would be too long."""
    kept = list(phrases) or ["close to the average"]
    while len(kept) > 1 and len(", ".join(kept)) > LONGEST:
        del kept[-2 if len(kept) > 2 else -1]
    text = kept[0][0].upper() + ", ".join(kept)[1:]
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip(" ,") + "…"
