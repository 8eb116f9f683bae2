"""Segments: what they are."""

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

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.add_typer(app, name="segments")


@app.callback()
def segments(
    context: typer.Context,
    workspace: WorkspaceOption = WORKSPACE,
    snapshot: SnapshotOption = None,
    json: JsonOption = False,
) -> None:
    """List the segments: size, stability, and the behaviours that set each apart."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from cluster.artifact import Segments

    opened = Segments.load(open_workspace(workspace).snapshot_folder(snapshot) / "segments")
    if json:
        print_json([{**asdict(profile), "standing": profile.standing} for profile in opened.profiles])
        return
    rows = [(p.id, p.name, p.size, f"{p.share:.1%}", f"{p.stability:.2f} {p.standing}") for p in opened.profiles]
    print_table(("segment", "name", "customers", "share", "stability"), rows)
    if opened.message:
        typer.echo(opened.message)
    typer.echo(f"{opened.unassigned_share:.1%} of {len(opened.labels):,} customers are in no segment.")
    typer.echo(f"The map is {opened.page}.")
