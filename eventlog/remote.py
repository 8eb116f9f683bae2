"""Event files in an object store, or behind any URL that fsspec knows: fetched one by one and read like local ones."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.progress import Progress
from eventlog.config import Source
from eventlog.files import WILDCARDS, SourceFile, describe

URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_remote(path: str) -> bool:
    """Whether a source's path is a URL, such as s3://bucket/events/*.parquet."""
    return URL.match(path) is not None


def fetch_files(
    source: Source, folder: Path, progress: Progress, read: Mapping[str, int] | None = None
) -> list[SourceFile]:
    """The files of `source.path` in their order, copied to `folder` one after the other, in bounded memory.

    Labels are those that local files of the same names would have, so that the log has the same key. Files that were
    `read` to their end before (label -> size) are not fetched again while they have that size; their bytes are not
    looked at. Raises DataError where there is none and none was read before, one cannot be read, or one changes while
    it is fetched.
    """
    assert source.path is not None
    where = _bare(source.path)
    try:
        files, names = _found(source.path)
        if not names and not read:
            raise DataError(
                f"source {source.name!r}: {where}: there is no such file (accepted: a Parquet or CSV file, or a glob)"
            )
        before = {label: files.info(names[label]) for label in sorted(names)}
        before = {label: about for label, about in before.items() if (read or {}).get(label) != int(about["size"])}
        with progress.task(f"Fetching {source.name}", sum(int(b["size"]) for b in before.values())) as advance:
            found = []
            for label, about in before.items():
                path = folder / label
                path.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(names[label], str(path))
                now = files.info(names[label])
                if path.stat().st_size != int(about["size"]) or _print(now) != _print(about):
                    raise DataError(
                        f"source {source.name!r}: {where}: {label} changed while it was fetched; start again "
                        "once nobody writes to it"
                    )
                found.append(describe(path, label))
                advance(float(about["size"]))
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"source {source.name!r}: {where}: this kind of URL needs another package ({_bare(_words(error))}); for s3 "
            "`pip install 'kinfolk[s3]'`"
        ) from None
    except Exception as error:  # each file system has a tree of its own
        raise DataError(
            f"source {source.name!r}: {where}: cannot be fetched ({_bare(_words(error))}); check the address and the "
            "credentials"
        ) from None
    return found


def _bare(url: str) -> str:
    """A URL, or a text with one, without user and password."""
    return re.sub(r"://[^/\s]*@", "://", url)


def _found(url: str) -> tuple[Any, dict[str, str]]:
    """The file system of a URL, and its files by the part of their names behind the glob's fixed part."""
    import fsspec

    files, pattern = fsspec.core.url_to_fs(url, use_listings_cache=False)
    if any(sign in pattern for sign in WILDCARDS):
        parts = pattern.split("/")
        first = next(i for i, part in enumerate(parts) if any(sign in part for sign in WILDCARDS))
        root, found = "/".join(parts[:first]), [name for name in files.glob(pattern) if files.isfile(name)]
    else:
        root, found = pattern.rpartition("/")[0], [pattern] if files.isfile(pattern) else []
    named = {name.removeprefix(f"{root}/"): name for name in found}
    return files, {label: name for label, name in named.items() if not label.rpartition("/")[2].startswith("_")}


def _print(about: dict[str, Any]) -> list[str]:
    """What tells whether a file is still the same: size, and whichever marks its file system has."""
    return [str(about.get(name)) for name in ("size", "ETag", "etag", "generation", "mtime", "LastModified")]


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
