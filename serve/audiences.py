"""Audiences as things that stay: made once, kept with their members, found again by id; for HTTP and command line.

    workspace/audiences/<id>/
      members.parquet   customer_id (as in the source), score, rank, reasons; best first
      held_out.parquet  customer_id of members who are kept out of the list; only where some are
      report.json       what to expect of it, and what it was made from
      manifest.json

The id follows from the request and the snapshot, so that asking twice gives the same audience. Customer ids are in
these files only; the catalogue gets the options, the figures and the hashes.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from configs.errors import ArtifactError, ConflictError, NotFoundError, storage_errors
from index.audience import Audience, build_audience
from index.config import AudienceConfig
from index.effect import Effect, effect
from index.eligibility import Context
from index.request import AudienceRequest, CustomerId, Rows
from serve.objections import Mask, objected_in
from serve.snapshot import Snapshot
from store.artifact import Manifest, create, is_complete, key_of, verify
from store.catalogue import Catalogue
from store.erasures import Erasures
from store.objections import Objections
from store.workspace import Workspace

KIND, VERSION = "audience", 2
MEMBERS, HELD_OUT, REPORT = "members.parquet", "held_out.parquet", "report.json"
ID = re.compile(r"a-[0-9a-f]{16}")
UNMATCHED_SHOWN = 100
"""Unknown seed ids that the report repeats; their number is always given."""
KEPT = ("population", "eligible", "confidence", "auroc", "recall", "lift", "warnings")
"""What the catalogue keeps of a report."""


@dataclass(frozen=True)
class StoredAudience:
    """A finished audience on disk."""

    id: str
    folder: Path
    manifest: Manifest
    report: Mapping[str, Any]
    """JSON values; see `report_of`."""

    @property
    def state(self) -> str:
        """What tells its bytes from those that it had before customers were erased: its id, and how many were."""
        erased = int(self.manifest.figures.get("erased", 0))
        return f"{self.id}-{erased}" if erased else self.id

    def members(self) -> pl.DataFrame:
        """customer_id, score, rank of the members, best first."""
        return pl.read_parquet(self.folder / MEMBERS)

    def held_out(self) -> pl.Series:
        """Ids of the members who are kept out of the list."""
        ids = self.members()["customer_id"].clear()
        path = self.folder / HELD_OUT
        return pl.read_parquet(path)["customer_id"] if path.exists() else ids


def config_of(snapshot: Snapshot) -> AudienceConfig:
    """How audiences are made of this snapshot: as its recipe said."""
    return AudienceConfig.model_validate(snapshot.manifest.figures.get("audience") or {})


def normal(request: AudienceRequest) -> AudienceRequest:
    """The request with its ids as text in one order, so that equal lists in any order are one request."""
    lists = {name: tuple(sorted(map(str, getattr(request, name)))) for name in ("seeds", "suppress")}
    numbers = {name: tuple(sorted(set(getattr(request, name)))) for name in ("nested", "segments", "not_segments")}
    return request.model_copy(update={**lists, **numbers, "where": tuple(sorted(set(request.where)))})


@dataclass(frozen=True)
class Asked:
    """What is asked for: a request, and tables of customer_id and one text column an attribute."""

    request: AudienceRequest
    make_up: pl.DataFrame | None = None
    """What the make-up of the audience is told by."""
    attributes: pl.DataFrame | None = None
    """What the request's conditions are about."""

    def normal(self) -> "Asked":
        """With the request in its normal form."""
        return replace(self, request=normal(self.request))

    def allowed(self, erased: Erasures) -> "Asked":
        """Without customers who were erased: who asks with an old list must not bring them back."""
        lists = {
            name: tuple(id for id, gone in zip(given, erased.hold(given), strict=True) if not gone)
            for name in ("seeds", "suppress")
            if (given := getattr(self.request, name))
        }
        tables = {
            name: without(table, erased)
            for name in ("make_up", "attributes")
            if (table := getattr(self, name)) is not None
        }
        return replace(self, request=self.request.model_copy(update=lists), **tables)

    def hashes(self) -> dict[str, str]:
        """Names of the tables that are given, and their SHA-256."""
        tables = {"make_up": self.make_up, "attributes": self.attributes}
        return {name: table_hash(table) for name, table in tables.items() if table is not None}


