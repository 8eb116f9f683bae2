"""Folders of trainings that were begun and not finished: who may go on in one, and what is found there.

A worker on another machine that was given up for lost may still be alive. So each works in a folder under a name of its
own, and whoever goes on renames the one that was left: what the lost one still writes goes nowhere.
"""

import os
import shutil
from pathlib import Path

SUFFIX = ".training"


def begun(scratch: Path) -> list[Path]:
    """The folders of one training, of whichever worker; `scratch` is the one of a worker without a name."""
    return sorted(scratch.parent.glob(f"{scratch.name.removesuffix(SUFFIX)}*{SUFFIX}"))


def of_worker(scratch: Path, name: str) -> Path:
    """The folder of the same training for one worker alone."""
    return scratch.with_name(f"{scratch.name.removesuffix(SUFFIX)}.{name}{SUFFIX}")


def claim(scratch: Path, own: Path) -> None:
    """Rename the folder of a training that is furthest to `own`, with nothing but its checkpoints, and drop others."""
    from train.checkpoint import BEST, LAST, resumable

    found = begun(scratch)
    if not found:
        return
    epochs = [len(last.history) if (last := resumable(folder)) else 0 for folder in found]
    furthest = found.pop(epochs.index(max(epochs)))
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    if furthest != own:
        os.rename(furthest, own)
    for path in own.iterdir():  # half-written files, which a lost worker may still hold open
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (LAST, BEST):
            path.unlink()
