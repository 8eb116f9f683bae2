"""Events that a receiver refused for good: kept beside their night, told of, and sent again when somebody asks for it.

`set_aside.jsonl` holds them as lines of `events.jsonl`, so that an erasure finds them as it finds those. It is there
while something is in it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.errors import storage_errors
from configs.progress import SILENT, Progress
from serve.night_files import ASIDE, ASIDE_DELIVERY, json_line, json_lines
from serve.objections import objecting
from serve.webhook import Delivered, deliver
from serve.webhook_config import WebhookConfig
from store.artifact import write_atomic
from store.catalogue import Catalogue
from store.objections import Objections
from store.workspace import Workspace


def put_aside(path: Path, events: Sequence[Mapping[str, Any]]) -> None:
    """Add events to a file of those that were set aside; one that is in it already, since a kill came after, stays."""
    with storage_errors(path):
        before = json_lines(path) if path.exists() else []
    known = {json.loads(line)["id"] for line in before}
    write_atomic(path, "".join(before + [json_line(event) for event in events if event["id"] not in known]))


def counted_aside(folder: Path) -> int:
    """How many events of the night in `folder` are set aside."""
    path = folder / ASIDE
    with storage_errors(path):
        return len(json_lines(path)) if path.exists() else 0


def told_aside(workspace: Workspace) -> list[str]:
    """What a night says of all that is set aside: one sentence, or none."""
    counts = [count for path in workspace.nights.glob(f"[!.]*/{ASIDE}") if (count := counted_aside(path.parent))]
    if not counts:
        return []
    return [
        f"webhook: the receiver refused events, which are set aside (events: {sum(counts):,}; nights: {len(counts)}); "
        "mend the receiver, and send them again with `kinfolk resend RECIPE`"
    ]


def resend(
    workspace: Workspace, catalogue: Catalogue, config: WebhookConfig, actor: str, progress: Progress = SILENT
) -> dict[str, Delivered]:
    """Send what is set aside again, the oldest night first, until one is not taken; by name of the night. Audited.

    For the holder of the workspace's lock. Raises what `serve.webhook.deliver` does.
    """
    objected = objecting(Objections(catalogue))
    told: dict[str, Delivered] = {}
    for path in sorted(workspace.nights.glob(f"[!.]*/{ASIDE}")):
        night, state = path.parent.name, path.with_name(ASIDE_DELIVERY)
        told[night] = found = deliver(path, config, state, progress, objected=objected)
        catalogue.audit(actor, "webhook.resend", night, {"events": found.events, "done": found.done})
        if not found.done:
            break
        with storage_errors(path):
            # the state goes first: what is set aside after a kill in between would be taken for sent
            state.unlink(missing_ok=True)
            path.unlink()
    return told