def id_of(asked: Asked, snapshot: Snapshot, config: AudienceConfig, objected: Mask | None) -> str:
    """The id of the audience that a request gives over a snapshot whose customers `objected` are left out."""
    # a new option changes no old id
    options = normal(asked.request).model_dump(mode="json", exclude_defaults=True)
    besides: list[Any] = list(asked.hashes().values()) if asked.attributes is None else [asked.hashes()]
    if objected is not None:
        besides.append(hashlib.sha256(np.packbits(objected).tobytes()).hexdigest())
    return "a-" + key_of(KIND, VERSION, snapshot.manifest.key, config.model_dump(mode="json"), options, *besides)


def build(
    asked: Asked, snapshot: Snapshot, objected: Mask | None, previous: Rows | None = None, held_out: Rows | None = None
) -> Audience:
    """Build the audience that is asked for, without keeping it; `previous` and `held_out` as in Context.

    Raises InputError where it cannot be met.
    """
    context = Context(snapshot.segments.labels, objected, asked.attributes, asked.make_up, previous, held_out)
    return build_audience(asked.request, snapshot.embeddings, snapshot.behaviour, config_of(snapshot), context=context)


def without(table: pl.DataFrame, erased: Erasures) -> pl.DataFrame:
    """A table with a column customer_id, without customers who were erased."""
    return table.filter(~pl.Series(erased.hold(table["customer_id"].to_list()), dtype=pl.Boolean))


def table_hash(table: pl.DataFrame) -> str:
    """SHA-256 of a table as CSV, its rows in order of the ids."""
    return hashlib.sha256(table.sort("customer_id").write_csv().encode()).hexdigest()


def make_audience(
    asked: Asked, snapshot: Snapshot, workspace: Workspace, catalogue: Catalogue, actor: str
) -> tuple[StoredAudience, bool]:
    """The audience that is asked for, found again where it was made before; True where it was made now.

    Raises InputError where the request cannot be met, StorageError on a full disk.
    """
    asked, objected = asked.allowed(Erasures(catalogue)).normal(), objected_in(snapshot, Objections(catalogue))
    id = id_of(asked, snapshot, config_of(snapshot), objected)
    if not is_complete(folder_of(workspace, id), KIND, VERSION):
        audience = build(asked, snapshot, objected)
        return store_audience(audience, id, asked, snapshot, workspace, catalogue, actor), True
    stored = load_audience(workspace, id)
    _record(stored, workspace, catalogue, actor)
    return stored, False


def store_audience(
    audience: Audience,
    id: str,
    asked: Asked,
    snapshot: Snapshot,
    workspace: Workspace,
    catalogue: Catalogue,
    actor: str,
) -> StoredAudience:
    """Keep a built audience as `id` and note it in the catalogue. Raises StorageError; nothing half-written stays."""
    folder = folder_of(workspace, id)
    with writing(workspace):
        # another process may have made the same one meanwhile
        if not is_complete(folder, KIND, VERSION):
            with create(folder, KIND, VERSION, id.removeprefix("a-")) as writer:
                # the snapshot may be one of before an erasure, still held by a request or a service
                erased = Erasures(catalogue)
                table, out = audience.member_table(), audience.held_out_table()
                listed, held_out = without(table, erased), without(out, erased)
                listed.write_parquet(writer.path(MEMBERS))
                if len(audience.held_out):
                    held_out.write_parquet(writer.path(HELD_OUT))
                lost = {MEMBERS: len(table) - len(listed), HELD_OUT: len(out) - len(held_out)}
                report = report_of(audience, asked, snapshot)
                writer.write_json(REPORT, report_without(report, lost, erased.hold))
                writer.parents["snapshot"] = snapshot.manifest.key
                writer.counts.update(members=len(listed), population=snapshot.n_customers)
    stored = load_audience(workspace, id)
    _record(stored, workspace, catalogue, actor)
    return stored


def load_audience(workspace: Workspace, id: str) -> StoredAudience:
    """The audience `id`. Raises NotFoundError where there is none, ArtifactError where it is damaged."""
    folder = folder_of(workspace, id)
    if not folder.is_dir():
        raise NotFoundError(f"no audience {id!r}; `GET /v1/audiences` lists them")
    manifest = verify(folder, KIND, VERSION)
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / REPORT}: not readable ({error}); delete {folder} and ask again") from None
    return StoredAudience(id, folder, manifest, report)


