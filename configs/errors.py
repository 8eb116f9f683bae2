"""The error tree. Every error a user can meet says what is wrong, where, and what is accepted.

KinfolkError                  exit code 2, HTTP 500
├── InputError                422  what the user gave is not usable
│   ├── RecipeError           422  a recipe's faults, all at once
│   └── DataError             422  events that break the contract
├── NotFoundError             404  no such customer, segment, snapshot, audience
├── ConflictError             409  the workspace has moved on, or things do not fit each other
│   ├── BusyError             409  another job holds the workspace; exit code 75: trying later helps
│   └── ReadOnlyError         403  nothing may be written here
├── ArtifactError             500  a corrupt, truncated or too new file; names the file
└── StorageError              507  disk full, read-only or unreachable
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EROFS, ESTALE
from pathlib import Path


class KinfolkError(Exception):
    """Root of every error that a user can meet; its text is one clear sentence."""

    exit_code = 2
    status = 500
    title = "Something went wrong"


class InputError(KinfolkError):
    """What the user gave cannot be used."""

    status = 422
    title = "Unusable input"


class RecipeError(InputError):
    """A recipe has faults; `faults` lists them all, each as 'where: what is wrong'."""

    title = "Unusable recipe"

    def __init__(self, path: str | Path, faults: list[str]) -> None:
        self.faults = faults
        count = f"{len(faults)} fault" + ("s" if len(faults) != 1 else "")
        super().__init__(f"{path}: {count}\n" + "\n".join(f"  {fault}" for fault in faults))


class DataError(InputError):
    """The events break the contract so that nothing can be prepared from them."""

    title = "Unusable events"


class NotFoundError(KinfolkError):
    """What was asked for does not exist."""

    status = 404
    title = "Not found"


class ConflictError(KinfolkError):
    """The workspace has changed in the meantime, or two things do not fit each other."""

    status = 409
    title = "Conflict"


class BusyError(ConflictError):
    """Another job holds the workspace. The exit code is that of sysexits.h for a failure that passes."""

    exit_code = 75


class ReadOnlyError(ConflictError):
    """Nothing may be written here, whoever asks."""

    status = 403
    title = "Read-only"


class ArtifactError(KinfolkError):
    """A file of the workspace is missing, corrupt, truncated or newer than this version reads."""

    status = 500
    title = "Damaged artifact"


class StorageError(KinfolkError):
    """The disk is full, read-only or out of reach."""

    status = 507
    title = "Storage unavailable"


STORAGE_FAULTS = {
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EFBIG: "the file would grow over the size limit of this process or disk",
    EROFS: "the disk is read-only",
    EACCES: "permission is denied",
    EPERM: "permission is denied",
    EIO: "the disk reports an error",
    ESTALE: "the network disk is out of reach",
}
TOLD_BY_TEXT = (ENOSPC, EDQUOT, EFBIG, EROFS)
"""Libraries (FAISS, Polars, safetensors) raise errors of their own with only the system's words in them."""
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written|inline_container.*unexpected pos|failed writing file")
"""All that numpy (`tofile`, `save`) and torch (`save`) say when a disk fills up under them."""


def storage_fault(error: Exception) -> str | None:
    """What went wrong with the disk, in words; None where the error is about something else."""
    if isinstance(error, OSError) and error.errno in STORAGE_FAULTS:
        return STORAGE_FAULTS[error.errno]
    text = str(error)
    if SHORT_WRITE.search(text):
        return STORAGE_FAULTS[ENOSPC]
    return next((STORAGE_FAULTS[code] for code in TOLD_BY_TEXT if os.strerror(code) in text), None)


@contextmanager
def storage_errors(where: str | Path) -> Iterator[None]:
    """Turn the word of the operating system, or of a library, on a full or read-only disk into a StorageError."""
    try:
        yield
    except KinfolkError:
        raise
    except Exception as error:
        reason = storage_fault(error)
        if reason is None:
            raise
        raise StorageError(
            f"{getattr(error, 'filename', None) or where}: {reason}; free space or choose another workspace, "
            "then start the same command again: it resumes, and what was published before is untouched"
        ) from error
