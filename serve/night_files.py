"""The reports of nights as they lie in the workspace."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.workspace import Workspace

REPORT, PAGE, EVENTS, DELIVERY = "report.json", "page.html", "events.jsonl", "delivery.json"
ASIDE, ASIDE_DELIVERY = "set_aside.jsonl", "set_aside_delivery.json"

NO_LINES = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Letters that some readers take for the end of a line, and JSON does not, as JSON may write them."""


def json_line(value: object) -> str:
    """One line of a file of JSON lines."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).translate(NO_LINES) + "\n"


def json_lines(path: Path) -> list[str]:
    """The lines of such a file, each with its end; raises what reading it does."""
    text = path.read_text(encoding="utf-8")
    return [line + "\n" for line in text.split("\n") if line]


@dataclass(frozen=True)
class Found:
    """A report that was written."""

    folder: Path
    """Its name is that of the night: the day and the snapshot."""
    written: int
    """When, in nanoseconds since 1970."""
    body: dict[str, Any]
    """What `Report.to_json` gave."""

    @property
    def page(self) -> Path:
        """Its page."""
        return self.folder / PAGE


def read_report(workspace: Workspace, name: str) -> Found | None:
    """The report of one night; None where there is none, or none that can be read."""
    path = workspace.nights / name / REPORT
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(body, dict) or not {"as_of", "kind", "status", "snapshot"} <= set(body):
            return None
        return Found(path.parent, path.stat().st_mtime_ns, body)
    except (OSError, ValueError):
        return None


def quiet_until(workspace: Workspace, snapshot: str) -> str | None:
    """The last day whose night found nothing new while `snapshot` was served, YYYY-MM-DD; None where none did."""
    names = [path.parent.name for path in workspace.nights.glob(f"[!.]*-{snapshot}/{REPORT}")]
    bodies = [found.body for name in names if (found := read_report(workspace, name)) is not None]
    return max((str(body["as_of"]) for body in bodies if body["status"] == "nothing_new"), default=None)


def read_reports(workspace: Workspace, limit: int) -> list[Found]:
    """The last reports, newest day first, and of one day the last written first.

    A report that cannot be read is left out: the night that wrote it was killed, and will be told again.
    """
    names = [path.parent.name for path in workspace.nights.glob(f"[!.]*/{REPORT}")]
    found = [report for report in (read_report(workspace, name) for name in names) if report is not None]
    found.sort(key=lambda one: (str(one.body["as_of"]), one.written), reverse=True)
    return found[:limit]
