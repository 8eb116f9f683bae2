"""Which catalogue a workspace's jobs and service use."""

import os

from store.catalogue import Catalogue
from store.workspace import Workspace

VARIABLE = "KINFOLK_CATALOGUE"


def open_catalogue(workspace: Workspace) -> Catalogue:
    """The catalogue at the URL in KINFOLK_CATALOGUE, or the SQLite file of the workspace where that is not set."""
    return Catalogue(os.environ.get(VARIABLE) or workspace.catalogue)
