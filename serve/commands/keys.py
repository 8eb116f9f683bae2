"""API keys of the HTTP service."""

from typing import Annotated

import typer

from serve.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, open_workspace, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="API keys of the HTTP service.", rich_markup_mode=None)


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.add_typer(app, name="keys")


@app.command()
def create(
    role: Annotated[
        str,
        typer.Option(metavar="ROLE", help="analyst reads, marketer also builds audiences, admin may do everything."),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="Whose key it is, or what for.")] = "",
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Make a key and print it; it is shown this once and kept nowhere."""
    from serve.catalogues import open_catalogue

    with open_catalogue(open_workspace(workspace, need="notes", write="notes")) as catalogue:
        key, secret = catalogue.create_key(name or f"{role} key", role)
    if json:
        print_json({"id": key.id, "name": key.name, "role": key.role, "key": secret})
    else:
        typer.echo(secret)
        typer.echo(
            f"Key {key.id} of role {key.role}, shown this once. Send it as `Authorization: Bearer KEY`.", err=True
        )


@app.command("list")
def list_keys(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """List all keys, without their secrets."""
    from serve.catalogues import open_catalogue

    with open_catalogue(open_workspace(workspace, need="notes")) as catalogue:
        keys = catalogue.keys()
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "role": key.role,
            "created": key.created.isoformat(timespec="seconds"),
            "last_used": key.last_used and key.last_used.isoformat(timespec="hours"),
            "revoked": key.revoked and key.revoked.isoformat(timespec="seconds"),
        }
        for key in keys
    ]
    if json:
        print_json(rows)
    elif not rows:
        typer.echo("There are no keys; `kinfolk keys create --role marketer` makes one.")
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `kinfolk keys list` shows it.")],
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """End a key for good."""
    from serve.catalogues import open_catalogue

    with open_catalogue(open_workspace(workspace, need="notes", write="notes")) as catalogue:
        revoked = catalogue.revoke_key(key)
    typer.echo(f"Key {revoked.id} ({revoked.name}) is revoked.")
