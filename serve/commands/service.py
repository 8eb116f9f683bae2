"""The HTTP service and the demonstration."""

from pathlib import Path
from typing import Annotated

import typer

from serve.commands.places import folder_only, is_remote, open_mirror
from serve.commands.shared import WORKSPACE, WorkspaceOption

HostOption = Annotated[
    str, typer.Option(metavar="HOST", help="Address to listen on; anything but loopback is reachable from outside.")
]
PortOption = Annotated[
    int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(serve)
    app.command()(demo)


def serve(
    workspace: WorkspaceOption = WORKSPACE,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=3600, help="How often to look into an object store.")
    ] = 10.0,
) -> None:
    """Serve the published snapshot over HTTP; a newly published one is picked up without a restart.

    Over a workspace in an object store it is read-only, unless KINFOLK_CATALOGUE names a PostgreSQL catalogue.
    """
    import os

    from serve.catalogues import VARIABLE
    from serve.config import ServeConfig
    from serve.server import serve as run

    catalogue = os.environ.get(VARIABLE) or None
    if not is_remote(workspace):
        run(Path(workspace), host, port, catalogue=catalogue)
        return
    remote = open_mirror(workspace, create=True)
    run(remote.local.root, host, port, ServeConfig(store_poll_seconds=poll), catalogue, remote)


def demo(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop before the service.")] = False,
    workspace: WorkspaceOption = "demo-workspace",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
) -> None:
    """Run the whole line on a real shop's baskets (2,469 households), judge a lookalike audience, and serve it."""
    from serve.demo import run

    run(folder_only(workspace, "the demonstration"), None if no_serve else (host, port))
