"""Machines that share a workspace in an object store, each with a mirror of its own and a command line."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from serve.cli import app
from store.objects import Objects
from store.remote import RemoteWorkspace


@dataclass(frozen=True)
class Machine:
    """One machine."""

    url: str
    base: Path
    """Where its mirror lies."""

    @property
    def remote(self) -> RemoteWorkspace:
        """Its mirror, opened by hand."""
        return RemoteWorkspace(self.url, self.base)

    def run(self, *words: object, **environment: str) -> Result:
        """Run a command there."""
        environment = {"KINFOLK_WORKSPACE": self.url, "KINFOLK_MIRROR": str(self.base), **environment}
        return CliRunner().invoke(app, [str(word) for word in words], env=environment)

    def told(self, *words: object, **environment: str) -> Any:
        """The JSON that a command ends well with."""
        result = self.run(*words, "--json", **environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def has(self, root: Path, but: tuple[str, ...] = ()) -> None:
        """Put what a local workspace holds into its mirror, as if made there and not pushed yet."""
        left_out = shutil.ignore_patterns("*.db-wal", "*.db-shm", *but)
        shutil.copytree(root, self.remote.local.root, ignore=left_out, dirs_exist_ok=True)

    def pushed(self, root: Path) -> None:
        """Make the store hold what a local workspace holds."""
        remote = self.remote
        with remote.writing(must_exist=False):
            self.has(root)


def tags(url: str) -> dict[str, str]:
    """Every object below an URL with its tag."""
    found = Objects(url)._files.find(url, detail=True)
    return {name: f"{told['ETag']} {told['LastModified']}" for name, told in found.items()}
