"""What 1, 10 and 100 million customers need: `python -m bench.scale [--table]` prints one JSON line, or tables.

Nothing is run: times are worked out from the measurements in bench/measurements.json, each with its command, by the
formulas below, which are linear where a measurement was. Prices and the population's habits are assumptions, each an
option. A figure that nobody measured yet is null, and totals say that they lack it.
"""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MEASUREMENTS = Path(__file__).with_name("measurements.json")
POPULATIONS = (1_000_000, 10_000_000, 100_000_000)
HOURS_A_MONTH, NIGHTS_A_MONTH = 730, 30
VERIFIED = 2
"""A publication hashes every byte twice: when it is written, and when it is checked in its place."""
BEHAVIOURS = 393
"""Features of behaviour, four bytes each."""

Rates = Mapping[str, float | None]


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here; every field is an option of the command."""

    events_per_customer: float = 300
    """Events of a customer's whole history."""
    changed: float = 0.03
    """Share of the customers with new events in a night."""
    new_events: float = 5
    """New events of each of them."""
    long_histories: float = 0.6
    """Share of the customers with 64 events or more, whose states are kept."""
    width: int = 256
    """Width of a vector."""
    state_width: int = 1460
    """Width of a state."""
    hidden_width: int = 64
    """Width of the hidden state, which is all that is kept of a short history."""
    categorical: int = 5
    """Categorical fields of an event, two bytes each."""
    numeric: int = 2
    """Numeric fields of an event, four bytes each."""
    trained_events: float = 3_000_000
    """Events that training goes through; it does not grow with the population."""
    snapshots: int = 3
    """Snapshots that are kept."""
    cores: int = 16
    """Cores of a worker machine."""
    window_hours: float = 4
    """Hours in which everybody is to be embedded anew, after a retraining."""
    core_hour: float = 0.04
    """Price of one core for an hour, in dollars."""
    memory_gb_hour: float = 0.005
    """Price of one GB of memory for an hour, in dollars."""
    disk_gb_month: float = 0.08
    """Price of one GB of disk for a month, in dollars."""


@dataclass(frozen=True)
class Needs:
    """What one population needs; seconds are of one core unless said, GB are 10^9 bytes."""

    customers: int
    whole_seconds: Mapping[str, float | None]
    """Stages of a first run or a retraining."""
    night_seconds: Mapping[str, float | None]
    """Stages of a night."""
    machines_to_embed: int
    """Worker machines that embed everybody within the window."""
    memory_gb: float
    disk_gb: Mapping[str, float]
    dollars_a_month: Mapping[str, float]
    not_measured: tuple[str, ...]
    """Stages that the totals lack."""


def needs(customers: int, rates: Rates, given: Assumptions) -> Needs:
    """Work out what a population needs."""
    disk = disk_gb(customers, given)
    whole, night = whole_seconds(customers, rates, given), night_seconds(customers, rates, given)
    both = {"whole": whole, "night": night}
    lacking = tuple(f"{run} {stage}" for run, stages in both.items() for stage in stages if stages[stage] is None)
    machines = max(1, math.ceil((whole["embed"] or 0) / 3600 / given.window_hours / given.cores))
    memory = customers * 4 * (given.width + BEHAVIOURS) / 1e9 + (rates["memory_mb"] or 0) / 1e3
    hours = (total(whole) + NIGHTS_A_MONTH * total(night)) / 3600
    kept = disk["log"] + given.snapshots * disk["snapshot"]
    money = {
        "computing": hours * (given.core_hour + memory * given.memory_gb_hour),
        "serving": HOURS_A_MONTH * (2 * given.core_hour + memory * given.memory_gb_hour),
        "disk": kept * given.disk_gb_month,
    }
    return Needs(customers, whole, night, machines, memory, disk, money, lacking)


def whole_seconds(customers: int, rates: Rates, given: Assumptions) -> dict[str, float | None]:
    """Stages of a first run or a retraining."""
    events = customers * given.events_per_customer
    fixed, further = rates["segments_fixed"], _over(customers, rates["segments"])
    return {
        "prepare": _over(events, rates["prepare"]),
        "train": _over(given.trained_events, rates["train"]),
        "embed": _over(events, rates["embed"]),
        "behaviour": _over(events, rates["behaviour"]),
        "index": _over(customers, rates["index_build"]),
        "segments": None if fixed is None or further is None else fixed + further,
        "publish": _publish(customers, rates, given),
    }


