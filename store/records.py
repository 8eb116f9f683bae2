"""What the catalogue hands out: plain frozen records, free of the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

Role = Literal["marketer", "analyst", "admin"]
"""marketer builds audiences, analyst only reads, admin also manages keys and snapshots."""
ROLES: tuple[Role, ...] = get_args(Role)

RunStatus = Literal["running", "succeeded", "failed", "interrupted"]
"""interrupted: the process died without a word; set by `Catalogue.interrupt_runs`."""
Action = Literal["publish", "rollback"]
AudienceStatus = Literal["running", "ready", "failed"]


@dataclass(frozen=True)
class Run:
    """One command that wrote to the workspace. Holds no process id or host: nothing ties it to a machine."""

    id: int
    command: str
    started: datetime
    """UTC, as every time here."""
    ended: datetime | None
    status: RunStatus
    recipe_hash: str | None
    eventlog_key: str | None
    model_key: str | None
    snapshot: str | None
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Publication:
    """One move of the pointer to what is served."""

    id: int
    snapshot: str
    at: datetime
    actor: str
    action: Action
    previous: str | None
    """The snapshot served before."""
    run_id: int | None
    """The run that published it, where a run did."""


@dataclass(frozen=True)
class AudienceRecord:
    """One lookalike audience: how it was asked for and what came out. Customer ids are in the members file only."""

    id: str
    created: datetime
    actor: str
    snapshot: str
    request: Mapping[str, Any]
    """Options of the request, never its seeds."""
    seeds_sha256: str
    size: int
    status: AudienceStatus
    report: Mapping[str, Any]
    result_sha256: str | None
    """SHA-256 of the members file."""
    members: str | None
    """Path of the members file, relative to the workspace."""


@dataclass(frozen=True)
class ApiKey:
    """An API key, without its secret: only a hash of that is kept."""

    id: str
    name: str
    role: Role
    created: datetime
    last_used: datetime | None
    """To the hour: a write for every request would cost more than it tells."""
    revoked: datetime | None


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to what, when. Never names a customer."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Objection:
    """What a customer last said about marketing profiling."""

    customer: str
    at: datetime
    actor: str
    """Who noted it."""
    objects: bool
    """False once it was withdrawn."""


@dataclass(frozen=True)
class SegmentName:
    """A name that somebody gave to a segment."""

    lineage: str
    """The line of snapshots in which segments keep their ids."""
    segment: int
    name: str
    at: datetime
    actor: str
    """Who gave it."""
