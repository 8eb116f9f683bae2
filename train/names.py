"""Words for the features of the pools: which field each is of, and what it says."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eventlog.sequences import Schema
from train.pools import HALF_LIVES, Layout

TIME, PRESENCE, ACTIVITY, SEQUENCE = "time", "presence", "activity", "sequence"
"""Fields that are no column: when, which columns are filled, how much and how lately, the order of events."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Name:
    """What one feature is."""

    field: str
    """A column of the events, or TIME, PRESENCE, ACTIVITY."""
    words: str


def feature_names(layout: Layout, schema: Schema) -> list[Name]:
    """A name for each of the F pool features, in their order."""
    columns = [field.name for field in schema.categorical]
    numbers = list(schema.numeric)
    by_start = dict(_blocks(layout, schema, columns, numbers))
    names = [name for block in layout.blocks for name in by_start[block.start]]
    level = [f"total {number}" for number in numbers] + [f"different values of {column}" for column in columns]
    level += [
        "number of events",
        "active days",
        "events an active day",
        "days from first to last",
        "days since the last",
    ]
    for days in HALF_LIVES:
        level += [
            f"events of the last {days:.0f} days or so",
            *(f"{v} of the last {days:.0f} days or so" for v in numbers),
        ]
    return names + [Name(ACTIVITY, words) for words in level]


def _blocks(layout: Layout, schema: Schema, columns: list[str], numbers: list[str]) -> Iterator[tuple[int, list[Name]]]:
    """Start of each block of cells, and the names of what is in it."""
    for f, column in enumerate(columns):
        values = [f"{column} = {value}" for value in _values(schema, f, layout.kept[f])]
        yield layout.fields[f], [Name(column, value) for value in values]
        yield layout.category_there[f], [Name(PRESENCE, f"no {column}"), Name(PRESENCE, f"some {column}")]
        if f in layout.day_parts:
            hours = [f"{4 * part}:00 to {4 * part + 4}:00" for part in range(6)]
            yield layout.day_parts[f], [Name(column, f"{value}, {part}") for value in values for part in hours]
            days = ("on weekdays", "at weekends")
            yield layout.weekends[f], [Name(column, f"{value} {part}") for value in values for part in days]
        for v, number in enumerate(numbers):
            if (f, v) in layout.crossed:
                start, _, size = layout.crossed[f, v]
                yield start, [Name(column, f"{number} where {value}") for value in values[:size]]
    for v, number in enumerate(numbers):
        yield (
            layout.bins[v],
            [Name(number, words) for words in _bins(number, layout.scales.edges[v], layout.scales.units[v])],
        )
        yield layout.number_there[v], [Name(PRESENCE, f"no {number}"), Name(PRESENCE, f"some {number}")]
        yield layout.moments[v], [Name(number, f"usual {number}"), Name(number, f"spread of {number}")]
    yield layout.hour, [Name(TIME, f"{hour}:00 to {hour + 1}:00") for hour in range(24)]
    yield layout.weekday, [Name(TIME, f"on {day}s") for day in DAYS]
    yield layout.month_day, [Name(TIME, f"on day {day + 1} of the month") for day in range(31)]
    yield (
        layout.gap,
        [Name(TIME, words) for words in _bins("hours since the event before", layout.scales.gap_edges, 1.0)],
    )


def _values(schema: Schema, field: int, size: int) -> list[str]:
    return ["(none)", "(any other)", *schema.categorical[field].values[: size - 2]]


def _bins(what: str, edges: tuple[float, ...], unit: float) -> list[str]:
    """Words for the bins between edges of signed logs."""
    marks = [f"{np.copysign(np.expm1(abs(edge)) * unit, edge):.3g}" for edge in edges]
    if not marks:
        return [f"any {what}"]
    inner = [f"{what} from {low} to {high}" for low, high in itertools.pairwise(marks)]
    return [f"{what} up to {marks[0]}", *inner, f"{what} above {marks[-1]}"]
