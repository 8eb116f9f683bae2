"""An object store behind an URL: objects read and written whole, and written on a condition.

What is written on a condition is how two writers are kept apart, so only stores that have it will do: S3 and whatever
speaks its protocol (MinIO, Ceph, R2, Google's through its S3 interface).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from configs.errors import InputError, KinfolkError, NotFoundError, StorageError

PROTOCOL = "s3://"
LISTED = 1000
REFUSED = ("AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
UNMET = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
UNKNOWN = ("NotImplemented", "501")


@dataclass(frozen=True)
class Stored:
    """A small object as it was read."""

    body: bytes
    tag: str
    """Changes with every write of other bytes; what a conditional write is compared with."""
    written: datetime
    """When, by the store's clock, in whole seconds."""
    read: datetime
    """The same of this reading."""


class Objects:
    """The objects below one URL, by their names."""

    def __init__(self, url: str) -> None:
        if not url.startswith(PROTOCOL) or not url.removeprefix(PROTOCOL).strip("/"):
            raise InputError(f"{url}: accepted as a workspace in an object store: s3://bucket/prefix")
        self.url = url.rstrip("/")
        self.bucket, _, self.prefix = self.url.removeprefix(PROTOCOL).partition("/")
        with told(self.url):
            self._files = _s3()

    @property
    def endpoint(self) -> str:
        """The server that answers, since two of them may have buckets of one name; Amazon's are one."""
        with told(self.url):
            self._files.connect()
            found = str(self._files.s3.meta.endpoint_url)
        return "amazonaws.com" if found.endswith(".amazonaws.com") else found

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _path(self, name: str) -> str:
        return f"{self.bucket}/{self._key(name)}"

    def read(self, name: str) -> Stored | None:
        """A small object and its tag; None where there is none. Raises StorageError."""
        with told(f"{self.url}/{name}"):
            try:
                answer = self._files.call_s3("get_object", Bucket=self.bucket, Key=self._key(name))
                return Stored(_body(self._files, answer), str(answer["ETag"]), answer["LastModified"], _date(answer))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return None

    def tag(self, name: str) -> str | None:
        """The tag of an object without its bytes; None where there is none. Raises StorageError."""
        with told(f"{self.url}/{name}"):
            try:
                return str(self._files.call_s3("head_object", Bucket=self.bucket, Key=self._key(name))["ETag"])
            except FileNotFoundError:
                return None

    def write_if(self, name: str, body: bytes, tag: str | None) -> str | None:
        """Write an object where it still has this tag (None: where there is none yet); its new tag.

        Returns None where another writer was faster. A write whose answer was lost is sent again by the library, and
        refused for its own sake: where the object holds `body`, it was this one that went through. Raises StorageError,
        InputError where the store has no conditions.
        """
        written = self._put_if(name, body, tag)
        if written is None and (stored := self.read(name)) is not None and stored.body == body:
            return stored.tag
        return written

    def check_conditions(self, name: str, body: bytes) -> None:
        """Raise InputError where the store writes an object that is there although it was told to write a new one."""
        if self._put_if(name, body, None) is not None:
            raise self.unconditional()

    def _put_if(self, name: str, body: bytes, tag: str | None) -> str | None:
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with told(f"{self.url}/{name}"):
            try:
                answer = self._files.call_s3(
                    "put_object", Bucket=self.bucket, Key=self._key(name), Body=body, **condition
                )
            except (OSError, FileExistsError) as error:
                if _is_conflict(error):
                    return None
                if _code(error) in UNKNOWN:
                    raise self.unconditional() from None
                raise
        return str(answer["ETag"])

    def unconditional(self) -> InputError:
        """What is told of a store that writes whatever the condition."""
        return InputError(
            f"{self.url}: this store does not write on a condition (If-Match, If-None-Match), so two writers could "
            "not be kept apart; use Amazon S3, MinIO, Cloudflare R2 or another one that does"
        )

    def names(self, below: str = "") -> set[str]:
        """Names of all objects below `below`/, without it. Raises StorageError."""
        return set(self.listed(below))

    def listed(self, below: str = "") -> dict[str, datetime]:
        """The same, with when each was last written by the store's clock."""
        with told(f"{self.url}/{below}"):
            root = self._path(below).rstrip("/")
            found = self._files.find(root, detail=True)
        return {path.removeprefix(f"{root}/"): about["LastModified"] for path, about in found.items()}

    def upload(self, path: Path, name: str) -> None:
        """Write a file's bytes, in parts where it is large. Raises StorageError."""
        with told(f"{self.url}/{name}"):
            self._files.put_file(str(path), self._path(name))

    def download(self, name: str, path: Path) -> bool:
        """Write an object's bytes to a file; False where there is no such object. Raises StorageError."""
        with told(f"{self.url}/{name}"):
            try:
                self._files.get_file(self._path(name), str(path))
            except FileNotFoundError:
                return False
        return True

    def remove(self, names: list[str]) -> None:
        """Remove objects. Raises StorageError."""
        with told(self.url):
            for start in range(0, len(names), LISTED):
                keys = [{"Key": self._key(name)} for name in names[start : start + LISTED]]
                self._files.call_s3("delete_objects", Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what an object store's library raises into one StorageError."""
    try:
        yield
    except KinfolkError:
        raise
    except ImportError:
        raise InputError(f"{where}: reading object stores needs `pip install 'kinfolk[s3]'`") from None
    except Exception as error:  # each library has a tree of its own
        raise _in_words(where, error) from None


def _in_words(where: str, error: Exception) -> KinfolkError:
    code, reason = _code(error), " ".join(str(error).split())[:200] or type(error).__name__
    if code == "NoSuchBucket":
        bucket = PROTOCOL + where.removeprefix(PROTOCOL).partition("/")[0]
        return NotFoundError(f"{bucket}: there is no such bucket; make it, or check its name and AWS_ENDPOINT_URL")
    if code in REFUSED or isinstance(error, PermissionError):
        return StorageError(
            f"{where}: the object store refuses access ({code or reason}); the credentials need s3:ListBucket for the "
            "bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject below the prefix"
        )
    return StorageError(
        f"{where}: the object store refuses or cannot be reached ({reason}); check the address, AWS_ENDPOINT_URL "
        "and the credentials, then start again"
    )


def _code(error: Exception) -> str:
    """The code that the store answered with, however deep the library hides it; empty where it did not answer."""
    inner: BaseException | None = error
    while inner is not None:
        code = getattr(inner, "response", {}).get("Error", {}).get("Code", "")
        if code:
            return str(code)
        inner = inner.__cause__ or inner.__context__
    return ""


def _s3() -> Any:
    import s3fs

    return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


def _body(files: Any, answer: Any) -> bytes:
    """The bytes of an answer, which is read in the library's own loop."""
    from fsspec.asyn import sync

    async def read() -> bytes:
        async with answer["Body"] as stream:
            return bytes(await stream.read())

    body: bytes = sync(files.loop, read)
    return body


def _date(answer: Any) -> datetime:
    """When the store answered, by its own clock; by ours where it does not say."""
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(said) if said else datetime.now(UTC)


def _is_conflict(error: Exception) -> bool:
    """Whether a conditional write was refused for its condition."""
    if _code(error) in UNMET:
        return True
    return isinstance(error, FileExistsError) or "pre-condition" in str(error).lower()
