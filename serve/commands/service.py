"""The HTTP service and the demonstration."""

from pathlib import Path
from typing import Annotated

import typer

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


def serve(workspace: WorkspaceOption = WORKSPACE, host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Serve the published snapshot over HTTP; a newly published one is picked up without a restart."""
    import os

    from serve.catalogues import VARIABLE
    from serve.server import serve as run

    run(workspace, host, port, catalogue=os.environ.get(VARIABLE) or None)


def demo(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop before the service.")] = False,
    workspace: WorkspaceOption = Path("demo-workspace"),
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
) -> None:
    """Run the whole line on a real shop's baskets (2,469 households), judge a lookalike audience, and serve it."""
    from serve.demo import run

    run(workspace, None if no_serve else (host, port))
