"""The reports of nights as they lie in the workspace."""

import json
from pathlib import Path
from typing import Any

from store.workspace import Workspace

REPORT, PAGE, EVENTS, DELIVERY = "report.json", "page.html", "events.jsonl", "delivery.json"


def read_reports(workspace: Workspace, limit: int) -> list[tuple[Path, dict[str, Any]]]:
    """The last reports, newest day first and of one day the last written first, each with the path of its page.

    A report that cannot be read is left out: the night that wrote it was killed, and will be told again.
    """
    found = []
    for path in workspace.nights.glob(f"[!.]*/{REPORT}"):
        try:
            body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found.append((str(body["as_of"]), path.stat().st_mtime_ns, path.with_name(PAGE), body))
        except (OSError, ValueError, KeyError):
            continue
    found.sort(key=lambda one: one[:2], reverse=True)
    return [(page, body) for _, _, page, body in found[:limit]]
