"""Customers taken out of audiences, saved audiences and reports of nights.

Scores and ranks of everybody else stay as they were sent, so that ranks have a gap where somebody was. Counts of what
was asked (seeds given, population) stay too; sizes are those of now. An audience that falls below the least size stays:
that bound is for what is asked anew.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from serve.audiences import HELD_OUT, ID, MEMBERS, REPORT, report_without
from serve.audiences import KIND as AUDIENCE
from serve.audiences import VERSION as AUDIENCE_VERSION
from serve.night_files import json_lines
from serve.saved import DEFINITION, EDITION, TABLES, saved_names
from serve.saved import VERSION as SAVED_VERSION
from store.artifact import MANIFEST, fsync, verify
from store.erasures import Named
from store.reseal import link_others, reseal, write_json
from store.rewrite import Rewrite
from store.workspace import Workspace

LISTS = ("seeds", "suppress")


@dataclass(frozen=True)
class Taken:
    """What was taken out of one artifact."""

    artifact: str
    """Its place in the workspace."""
    removed: dict[str, int]


def erase_audiences(rewrite: Rewrite, workspace: Workspace, who: Named) -> tuple[list[Taken], dict[str, Any]]:
    """Stage every audience that erased customers are in; also their sizes and hashes, for the catalogue."""
    taken, now = [], {}
    if workspace.audiences.is_dir():
        for folder in sorted(p for p in workspace.audiences.iterdir() if ID.fullmatch(p.name)):
            found = _audience(rewrite, folder, who)
            if found is not None:
                removed, now[folder.name] = found
                taken.append(Taken(f"audiences/{folder.name}", removed))
    return taken, now


def _audience(rewrite: Rewrite, folder: Path, who: Named) -> tuple[dict[str, int], dict[str, Any]] | None:
    manifest = verify(folder, AUDIENCE, AUDIENCE_VERSION)
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    tables = {name: pl.read_parquet(folder / name) for name in (MEMBERS, HELD_OUT) if (folder / name).exists()}
    kept = {name: _without(table, who) for name, table in tables.items()}
    lost = {name: len(table) - len(kept[name]) for name, table in tables.items()}
    told = report_without(report, lost, lambda ids: [who.are(id) for id in ids])
    told["request"] = _conditions(report["request"], who)
    if not sum(lost.values()) and told == report:
        return None
    room = rewrite.room(folder)
    room.mkdir()
    for name, table in kept.items():
        table.write_parquet(room / name)
    write_json(room / REPORT, told)
    link_others(folder, room, {*kept, REPORT, MANIFEST})
    gone = sum(lost.values())
    sealed = reseal(room, manifest, gone, {**manifest.counts, "members": len(kept[MEMBERS])})
    named = _count(report, who) - _count(told, who)
    removed = {"members": lost[MEMBERS], "held_out": lost.get(HELD_OUT, 0), "named in the report": named}
    now = {"size": told["size"], "result_sha256": sealed.files[MEMBERS]["sha256"], "request": told["request"]}
    return removed, now


def _conditions(request: dict[str, Any], who: Named) -> dict[str, Any]:
    """The options of a request without ids that are values of an attribute in its conditions."""
    return {**request, "where": list(map(who.blanked, request["where"]))} if request.get("where") else request


def _without(table: pl.DataFrame, who: Named) -> pl.DataFrame:
    return table.filter(pl.Series(~who.among(table["customer_id"])))


def _count(report: dict[str, Any], who: Named) -> int:
    shown = [*report.get("seeds", {}).get("unmatched_ids", ()), *report.get("prototypes", ())]
    return sum(who.are(id) for id in shown)


def erase_saved(rewrite: Rewrite, workspace: Workspace, who: Named, sizes: dict[str, Any]) -> list[Taken]:
    """Stage every definition and edition of saved audiences that erased customers are in.

    `sizes` are the audiences that became smaller, as `erase_audiences` gives them.
    """
    taken = []
    for name in saved_names(workspace):
        for folder in _numbered(workspace.saved / name / "definitions"):
            if removed := _definition(rewrite, folder, who):
                taken.append(Taken(folder.relative_to(workspace.root).as_posix(), removed))
        for folder in _numbered(workspace.saved / name / "editions"):
            changed = _edition(rewrite, folder, who, sizes)
            if changed is not None:
                taken.append(Taken(folder.relative_to(workspace.root).as_posix(), changed))
    return taken


def _numbered(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.isdecimal()) if folder.is_dir() else []


def _definition(rewrite: Rewrite, folder: Path, who: Named) -> dict[str, int]:
    manifest = verify(folder, DEFINITION, SAVED_VERSION)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    lists = {name: [id for id in request[name] if not who.are(id)] for name in LISTS if name in request}
    removed = {name: len(request[name]) - len(kept) for name, kept in lists.items()}
    conditions = _conditions(request, who)
    removed["conditions"] = int(conditions != request)
    tables = {}
    for name in TABLES:
        if (path := folder / f"{name}.parquet").exists():
            table = pl.read_parquet(path)
            tables[path.name] = _without(table, who)
            removed[name] = len(table) - len(tables[path.name])
    if not any(removed.values()):
        return {}
    room = rewrite.room(folder)
    room.mkdir()
    write_json(room / "request.json", {**conditions, **lists})
    for name, table in tables.items():
        table.write_parquet(room / name)
    link_others(folder, room, {*tables, "request.json", MANIFEST})
    reseal(room, manifest, max(removed.values()), manifest.counts)
    return {name: count for name, count in removed.items() if count}


def _edition(rewrite: Rewrite, folder: Path, who: Named, sizes: dict[str, Any]) -> dict[str, int] | None:
    manifest = verify(folder, EDITION, SAVED_VERSION)
    facts = json.loads((folder / "edition.json").read_text(encoding="utf-8"))
    table = pl.read_parquet(folder / "changes.parquet")
    kept = _without(table, who)
    smaller = sizes.get(facts["audience"])
    if len(kept) == len(table) and (smaller is None or smaller["size"] == facts["size"]):
        return None
    for change in ("entered", "left"):
        facts[change] = dict(sorted(kept.filter(change=change)["why"].value_counts().iter_rows()))
    facts["size"] = facts["size"] if smaller is None else smaller["size"]
    room = rewrite.room(folder)
    room.mkdir()
    write_json(room / "edition.json", facts)
    kept.write_parquet(room / "changes.parquet")
    link_others(folder, room, {"edition.json", "changes.parquet", MANIFEST})
    reseal(room, manifest, len(table) - len(kept), manifest.counts)
    return {"changes": len(table) - len(kept)}


def erase_nights(rewrite: Rewrite, workspace: Workspace, who: Named) -> list[Taken]:
    """Stage the files of events of nights that erased customers are in; one line is one event of one customer."""
    taken = []
    for path in sorted(workspace.nights.glob("[!.]*/*.jsonl")):
        lines = json_lines(path)
        kept = [line for line in lines if not any(who.are(value) for value in _ids(json.loads(line)))]
        if len(kept) == len(lines):
            continue
        room = rewrite.room(path)
        room.write_text("".join(kept), encoding="utf-8")
        fsync(room)
        removed = {"events about customers": len(lines) - len(kept)}
        taken.append(Taken(path.relative_to(workspace.root).as_posix(), removed))
    return taken


def _ids(value: Any, key: str = "") -> Iterator[Any]:
    """The values of a JSON line that may be a customer's id: all texts, and numbers that are called so."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _ids(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner, key)
    elif isinstance(value, str) or key in ("customer", "customer_id"):
        yield value
