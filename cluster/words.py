"""Behaviours, conditions and figures in words that a marketer can read."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.profile import Driver
    from eventlog.behaviour import Feature

STATISTICS = {
    "sum": "total {}",
    "mean": "average {}",
    "std": "spread of {}",
    "min": "smallest {}",
    "max": "largest {}",
    "median": "typical {}",
}
BOUNDS = {
    "events": "{} events",
    "active_days": "events on {} days",
    "events_per_active_day": "{} events per active day",
    "first_event_days": "first event {} days ago",
    "last_event_days": "last event {} days ago",
    "gap_mean_days": "{} days between events on average",
    "gap_std_days": "spread of the days between events of {}",
    "visit_gap_days": "{} days between active days on average",
}
"""Feature -> the sentence with a bound, such as "at least 3", in the place of {}."""


@dataclass(frozen=True)
class Subject:
    """What a figure is about."""

    name: str
    kind: str
    field: str | None
    value: str | None
    words: str


def subject_of(feature: "Feature | Driver") -> Subject:
    """What a feature, or a driver made from it, is about."""
    name = feature.name if hasattr(feature, "name") else feature.feature
    return Subject(name, feature.kind, feature.field, feature.value, feature.words)


def readable(text: str) -> str:
    """A column name or value as words: underscores to spaces, SHOUTING to lower case; a code such as M0042 as it is."""
    text = " ".join(text.replace("_", " ").split())
    return text.lower() if text.isupper() and not re.search(r"\d", text) else text


def is_code(value: str) -> bool:
    """Whether a value is a number or a short code that says nothing by itself."""
    return re.search(r"[^\W\d_]{3,}", value) is None


def column(name: str) -> str:
    """A column's name as a noun: store_id, store."""
    return re.sub(r" (id|code|no|nr|key)$", "", readable(name))


def plural(noun: str) -> str:
    """The regular plural of a noun: category, categories."""
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|ch|sh)$", noun) else "s")


def figure(kind: str, value: float) -> str:
    """A value of a feature of this kind, shares as per cent; three digits, more only of whole numbers."""
    if kind == "share":
        return f"{number(100 * value, 2 if abs(value) < 0.1 else 3)} %"
    return number(value, 3)


def number(value: float, digits: int) -> str:
    """A number with so many significant digits, thousands set off by commas, never as a power of ten."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    text = f"{rounded:,.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def about(subject: Subject) -> str:
    """The behaviour as a noun phrase, such as "share of amount with kind pension"."""
    if subject.kind == "share":
        return f"share of {_whole(subject)} {_part(subject)}"
    if subject.field is None:
        return subject.words
    statistic = subject.name.rsplit(":", 1)[-1]
    if statistic == "distinct":
        return f"number of different {plural(column(subject.field))}"
    return STATISTICS[statistic].format(readable(subject.field)) if statistic in STATISTICS else subject.words


def condition(subject: Subject, at_least: bool, threshold: float) -> str:
    """A condition in words, such as "at least 12 % of events with department fuel"."""
    bound = f"{'at least' if at_least else 'at most'} {figure(subject.kind, threshold)}"
    if subject.kind == "share":
        none = not at_least and threshold <= 0
        return f"{'no' if none else bound + ' of'} {_whole(subject)} {_part(subject)}"
    if subject.name in BOUNDS:
        return BOUNDS[subject.name].format(bound)
    if subject.kind == "count" and subject.field is not None:
        noun = column(subject.field)
        if not at_least and threshold <= 0:
            return f"no {noun} at all"
        return f"{bound} {noun if threshold == 1 else 'different ' + plural(noun)}"
    return f"{about(subject)} of {bound}"


def _whole(subject: Subject) -> str:
    """What a share is a share of: events, or an amount."""
    match = re.match(r"share of (.+?) (with|on|from) ", subject.words)
    return readable(match[1]) if match else "events"


def _part(subject: Subject) -> str:
    """Which events a share counts, such as "with kind salary" or "on Mondays"."""
    if subject.field is None or subject.value is None:
        return subject.words.removeprefix("share of events ")
    if subject.field == "source":
        return f"from {readable(subject.value)}"
    return f"with {column(subject.field)} {readable(subject.value)}"


def sentence(conditions: Sequence[str]) -> str:
    """Conditions as one sentence."""
    parts = list(conditions)
    text = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)
    return text[:1].upper() + text[1:]
