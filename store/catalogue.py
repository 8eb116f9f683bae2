"""The catalogue: what ran, what was published, audiences, API keys and the audit log.

SQLite in the workspace by default, PostgreSQL by URL. Methods are safe to call from several threads and processes.
Everything that changes who may do what, or what is served or sent, writes its audit entry in the same transaction.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from configs.errors import ConflictError, InputError, NotFoundError, ReadOnlyError, StorageError
from store.database import database_errors, open_database, purge
from store.privacy import refuse_customers
from store.records import (
    ROLES,
    Action,
    ApiKey,
    AudienceRecord,
    AudienceStatus,
    AuditEntry,
    Publication,
    Role,
    Run,
    RunStatus,
)
from store.tables import AudienceRow, AuditRow, Base, KeyRow, PublicationRow, RunRow

Record = TypeVar("Record")
SECRET = re.compile(r"kf_(?P<id>[0-9a-f]{12})_[0-9A-Za-z_-]{43}")
"""Readable prefix, the key's id, 256 random bits."""
NO_SALT = bytes(16)


def utc_now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


class Catalogue:
    """One open catalogue; migrates its tables on opening. Close it, or use it as a context manager."""

    def __init__(self, where: Path | str, now: Callable[[], datetime] = utc_now, read_only: str | None = None) -> None:
        """Open the catalogue at a path (`workspace.catalogue`) or an SQLAlchemy URL; see `open_database` for errors.

        `read_only` is why nothing may be written, told to whoever tries (ReadOnlyError).
        """
        self._engine, self.name = open_database(where)
        self.now, self.read_only = now, read_only

    def __enter__(self) -> "Catalogue":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def session(self, *, write: bool) -> Iterator[Session]:
        """One transaction, for this class and the registers beside it; rolled back where its block raises."""
        if write:
            self.check_writable()
        with (
            database_errors(self.name),
            Session(self._engine.execution_options(write=write), expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def check_writable(self) -> None:
        """Raises ReadOnlyError where nothing may be written."""
        if self.read_only is not None:
            raise ReadOnlyError(self.read_only)

    @property
    def is_file(self) -> bool:
        """Whether it is an SQLite file, and no server."""
        return self._engine.dialect.name == "sqlite"

    def purge(self) -> None:
        """See that deleted rows are gone from SQLite's files too. PostgreSQL leaves that to its own VACUUM."""
        purge(self._engine, self.name)

    # runs

    def record_run(self, command: str, *, recipe_hash: str | None = None) -> Run:
        """Note that a command has started; `finish_run` closes it."""
        row = RunRow(command=command, started=self.now(), status="running", recipe_hash=recipe_hash, figures={})
        with self.session(write=True) as session:
            session.add(row)
            session.flush()
            return _record(Run, row)

    def finish_run(
        self,
        run: int,
        status: RunStatus,
        *,
        eventlog_key: str | None = None,
        model_key: str | None = None,
        snapshot: str | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> Run:
        """Note how the run with id `run` ended and what it made. Raises NotFoundError."""
        with self.session(write=True) as session:
            row = session.get(RunRow, run)
            if row is None:
                raise NotFoundError(f"{self.name}: no run {run}")
            row.status, row.ended, row.figures = status, self.now(), dict(figures or {})
            row.eventlog_key, row.model_key, row.snapshot = eventlog_key, model_key, snapshot
            return _record(Run, row)

    def interrupt_runs(self) -> int:
        """Mark runs that still count as running as interrupted, and return how many.

        Only for the holder of the workspace's lock: then no other run can be alive.
        """
        with self.session(write=True) as session:
            dead = session.scalars(select(RunRow).where(RunRow.status == "running")).all()
            for row in dead:
                row.status, row.ended = "interrupted", self.now()
            return len(dead)

    def runs(self, limit: int = 50) -> list[Run]:
        """The last runs, newest first."""
        with self.session(write=False) as session:
            return [
                _record(Run, row) for row in session.scalars(select(RunRow).order_by(RunRow.id.desc()).limit(limit))
            ]

    # publications

    def record_publication(
        self, snapshot: str, *, actor: str, action: Action, previous: str | None, run_id: int | None = None
    ) -> Publication:
        """Note that the pointer moved from `previous` to `snapshot`; audited.

        Saying the same again (a job killed between moving the pointer and this, then started again) changes nothing.
        """
        with self.session(write=True) as session:
            last = session.scalar(select(PublicationRow).order_by(PublicationRow.id.desc()).limit(1))
            if last is not None and last.snapshot == snapshot:
                return _record(Publication, last)
            row = PublicationRow(
                snapshot=snapshot, at=self.now(), actor=actor, action=action, previous=previous, run_id=run_id
            )
            session.add(row)
            self.append_audit(session, actor, action, snapshot, {"previous": previous})
            session.flush()
            return _record(Publication, row)

    def history(self, limit: int = 100) -> list[Publication]:
        """The last publications and rollbacks, newest first."""
        with self.session(write=False) as session:
            rows = session.scalars(select(PublicationRow).order_by(PublicationRow.id.desc()).limit(limit))
            return [_record(Publication, row) for row in rows]

    # audiences

    def save_audience(
        self,
        *,
        actor: str,
        snapshot: str,
        request: Mapping[str, Any],
        seeds_sha256: str,
        size: int,
        report: Mapping[str, Any] | None = None,
        result_sha256: str | None = None,
        members: str | None = None,
        status: AudienceStatus = "ready",
        id: str | None = None,
    ) -> AudienceRecord:
        """Save an audience and return its record; audited.

        `id` names one that was saved as running before, to bring it to its end, or a new one by an id of the caller's
        (`new_audience_id`). `request` holds options only and `members` a path relative to the workspace: ValueError
        otherwise. Raises ConflictError where the audience `id` has ended already.
        """
        refuse_customers(request, "request")
        refuse_customers(report or {}, "report")
        if members is not None and (PurePosixPath(members).is_absolute() or ".." in PurePosixPath(members).parts):
            raise ValueError(f"members: {members!r} is not a path inside the workspace")
        with self.session(write=True) as session:
            row = session.get(AudienceRow, id) if id else None
            if row is None:
                row = AudienceRow(id=id or new_audience_id(), created=self.now())
                session.add(row)
            elif row.status != "running":
                raise ConflictError(f"{self.name}: audience {id} is {row.status} already; a new one gets a new id")
            row.actor, row.snapshot, row.request, row.size = actor, snapshot, dict(request), size
            row.seeds_sha256, row.result_sha256, row.members = seeds_sha256, result_sha256, members
            row.status, row.report = status, dict(report or {})
            self.append_audit(
                session, actor, "audience", row.id, {"snapshot": snapshot, "size": size, "status": status}
            )
            try:
                session.flush()
            except IntegrityError:  # PostgreSQL lets two transactions get this far
                raise ConflictError(f"{self.name}: audience {id} was saved by another process meanwhile") from None
            return _record(AudienceRecord, row)

    def audience(self, id: str) -> AudienceRecord:
        """The audience `id`. Raises NotFoundError."""
        with self.session(write=False) as session:
            row = session.get(AudienceRow, id)
            if row is None:
                raise NotFoundError(f"no audience {id!r}; `GET /v1/audiences` lists them")
            return _record(AudienceRecord, row)

    def audiences(self, limit: int = 50, before: str | None = None) -> list[AudienceRecord]:
        """Audiences, newest first; `before` is the last id of the page before. Raises NotFoundError."""
        query = select(AudienceRow).order_by(AudienceRow.created.desc(), AudienceRow.id.desc()).limit(limit)
        with self.session(write=False) as session:
            if before is not None:
                last = session.get(AudienceRow, before)
                if last is None:
                    raise NotFoundError(f"no audience {before!r} to go on from")
                query = query.where(
                    (AudienceRow.created < last.created)
                    | ((AudienceRow.created == last.created) & (AudienceRow.id < last.id))
                )
            return [_record(AudienceRecord, row) for row in session.scalars(query)]

    # API keys

    def create_key(self, name: str, role: str, *, actor: str = "cli") -> tuple[ApiKey, str]:
        """Make an API key; returns its record and its secret, which is shown this once and kept nowhere. Audited.

        Raises InputError for an unknown role or a name that is empty or over 100 characters.
        """
        if role not in ROLES:
            raise InputError(f"role: no such role {role!r}; accepted: {', '.join(ROLES)}")
        if not name.strip() or len(name) > 100:
            raise InputError("name: a key needs a name of 1 to 100 characters, so that people know whose it is")
        id, salt = secrets.token_hex(6), secrets.token_bytes(16)
        secret = f"kf_{id}_{secrets.token_urlsafe(32)}"
        checked: Role = next(known for known in ROLES if known == role)
        row = KeyRow(id=id, name=name, role=checked, salt=salt, digest=_digest(salt, secret), created=self.now())
        with self.session(write=True) as session:
            session.add(row)
            self.append_audit(session, actor, "key.create", id, {"name": name, "role": role})
            return _record(ApiKey, row), secret

    def find_key(self, secret: str) -> ApiKey | None:
        """The key that `secret` opens; None where it is unknown, wrong or revoked. One look-up by primary key."""
        shape = SECRET.fullmatch(secret)
        id = shape["id"] if shape else ""
        with self.session(write=False) as session:
            row = session.get(KeyRow, id)
        # an unknown id costs the same hash and comparison as a known one, and where they differ takes no longer
        expected = row.digest if row else bytes(32)
        right = hmac.compare_digest(_digest(row.salt if row else NO_SALT, secret), expected)
        if row is None or not right or row.revoked is not None:
            return None
        self._touch(row)
        return _record(ApiKey, row)

    def _touch(self, row: KeyRow) -> None:
        now = self.now()
        if row.last_used is not None and now - row.last_used < timedelta(hours=1):
            return
        # a busy or full database must not lock people out: when a key was last used is only nice to know
        with suppress(ConflictError, StorageError), self.session(write=True) as session:
            session.execute(update(KeyRow).where(KeyRow.id == row.id).values(last_used=now))
            row.last_used = now

    def revoke_key(self, id: str, *, actor: str = "cli") -> ApiKey:
        """End a key for good; audited. Revoking twice changes nothing. Raises NotFoundError."""
        with self.session(write=True) as session:
            row = session.get(KeyRow, id)
            if row is None:
                raise NotFoundError(f"no API key {id!r}; `kinfolk keys list` shows them")
            if row.revoked is None:
                row.revoked = self.now()
                self.append_audit(session, actor, "key.revoke", id, {"name": row.name})
            return _record(ApiKey, row)

    def keys(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        with self.session(write=False) as session:
            rows = session.scalars(select(KeyRow).order_by(KeyRow.created, KeyRow.id))
            return [_record(ApiKey, row) for row in rows]

    # audit

    def audit(self, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> AuditEntry:
        """Append to the audit log. Details with customer ids or secrets are refused with ValueError.

        Publications, audiences, keys and objections are audited by their own methods.
        """
        with self.session(write=True) as session:
            row = self.append_audit(session, actor, action, subject, details or {})
            session.flush()
            return _record(AuditEntry, row)

    def append_audit(
        self, session: Session, actor: str, action: str, subject: str, details: Mapping[str, Any]
    ) -> AuditRow:
        """Append to the audit log in a transaction that does more; see `audit`."""
        refuse_customers(details, "details")
        row = AuditRow(at=self.now(), actor=actor, action=action, subject=subject, details=dict(details))
        session.add(row)
        return row

    def audit_log(self, limit: int = 100, before: int | None = None, action: str | None = None) -> list[AuditEntry]:
        """Audit entries, of one action if named, newest first; `before` is the last id of the page before."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if action is not None:
            query = query.where(AuditRow.action == action)
        if before is not None:
            query = query.where(AuditRow.id < before)
        with self.session(write=False) as session:
            return [_record(AuditEntry, row) for row in session.scalars(query)]


def new_audience_id() -> str:
    """A fresh audience id."""
    return f"a-{secrets.token_hex(8)}"


def _digest(salt: bytes, secret: str) -> bytes:
    # SHA-256, not scrypt: the secret is 256 random bits, so guessing is hopeless however fast the hash, and a slow
    # one would only cost every request its tenth of a second. Slow hashes are for what people choose themselves.
    return hashlib.sha256(salt + secret.encode()).digest()


def _record(kind: type[Record], row: Base) -> Record:
    return kind(**{item.name: getattr(row, item.name) for item in fields(kind)})  # type: ignore[arg-type]
