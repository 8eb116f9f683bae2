"""The registry in files, beside the members: what the next generation needs to go on from this one.

<snapshot>/segments/
  registry.json       lineage, generation, segments, joins, events, what the last shadow asked for
  landmarks.arrow     row (int64), reach (float32), found (int32, cluster of the last shadow); where there are any
  space.safetensors   axes [d, m], offset [m]: how vectors are compared; where there are landmarks
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
from cluster.landmarks import Landmarks
from cluster.neighbours import Floats
from cluster.registry import Registry
from cluster.shadow import Proposal
from cluster.sharpen import Space
from configs.errors import ArtifactError
from embed.arrow import map_columns, write_columns
from store.artifact import ArtifactWriter

REGISTRY, LANDMARKS, SPACE = "registry.json", "landmarks.arrow", "space.safetensors"
FORMAT = 1
COLUMNS = ("row", "reach", "found")


def write_state(writer: ArtifactWriter, registry: Registry, lineage: str) -> None:
    """Write everything of a registry but its members and figures."""
    told = {
        "format": FORMAT,
        "lineage": lineage,
        "generation": registry.generation,
        "next_id": registry.next_id,
        "segments": [asdict(segment) for segment in registry.segments],
        "joins": registry.joins,
        "events": [asdict(event) for event in registry.events],
        "pending": [asdict(proposal) for proposal in registry.pending],
        "message": registry.message,
        "limit": None,
    }
    if (landmarks := registry.landmarks) is not None:
        told["limit"] = landmarks.limit if np.isfinite(landmarks.limit) else "none"
        columns = (landmarks.rows, landmarks.reaches, registry.found)
        write_columns(writer.path(LANDMARKS), dict(zip(COLUMNS, map(pa.array, columns), strict=True)))
        save_file({"axes": landmarks.space.axes, "offset": landmarks.space.offset}, writer.path(SPACE))
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


def read_events(told: dict[str, Any]) -> tuple[SegmentEvent, ...]:
    """The events among the facts."""
    return tuple(SegmentEvent(**{**event, "others": tuple(event["others"])}) for event in told["events"])


def read_registry(folder: Path, members: Membership, vectors: Floats) -> Registry:
    """The registry at `folder` whose members are `members`, over the vectors [n, d] that it was made from.

    Raises ArtifactError.
    """
    told = read_facts(folder)
    try:
        landmarks, found = None, np.empty(0, np.int32)
        if told["limit"] is not None:
            landmarks, found = _landmarks(folder, told["limit"], vectors)
        return Registry(
            generation=told["generation"],
            next_id=told["next_id"],
            segments=tuple(Identity(**{**s, "parts": tuple(s["parts"])}) for s in told["segments"]),
            members=members,
            joins=tuple((a, b) for a, b in told["joins"]),
            events=read_events(told),
            message=told["message"],
            landmarks=landmarks,
            found=found,
            pending=tuple(
                Proposal(p["kind"], tuple(p["segments"]), tuple(p["clusters"]), p["evidence"]) for p in told["pending"]
            ),
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ArtifactError(f"{folder}: not a readable registry of segments ({error}); rebuild the segments") from None


def _landmarks(folder: Path, limit: float | str, vectors: Floats) -> tuple[Landmarks, Any]:
    rows, reaches, found = (column.to_numpy() for column in map_columns(folder / LANDMARKS, COLUMNS).columns)
    space = Space(**load_file(folder / SPACE))
    points = space.of(np.ascontiguousarray(vectors[rows]))
    bound = float("inf") if isinstance(limit, str) else float(limit)
    return Landmarks(rows.copy(), points, reaches.copy(), bound, space), found.copy()
