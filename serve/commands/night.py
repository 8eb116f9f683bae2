"""The unattended commands: nightly, retrain, and what they leave to be read."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.errors import InputError
from serve.commands.shared import (
    WORKSPACE,
    EngineOption,
    JsonOption,
    RecipeArgument,
    WorkspaceOption,
    counted,
    open_workspace,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from serve.night_report import Report

HELD = 3
"""Exit code of a night whose snapshot failed a gate."""
AcceptOption = Annotated[
    list[str] | None,
    typer.Option("--accept", metavar="GATE", help="Publish although this gate fails; repeat it for several. Audited."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(nightly)
    app.command()(retrain)
    app.command()(nights)
    app.command()(resend)
    app.command()(prune)


def nightly(
    recipe: RecipeArgument,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="The last day whose events are taken (UTC); yesterday if left out.",
        ),
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", metavar="DATE", formats=["%Y-%m-%d"], help="Catch up: the first of several nights."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", metavar="DATE", formats=["%Y-%m-%d"], help="Catch up: the last of several nights."),
    ] = None,
    accept: AcceptOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Take the new events, refresh vectors, index and segments, and publish what passes every gate.

    Exit codes: 0 published, or nothing new; 3 held, a gate failed and the snapshot before stays served; 75 another job
    holds the workspace; 2 the user can mend it; 1 a fault of kinfolk.
    """
    from serve.console_progress import console_progress
    from serve.night_gates import check_accepted
    from serve.recipe import load_recipe

    days = _days(as_of, first, last)
    if accept and first is not None:
        raise InputError("--accept is for one night, looked at by somebody; give --as-of, not --from and --to")
    check_accepted(accept or ())
    loaded, opened = load_recipe(recipe), open_workspace(workspace, need="everything", write="yes")
    from serve.nightly import days_of, run_night  # after the recipe's faults are told: this loads torch

    _log_to_stderr()
    reports: list[Report] = []
    try:
        for day in [*days_of(loaded, opened, days[0]), *days[1:]]:
            with console_progress() as progress:
                accepted = () if reports else accept or ()  # of a night that somebody has looked at, which comes first
                reports.append(run_night(loaded, opened, day, progress, accept=accepted))
            if not json:
                _tell(reports[-1], opened.nights)
            if reports[-1].status == "held":
                break
    finally:
        # what was published is told, whatever becomes of the nights after it
        if json and reports:
            told = [report.to_json() for report in reports]
            one = told[-1] | ({"nights": told} if len(told) > 1 else {})
            print_json(one if first is None else {"status": reports[-1].status, "nights": told})
    _leave(reports[-1])


def _days(as_of: datetime | None, first: datetime | None, last: datetime | None) -> list[date]:
    """The nights that are asked for. Raises InputError where options do not fit each other."""
    if as_of is not None and (first is not None or last is not None):
        raise InputError("--as-of names one night, --from and --to several; give one or the other")
    if (first is None) != (last is None):
        raise InputError("--from and --to belong together; give both, or --as-of for one night")
    if first is None or last is None:
        from datetime import UTC

        return [as_of.date() if as_of else datetime.now(UTC).date() - timedelta(days=1)]
    count = (last.date() - first.date()).days + 1
    if count < 1:
        raise InputError(f"--from {first:%Y-%m-%d} is later than --to {last:%Y-%m-%d}; name the earlier day first")
    return [first.date() + timedelta(days=i) for i in range(count)]


def retrain(
    recipe: RecipeArgument,
    accept: AcceptOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    engine: EngineOption = "local",
    json: JsonOption = False,
) -> None:
    """Train anew on the served events, keep the identities of segments, and publish what passes every gate.

    Exit codes as those of `kinfolk nightly`. Started again, it resumes.
    """
    from serve.console_progress import console_progress
    from serve.recipe import load_recipe

    loaded, opened = load_recipe(recipe), open_workspace(workspace, need="everything", write="yes")
    from serve.retrain import run_retraining

    _log_to_stderr()
    with console_progress() as progress:
        report = run_retraining(loaded, opened, progress, accept=accept or (), engine=engine)
    if json:
        print_json(report.to_json())
    else:
        _tell(report, opened.nights)
    _leave(report)


