"""The catalogue's tables, for SQLite and PostgreSQL alike. A change here goes with a new migration."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from store.records import Action, AudienceStatus, Role, RunStatus

HEAD = "0004"
"""Newest migration; kept here so that opening an up-to-date catalogue need not load Alembic."""
VERSION_TABLE = "catalogue_version"
"""Our own name, so that a PostgreSQL database may hold another application's Alembic table beside it."""


class Utc(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is taken off on the way in and put on on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without a zone; hand the database UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment in the catalogue needs a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand out an aware UTC moment."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of the tables: str is text, dict is JSON, datetime is UTC."""

    type_annotation_map = {str: String, dict[str, Any]: JSON, datetime: Utc}  # noqa: RUF012


class RunRow(Base):
    """Table runs."""

    __tablename__ = "runs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    command: Mapped[str]
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    status: Mapped[RunStatus] = mapped_column(String)
    recipe_hash: Mapped[str | None]
    eventlog_key: Mapped[str | None]
    model_key: Mapped[str | None]
    snapshot: Mapped[str | None]
    figures: Mapped[dict[str, Any]]


class PublicationRow(Base):
    """Table publications."""

    __tablename__ = "publications"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    snapshot: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[Action] = mapped_column(String)
    previous: Mapped[str | None]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))


class AudienceRow(Base):
    """Table audiences."""

    __tablename__ = "audiences"

    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    snapshot: Mapped[str]
    request: Mapped[dict[str, Any]]
    seeds_sha256: Mapped[str]
    size: Mapped[int]
    status: Mapped[AudienceStatus] = mapped_column(String)
    report: Mapped[dict[str, Any]]
    result_sha256: Mapped[str | None]
    members: Mapped[str | None]


class KeyRow(Base):
    """Table api_keys."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[Role] = mapped_column(String)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    created: Mapped[datetime]
    last_used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class AuditRow(Base):
    """Table audit; the database itself refuses to change or delete its rows (triggers of migration 0001)."""

    __tablename__ = "audit"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]


class ObjectionRow(Base):
    """Table objections: the last row of a customer says whether they object."""

    __tablename__ = "objections"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    objects: Mapped[bool]


class SegmentNameRow(Base):
    """Table segment_names: the last row of a segment is its name."""

    __tablename__ = "segment_names"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    lineage: Mapped[str] = mapped_column(index=True)
    segment: Mapped[int]
    name: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]


class ErasureRow(Base):
    """Table erasures: keyed hashes of the ids of customers who were erased and must not come back."""

    __tablename__ = "erasures"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    receipt: Mapped[str]


class ErasureSaltRow(Base):
    """Table erasure_salt: one row with the random salt of the workspace's hashes."""

    __tablename__ = "erasure_salt"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
