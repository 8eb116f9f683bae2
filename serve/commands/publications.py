"""What was published, and who did what: history, rollback, verify, audit."""

from typing import Annotated

import typer

from serve.commands.shared import (
    WORKSPACE,
    JsonOption,
    SnapshotOption,
    WorkspaceOption,
    open_workspace,
    print_json,
    print_table,
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(history)
    app.command()(rollback)
    app.command()(verify)
    app.command()(audit)


def history(
    workspace: WorkspaceOption = WORKSPACE,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many to show, newest first.")] = 20,
    json: JsonOption = False,
) -> None:
    """List publications and rollbacks, newest first."""
    from serve.catalogues import open_catalogue
    from store.history import history as read_history

    opened = open_workspace(workspace, need="kept")
    with open_catalogue(opened) as catalogue:
        entries = read_history(opened, catalogue, limit)
    rows = [
        {
            "at": entry.publication.at.isoformat(timespec="seconds"),
            "action": entry.publication.action,
            "snapshot": entry.publication.snapshot,
            "previous": entry.publication.previous,
            "actor": entry.publication.actor,
            "customers": entry.manifest.counts.get("customers") if entry.manifest else None,
            "served": entry.served,
        }
        for entry in entries
    ]
    if json:
        print_json(rows)
    elif not rows:
        typer.echo("Nothing is published yet.")
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def audit(
    workspace: WorkspaceOption = WORKSPACE,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="Only such entries, as night.accept.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many to show, newest first.")] = 50,
    json: JsonOption = False,
) -> None:
    """List the audit log, newest first: who did what to what, and when. It only grows, and names no customer."""
    from serve.catalogues import open_catalogue

    with open_catalogue(open_workspace(workspace, need="notes")) as catalogue:
        entries = catalogue.audit_log(limit, action=action)
    rows = [
        {
            "id": entry.id,
            "at": entry.at.isoformat(timespec="seconds"),
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "details": dict(entry.details),
        }
        for entry in entries
    ]
    if json:
        print_json(rows)
    elif not rows:
        typer.echo("Nothing is noted.")
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def rollback(
    snapshot: Annotated[
        str | None, typer.Argument(help="Snapshot to serve; the one served before the present one if left out.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    to: Annotated[str | None, typer.Option("--to", hidden=True)] = None,
) -> None:
    """Serve an earlier snapshot again; a running service picks it up by itself."""
    from serve.catalogues import open_catalogue
    from store.history import rollback as roll_back

    opened = open_workspace(workspace, need="kept", write="yes")
    with open_catalogue(opened) as catalogue:
        publication = roll_back(opened, catalogue, snapshot or to)
    typer.echo(f"Serving {publication.snapshot}; before: {publication.previous or 'none'}.")


def verify(
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    every: Annotated[bool, typer.Option("--all", help="Check all that the workspace holds, audiences too.")] = False,
    json: JsonOption = False,
) -> None:
    """Check every byte of what is served, and what it was made from, against the checksums; exit code 2 on damage."""
    from serve.console_progress import console_progress
    from serve.soundness import check, damage

    opened = open_workspace(workspace, snapshot, need="everything" if every else "line")
    with console_progress() as progress:
        results = check(opened, snapshot, every=every, progress=progress)
    if json:
        print_json(results)
    else:
        print_table(["artifact", "kind", "files", "bytes", "state"], [list(result.values()) for result in results])
    damage(results)
