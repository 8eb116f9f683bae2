"""The registry in files, beside the members: what the next generation needs to go on from this one.

<snapshot>/segments/
  registry.json       lineage, generation, segments, joins, events, what the last shadow asked for
  landmarks.arrow     what customers are placed by: row (int64, -1 gone), reach (float32), label, part (int32), x, y
                      (float32); where customers could be compared
  space.safetensors   points [c, m] of the landmarks, axes [d, m] and offset [m] of how vectors are compared, and
                      where weeks are looked at likely_ids [s], likely_weights [d, s] and likely_bias [s], which tell
                      segments by them; ditto
  changed.arrow       who has lived differently lately: row (int64), first, last (int32, Mondays as days since 1970), z
                      (float32), segment (int32, -1 none), strength (float32); where anybody was asked about
  shadow.arrow        row (int64, -1 gone), found (int32, cluster of the last shadow, -1 none)
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cluster.events import SegmentEvent
from cluster.fit import Membership
from cluster.identity import Identity
from cluster.landmarks import Ground, Landmarks
from cluster.lately import NEVER, Changed
from cluster.likely import Likely
from cluster.registry import Registry, Seen
from cluster.shadow import Proposal
from cluster.sharpen import Space
from configs.errors import ArtifactError
from embed.arrow import map_columns, write_columns
from store.artifact import ArtifactWriter

REGISTRY, LANDMARKS, SPACE, SHADOW = "registry.json", "landmarks.arrow", "space.safetensors", "shadow.arrow"
CHANGED = "changed.arrow"
FORMAT = 1
COLUMNS, SEEN = ("row", "reach", "label", "part", "x", "y"), ("row", "found")
LATELY = ("row", "first", "last", "z", "segment", "strength")
LIKELY = ("ids", "weights", "bias")


def write_state(writer: ArtifactWriter, registry: Registry, lineage: str) -> None:
    """Write everything of a registry but its members and figures."""
    told = {
        "format": FORMAT,
        "lineage": lineage,
        "generation": registry.generation,
        "day": registry.day,
        "next_id": registry.next_id,
        "segments": [asdict(segment) for segment in registry.segments],
        "joins": registry.joins,
        "events": [asdict(event) for event in registry.events],
        "pending": [asdict(proposal) for proposal in registry.pending],
        "message": registry.message,
        "ground": None,
    }
    if (ground := registry.ground) is not None:
        landmarks = ground.landmarks
        # JSON knows no infinity
        limit = landmarks.limit if np.isfinite(landmarks.limit) else None
        told["ground"] = {"since": ground.since, "limit": limit}
        columns = (landmarks.rows, landmarks.reaches, ground.labels, ground.part, ground.flat[:, 0], ground.flat[:, 1])
        write_columns(writer.path(LANDMARKS), dict(zip(COLUMNS, map(pa.array, columns), strict=True)))
        space = {"points": landmarks.points, "axes": landmarks.space.axes, "offset": landmarks.space.offset}
        likely = {} if ground.likely is None else {f"likely_{name}": getattr(ground.likely, name) for name in LIKELY}
        save_file(space | likely, writer.path(SPACE))
    if (changed := registry.changed).monday != NEVER:
        lately = (changed.rows, changed.first, changed.last, changed.z, changed.segment, changed.strength)
        write_columns(writer.path(CHANGED), dict(zip(LATELY, map(pa.array, lately), strict=True)))
        told["monday"] = changed.monday
    seen = (pa.array(registry.seen.rows), pa.array(registry.seen.found))
    write_columns(writer.path(SHADOW), dict(zip(SEEN, seen, strict=True)))
    writer.write_json(REGISTRY, told)


def read_facts(folder: Path) -> dict[str, Any]:
    """What registry.json holds. Raises ArtifactError where it is damaged or newer than this version of kinfolk."""
    path = folder / REGISTRY
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(told["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not a readable registry of segments ({error}); rebuild the segments") from None
    if version > FORMAT:
        raise ArtifactError(
            f"{path}: a registry of segments in format {version}; this version of kinfolk reads up to {FORMAT}, so it "
            "cannot go on from these segments: upgrade kinfolk"
        )
    return told


def day_of(told: dict[str, Any]) -> int:
    """The day along its line of a registry; before days were told, there was a generation a day."""
    return int(told.get("day", told["generation"]))


def read_events(told: dict[str, Any]) -> tuple[SegmentEvent, ...]:
    """The events among the facts."""
    return tuple(SegmentEvent(**{**event, "others": tuple(event["others"])}) for event in told["events"])


def read_registry(folder: Path, members: Membership) -> Registry:
    """The registry at `folder` whose members are `members`. Raises ArtifactError."""
    told = read_facts(folder)
    try:
        rows, found = (column.to_numpy() for column in map_columns(folder / SHADOW, SEEN).columns)
        return Registry(
            generation=told["generation"],
            next_id=told["next_id"],
            segments=tuple(Identity(**{**s, "parts": tuple(s["parts"])}) for s in told["segments"]),
            members=members,
            joins=tuple((a, b) for a, b in told["joins"]),
            events=read_events(told),
            message=told["message"],
            ground=None if told["ground"] is None else _ground(folder, **told["ground"]),
            seen=Seen(rows, found),
            pending=tuple(
                Proposal(p["kind"], tuple(p["segments"]), tuple(p["clusters"]), p["evidence"]) for p in told["pending"]
            ),
            changed=read_changed(folder, told),
            day=day_of(told),
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ArtifactError(f"{folder}: not a readable registry of segments ({error}); rebuild the segments") from None


def read_changed(folder: Path, told: dict[str, Any]) -> Changed:
    """Who has lived differently lately, by the registry at `folder` and its facts; nobody where that was not asked."""
    monday = told.get("monday", NEVER)
    if monday == NEVER:
        return Changed.nobody()
    return Changed(monday, *(column.to_numpy() for column in map_columns(folder / CHANGED, LATELY).columns))


def _ground(folder: Path, since: int, limit: float | None) -> Ground:
    rows, reaches, labels, part, x, y = (c.to_numpy() for c in map_columns(folder / LANDMARKS, COLUMNS).columns)
    held = load_file(folder / SPACE)
    bound = float("inf") if limit is None else limit
    landmarks = Landmarks(rows, held["points"], reaches, bound, Space(held["axes"], held["offset"]))
    told = [held[f"likely_{name}"] for name in LIKELY] if "likely_ids" in held else None
    return Ground(landmarks, labels, part, np.column_stack([x, y]), since, Likely(*told) if told else None)