def night_seconds(customers: int, rates: Rates, given: Assumptions) -> dict[str, float | None]:
    """Stages of a night."""
    return {
        "prepare": _over(customers * given.changed * given.new_events, rates["prepare"]),
        "embed": _over(customers, rates["refresh"]),
        "behaviour": _over(customers, rates["behaviour_night"]),
        "index": _over(customers, rates["index_update"]),
        "segments": _over(customers, rates["segments_night"]),
        "publish": _publish(customers, rates, given),
    }


def _publish(customers: int, rates: Rates, given: Assumptions) -> float | None:
    return _over(VERIFIED * disk_gb(customers, given)["snapshot"] * 1e3, rates["verify"])


def disk_gb(customers: int, given: Assumptions) -> dict[str, float]:
    """GB of the log and of one snapshot: vectors, histories, states of long histories, hidden states of short ones,
    behaviour."""
    event = 8 + 2 * given.categorical + 4 * given.numeric
    carried = 8 + 4 * (given.long_histories * given.state_width + (1 - given.long_histories) * given.hidden_width)
    vectors = 4 * given.width + 24 + carried
    return {
        "log": customers * given.events_per_customer * event / 1e9,
        "snapshot": customers * (vectors + 4 * BEHAVIOURS) / 1e9,
    }


def total(stages: Mapping[str, float | None]) -> float:
    """Seconds of all stages that were measured."""
    return sum(seconds or 0.0 for seconds in stages.values())


def measured_rates() -> dict[str, float | None]:
    """The values of bench/measurements.json."""
    return {name: about["value"] for name, about in json.loads(MEASUREMENTS.read_text(encoding="utf-8")).items()}


def tables(given: Assumptions) -> str:
    """Measured, assumed and worked-out figures as Markdown."""
    about = json.loads(MEASUREMENTS.read_text(encoding="utf-8"))
    found = [needs(customers, measured_rates(), given) for customers in POPULATIONS]
    lines = ["Measured:", "", "| what | value | unit | command |", "|---|---|---|---|"]
    for name, item in about.items():
        value = "not yet" if item["value"] is None else f"{item['value']:,}"
        command = f"`{item['command']}`" if item["value"] is not None else item["command"]
        lines.append(f"| {name} | {value} | {item['unit']} | {command}{', ' + item['of'] if item['of'] else ''} |")
    lines += ["", "Assumed:", "", "| option | value |", "|---|---|"]
    lines += [f"| `--{name.replace('_', '-')}` | {value:,} |" for name, value in asdict(given).items()]
    lines += [
        "",
        "Worked out:",
        "",
        "| |" + "".join(f" {n.customers:,} |" for n in found),
        "|---|" + "---|" * len(found),
    ]
    for title, row in _rows(found):
        lines.append(f"| {title} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _rows(found: list[Needs]) -> list[tuple[str, list[str]]]:
    rows = []
    for title, pick in (("first run or retraining", "whole_seconds"), ("a night", "night_seconds")):
        for stage in getattr(found[0], pick):
            rows.append((f"{title}: {stage}", [_time(getattr(n, pick)[stage]) for n in found]))
        rows.append((f"{title}: **all that was measured**", [f"**{_time(total(getattr(n, pick)))}**" for n in found]))
    rows.append(("machines to embed everybody in the window", [str(n.machines_to_embed) for n in found]))
    rows.append(("memory, GB", [f"{n.memory_gb:.1f}" for n in found]))
    for part in found[0].disk_gb:
        rows.append((f"disk: {part}, GB", [f"{n.disk_gb[part]:,.0f}" for n in found]))
    for part in found[0].dollars_a_month:
        rows.append((f"dollars a month: {part}", [f"{n.dollars_a_month[part]:,.0f}" for n in found]))
    return rows


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    return (
        f"{seconds:,.1f} s"
        if seconds < 120
        else f"{seconds / 60:,.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:,.1f} h"
    )


def _over(amount: float, rate: float | None) -> float | None:
    return None if rate is None else amount / rate


def main() -> None:
    """Print what the populations need."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Assumptions()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--table", action="store_true", help="print Markdown, as docs/scale.md has it")
    options = vars(parser.parse_args())
    as_table = options.pop("table")
    given = Assumptions(**options)
    if as_table:
        print(tables(given), end="")
        return
    found = [asdict(needs(customers, measured_rates(), given)) for customers in POPULATIONS]
    print(json.dumps({"stage": "scale", "assumed": asdict(given), "needs": found}))


if __name__ == "__main__":
    main()
