"""A snapshot is checked while a night works on it, and nothing is made to last before it is found sound.

Reading every byte of what is served takes about as long as bringing it up to date. What decides how things are read is
checked first; large files that are nothing but numbers are checked by another thread, while they are used.

    staging/<key>/.unchecked    stands for as long as the parts beside it may come from damaged numbers
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from configs.errors import storage_errors
from store.artifact import Manifest, check_bytes, write_atomic

NUMBERS = (
    "behaviour/matrix.npy",
    "behaviour/layer-*.npy",
    "embeddings/vectors.arrow",
    "embeddings/states.arrow",
    "embeddings/hidden.arrow",
)
"""Where these are damaged, what follows from them is wrong, and no worse."""
UNCHECKED = ".unchecked"


class Check:
    """The check of a snapshot's numbers, under way."""

    def __init__(self, found: "Future[None]") -> None:
        self._found = found
        self._marks: list[Path] = []

    def guard(self, staged: Path) -> None:
        """Mark a folder as made from numbers that are yet to be checked; one that was marked before is made anew."""
        mark = staged / UNCHECKED
        with storage_errors(staged):
            if mark.exists():
                # the mark stands until the parts are gone: a kill in between leaves none of them unmarked
                for part in staged.iterdir():
                    if part != mark:
                        shutil.rmtree(part) if part.is_dir() else part.unlink()
            staged.mkdir(parents=True, exist_ok=True)
        write_atomic(mark, "")
        self._marks.append(mark)

    def passed(self) -> None:
        """Wait until all is checked, and take the marks away. Raises ArtifactError that names what is damaged."""
        self._found.result()
        for mark in self._marks:
            with storage_errors(mark):
                mark.unlink(missing_ok=True)
        self._marks.clear()


@contextmanager
def checked_beside(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """Check every byte of the snapshot at `folder`, of its NUMBERS while the block runs; they have passed at its end.

    Raises ArtifactError, also in place of what went wrong in the block where the numbers are damaged.
    """
    beside = [name for name in manifest.files if any(fnmatchcase(name, numbers) for numbers in NUMBERS)]
    check_bytes(folder, manifest, [name for name in manifest.files if name not in beside])
    with ThreadPoolExecutor(1, "check") as pool:
        check = Check(pool.submit(check_bytes, folder, manifest, beside))
        try:
            yield check
        finally:
            check.passed()