def measure(stored: StoredAudience, outcomes: Sequence[CustomerId]) -> Effect:
    """What a campaign to an audience caused; `outcomes` are the ids of the customers who did what it was for.

    Raises InputError where nobody was held out.
    """
    listed, held_out = stored.members()["customer_id"].cast(pl.String), stored.held_out().cast(pl.String)
    # "007" is 7 where ids are numbers, as it is in seed lists
    ids = pl.Series([str(id) for id in outcomes], dtype=pl.String)
    if stored.members()["customer_id"].dtype.is_integer():
        ids = ids.str.strip_chars().cast(pl.Int64, strict=False).cast(pl.String).drop_nulls()
    ids = pl.concat([ids, ids.str.strip_chars(" ")]).unique()
    counts = [(len(group), int(group.is_in(ids.implode()).sum())) for group in (listed, held_out)]
    return effect(*counts[0], *counts[1], float(stored.report["confidence"]))


def folder_of(workspace: Workspace, id: str) -> Path:
    """Where the audience `id` is or would be. Raises NotFoundError for what cannot be an id."""
    if not ID.fullmatch(id):
        raise NotFoundError(f"no audience {id[:40]!r}; an id is a- and 16 hex digits, `GET /v1/audiences` lists them")
    return workspace.audiences / id


def report_of(audience: Audience, asked: Asked, snapshot: Snapshot) -> dict[str, Any]:
    """An audience's report as JSON values: that of index.audience, with the request's options and the snapshot's name.

    `seeds.unmatched` is their number; `seeds.unmatched_ids` repeats the first of them.
    """
    report = asdict(audience.report)
    seeds = report["seeds"]
    unmatched = seeds.pop("unmatched")
    seeds["unmatched"] = len(unmatched)
    seeds["unmatched_ids"] = [id[:100] for id in unmatched[:UNMATCHED_SHOWN]]
    options = options_of(asked.request) | {f"{name}_sha256": value for name, value in asked.hashes().items()}
    return {**report, "snapshot": snapshot.name, "request": options, "seeds_sha256": hash_of(asked.request)}


def report_without(
    report: Mapping[str, Any], lost: Mapping[str, int], gone: Callable[[list[CustomerId]], Sequence[bool]]
) -> dict[str, Any]:
    """A report as `report_of` gives it, of an audience that lost so many rows, without ids that are gone."""

    def kept(ids: list[CustomerId]) -> list[CustomerId]:
        return [id for id, without in zip(ids, gone(ids), strict=True) if not without]

    told = {**report, "size": report["size"] - sum(lost.values())}
    if "held_out" in told:
        told["held_out"] = report["held_out"] - lost.get(HELD_OUT, 0)
    if "unmatched_ids" in report.get("seeds", {}):
        told["seeds"] = {**report["seeds"], "unmatched_ids": kept(report["seeds"]["unmatched_ids"])}
    if "prototypes" in report:
        told["prototypes"] = kept(report["prototypes"])
    return told


def options_of(request: AudienceRequest) -> dict[str, Any]:
    """The options of a request without any customer id: lists become their lengths."""
    return {**request.model_dump(mode="json", exclude={"seeds"}, exclude_none=True), "suppress": len(request.suppress)}


def hash_of(request: AudienceRequest) -> str:
    """SHA-256 of the seed ids, sorted, one a line: tells whether two requests had the same seeds, and names nobody."""
    return hashlib.sha256("\n".join(map(str, normal(request).seeds)).encode()).hexdigest()


def _record(stored: StoredAudience, workspace: Workspace, catalogue: Catalogue, actor: str) -> None:
    """Note an audience in the catalogue, once."""
    try:
        catalogue.audience(stored.id)
        return
    except NotFoundError:
        pass
    report = stored.report
    kept = {name: report[name] for name in KEPT}
    kept["seeds"] = {name: count for name, count in report["seeds"].items() if name != "unmatched_ids"}
    with suppress(ConflictError):  # another process noted the same one meanwhile
        catalogue.save_audience(
            id=stored.id,
            actor=actor,
            snapshot=report["snapshot"],
            request=report["request"],
            seeds_sha256=report["seeds_sha256"],
            size=report["size"],
            report=kept,
            result_sha256=stored.manifest.files[MEMBERS]["sha256"],
            members=(stored.folder / MEMBERS).relative_to(workspace.root).as_posix(),
        )


@contextmanager
def writing(workspace: Workspace) -> Iterator[None]:
    """Wait for and hold the right to write audiences; not the workspace's lock, which a nightly job holds for long."""
    folder = workspace.audiences
    with storage_errors(folder):
        folder.mkdir(exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
