"""What is measured of a new snapshot before it is judged: sealed in it, so that it can be judged again later.

<snapshot>/night/
  facts.json       what came in, drift, figures for the gates; no limit, no customer id, no clock
  sketch.json      what the events looked like that the model was trained on, see `eventlog.drift`
  manifest.json
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from configs.errors import ArtifactError
from serve.night_report import CustomersIn, FieldDrift, Kind, SourceIn
from store.artifact import create, verify

KIND, VERSION, FACTS, SKETCH = "night", 1, "facts.json", "sketch.json"
VOLUMES = 7
"""Nights whose number of new events says what is usual."""
FEWEST_VOLUMES = 3


@dataclass(frozen=True)
class Facts:
    """What a night found, whatever the limits say to it."""

    kind: Kind
    as_of: str
    figures: Mapping[str, float | None]
    """By gate, see `serve.night_gates`; None where there is nothing to judge."""
    sources: tuple[SourceIn, ...] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    customers: CustomersIn | None = None
    drift: tuple[FieldDrift, ...] = ()
    vectors: Mapping[str, float] = field(default_factory=dict)
    model_change: Mapping[str, float] = field(default_factory=dict)
    volumes: tuple[float, ...] = ()
    """New events a day of the last nights, this one included, oldest first."""

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """The facts from what `asdict` gave."""
        told = dict(body)
        told["sources"] = tuple(SourceIn(**item) for item in told["sources"])
        told["customers"] = None if told["customers"] is None else CustomersIn(**told["customers"])
        told["drift"] = tuple(_drift(item) for item in told["drift"])
        told["volumes"] = tuple(told["volumes"])
        return cls(**told)


def _drift(body: Mapping[str, Any]) -> FieldDrift:
    bins = tuple((str(name), float(was), float(now)) for name, was, now in body["bins"])
    return FieldDrift(**{**body, "bins": bins})


def usual_volume(volumes: tuple[float, ...]) -> float | None:
    """The median number of new events a day; None after too few nights to say."""
    if len(volumes) < FEWEST_VOLUMES:
        return None
    ordered = sorted(volumes)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def write_facts(facts: Facts, sketch: Mapping[str, Any], folder: Path, key: str, parents: Mapping[str, str]) -> None:
    """Write the facts at `folder`, a part of the snapshot."""
    with create(folder, KIND, VERSION, key) as writer:
        writer.parents.update(parents)
        writer.write_json(FACTS, asdict(facts))
        writer.write_json(SKETCH, dict(sketch))


def load_facts(snapshot: Path) -> Facts | None:
    """The facts of the snapshot at a folder; None where no night made it. Raises ArtifactError where damaged."""
    body = _read(snapshot, FACTS)
    try:
        return None if body is None else Facts.from_json(body)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{snapshot / 'night' / FACTS}: cannot be read ({error}); restore it from a backup"
        ) from None


def load_sketch(snapshot: Path) -> dict[str, Any] | None:
    """The sketch that the snapshot's night carried on; None where no night made it."""
    return _read(snapshot, SKETCH)


def _read(snapshot: Path, name: str) -> dict[str, Any] | None:
    folder = snapshot / "night"
    if not folder.is_dir():
        return None
    verify(folder, KIND, VERSION)
    body: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return body