def nights(
    workspace: WorkspaceOption = WORKSPACE,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many to show, newest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """List nights and retrainings, newest first: what became of them, and where their page is."""
    from serve.night_files import read_reports
    from serve.webhook_aside import counted_aside, told_aside

    opened = open_workspace(workspace, need="notes")
    found = read_reports(opened, limit)
    if json:
        print_json([{"page": str(one.page), **one.body, "set_aside": counted_aside(one.folder)} for one in found])
        return
    if not found:
        typer.echo("There was no night yet; `kinfolk nightly RECIPE` makes one.")
        return
    rows = [(*_row(one.body), str(one.page)) for one in found]
    print_table(("as of", "kind", "status", "snapshot", "new events", "changed", "moved", "seconds", "page"), rows)
    for warning in told_aside(opened):
        typer.echo(f"Warning: {warning}", err=True)


def _row(body: dict[str, Any]) -> tuple[Any, ...]:
    customers = body.get("customers") or {}
    events, timings = body.get("events") or {}, body.get("timings") or {}
    moved = (body.get("alerts") or {}).get("moved")
    seconds = f"{timings['total']:.1f}" if "total" in timings else None
    known = (body["as_of"], body["kind"], body["status"], body["snapshot"])
    return (*known, events.get("new"), customers.get("changed"), moved, seconds)


def resend(recipe: RecipeArgument, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Send events again that the webhook's receiver refused, and that were set aside."""
    from serve.catalogues import open_catalogue
    from serve.recipe import load_recipe
    from serve.webhook_aside import resend as send

    config = load_recipe(recipe).night.webhook
    if config is None:
        raise InputError(f"{recipe}: has no night.webhook to send events to; name its url there")
    opened = open_workspace(workspace, need="notes", write="yes")
    _log_to_stderr()
    with opened.lock(), open_catalogue(opened) as catalogue:
        told = send(opened, catalogue, config, "cli")
    left = [found.reason for found in told.values() if not found.done]
    if json:
        print_json({night: {"events": found.events, "done": found.done} for night, found in told.items()})
    else:
        sent = sum(found.events for found in told.values())
        typer.echo(f"Sent {counted(sent, 'event')} of {counted(len(told), 'night')} that were set aside.")
    if left:
        raise InputError(f"webhook: {left[0]}; what is left stays set aside")


def prune(
    keep: Annotated[int, typer.Option(metavar="N", min=1, help="Snapshots to keep, the last served ones.")],
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Remove old snapshots; the served one stays, and those that a saved audience was last refreshed with."""
    from serve.catalogues import open_catalogue
    from serve.retention import prune as remove

    opened = open_workspace(workspace, need="everything", write="yes")
    with opened.lock(), open_catalogue(opened) as catalogue:
        gone = remove(opened, catalogue, keep, "cli")
    if json:
        print_json({"removed": gone, "kept": opened.published()})
        return
    typer.echo(f"Removed {counted(len(gone), 'snapshot')}: {', '.join(gone) or 'none'}.")


def _log_to_stderr() -> None:
    """Keep the log's lines out of what the command prints, which scripts read."""
    import logging

    from store.log import configure

    configure(json_lines=True, level=logging.WARNING)


def _tell(report: "Report", folder: Path) -> None:
    """A report in a few lines."""
    typer.echo(f"{report.as_of}: {report.reason}")
    if report.gates:
        rows = [
            (g.name, g.figure, f"at {g.bound} {g.limit:g}", "accepted" if g.accepted and not g.met else _verdict(g.met))
            for g in report.gates
        ]
        print_table(("gate", "figure", "limit", ""), rows)
    if report.snapshot is not None:
        typer.echo(f"Page: {folder / f'{report.as_of}-{report.snapshot}' / 'page.html'}")
    for warning in report.warnings:
        typer.echo(f"Warning: {warning}", err=True)


def _verdict(met: bool) -> str:
    return "passed" if met else "FAILED"


def _leave(report: "Report") -> None:
    """End the command with the exit code that schedulers act on."""
    if report.status == "held":
        typer.echo(f"Error: {report.reason} Look at its page; `--accept GATE` publishes it as it is.", err=True)
        raise typer.Exit(HELD)
