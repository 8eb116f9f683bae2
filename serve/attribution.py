"""Why a customer's vector is what it is: the model and the events behind a snapshot, read when somebody asks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from configs.errors import ArtifactError, ConflictError
from embed.attribution import Attribution, attribute
from eventlog.recode import recoded
from eventlog.sequences import ABSENT, OTHER, SECOND, EventLog
from serve.snapshot import Snapshot
from store.workspace import Workspace
from train.artifact import Model


@dataclass(frozen=True)
class Why:
    """What `attribute` tells of a customer, with the events in words."""

    told: Attribution
    events: list[dict[str, Any]]
    """Per event of `told.events`, in the same order: its fields by name, absent ones left out."""


def why(workspace: Workspace, snapshot: Snapshot, customer: str, days: float, events: int = 50) -> Why:
    """Tell what a customer's vector is made of, and what moved it in the `days` up to its last event.

    Raises NotFoundError for an unknown customer, and ConflictError where the snapshot's model or events are gone.
    """
    row = snapshot.row(customer)
    parents = snapshot.manifest.parents
    try:
        model = Model.load(workspace.models / parents["model"], deep=False)
        log = recoded(EventLog.load(workspace.eventlogs / parents["eventlog"], deep=False), model.schema)
    except (KeyError, ArtifactError) as error:
        raise ConflictError(
            f"snapshot {snapshot.name}: its model or its events cannot be read any more ({error}); "
            "what moved a vector can only be told from both"
        ) from error
    told = attribute(model, log, row, days=days, events=events)
    return Why(told, [event_fields(log, event.row) for event in told.events])


def event_fields(log: EventLog, row: int) -> dict[str, Any]:
    """One event's fields by name."""
    codes, values = np.asarray(log.codes[row : row + 1])[0], np.asarray(log.values[row])
    told: dict[str, Any] = {}
    for field, code in zip(log.schema.categorical, codes.tolist(), strict=True):
        if code != ABSENT:
            told[field.name] = "(any other)" if code == OTHER else field.values[code - 2]
    for name, value in zip(log.schema.numeric, values.tolist(), strict=True):
        if np.isfinite(value):
            told[name] = float(f"{value:.7g}")  # what a float32 holds
    return told


def moment(time: int) -> datetime:
    """A time of the log, UTC."""
    return datetime.fromtimestamp(time / SECOND, UTC)
