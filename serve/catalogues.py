"""Which catalogue a workspace's jobs and service use."""

import os

from store.catalogue import Catalogue
from store.erasures import go_on
from store.workspace import Workspace

VARIABLE = "KINFOLK_CATALOGUE"


def open_catalogue(workspace: Workspace) -> Catalogue:
    """The catalogue at the URL in KINFOLK_CATALOGUE, or the SQLite file of the workspace where that is not set.

    Brings it along where an erasure was killed between changing the files and the catalogue.
    """
    catalogue = Catalogue(os.environ.get(VARIABLE) or workspace.catalogue)
    try:
        go_on(workspace.root, catalogue)
    except BaseException:
        catalogue.close()
        raise
    return catalogue
