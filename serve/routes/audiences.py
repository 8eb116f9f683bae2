"""Routes about lookalike audiences."""

import asyncio
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import FileResponse, JSONResponse, StreamingResponse

from configs.errors import InputError, NotFoundError
from index.files import escaped
from serve import uploads
from serve.audience_schemas import AudienceAnswer, AudienceMembers, AudiencesPage, AudienceSummary
from serve.audiences import MEMBERS, StoredAudience, load_audience, make_audience
from serve.negotiation import choose
from serve.objections import still_exported
from serve.problems import FaultsError
from serve.routes.common import (
    Creator,
    MembersReader,
    Reader,
    Served,
    Services,
    decode_cursor,
    encode_cursor,
    tag,
)
from serve.routes.examples import CREATE, MEMBERS_ANSWER
from store.objections import Objections
from store.records import AudienceRecord

router = APIRouter(prefix="/v1/audiences", tags=["audiences"])
BINARY: dict[str, Callable[[pl.DataFrame, io.BytesIO], None]] = {
    "parquet": lambda table, content: table.write_parquet(content),
    "arrow": lambda table, content: table.write_ipc_stream(content, compat_level=pl.CompatLevel.oldest()),
}
CHUNK = 20_000
"""Members written at once when a list is streamed."""


@router.post("", status_code=201, response_model=AudienceAnswer, openapi_extra=CREATE)
async def create_audience(request: Request, key: Creator, service: Services, snapshot: Served) -> Response:
    """Find the `size` customers most like the seeds.

    The answer is the audience's report: what became of the seeds, expected recall and lift with intervals, how the
    scorers did, what sets the audience apart. The members are at its path `members`. Asking for the same again over
    the same snapshot gives the same audience, with 200 instead of 201. Takes from a second to a minute.
    """
    parse = await uploads.receive(request)

    def work() -> tuple[StoredAudience, bool]:
        started = time.perf_counter()
        made = make_audience(parse(), snapshot, service.workspace, service.catalogue, key.name)
        service.metrics.audience_seconds.observe(time.perf_counter() - started)
        return made

    with service.turn():
        outcome = "failed"
        try:
            stored, new = await asyncio.wrap_future(service.submit(work))
            outcome = "made" if new else "found"
        except InputError:
            outcome = "refused"
            raise
        finally:
            service.metrics.audiences.labels(outcome).inc()
    answer = _answer(stored, service.catalogue.audience(stored.id))
    path = f"{request.scope.get('root_path', '')}/v1/audiences/{stored.id}"
    return JSONResponse(answer.model_dump(mode="json"), 201 if new else 200, {"Location": path})


@router.get("")
def read_audiences(
    key: Reader,
    service: Services,
    limit: Annotated[int, Query(ge=1, le=500, description="Most audiences on a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
) -> AudiencesPage:
    """The audiences made so far, newest first, a page at a time."""
    before = decode_cursor(cursor, str)[0] if cursor is not None else None
    try:
        found = service.catalogue.audiences(limit + 1, before)
    except NotFoundError:
        raise FaultsError(["cursor: not one that a page before gave"]) from None
    page = [_summary(record) for record in found[:limit]]
    return AudiencesPage(audiences=page, next_cursor=encode_cursor(page[-1].id) if len(found) > limit else None)


@router.get("/{audience}")
def read_audience(response: Response, key: Reader, service: Services, audience: str) -> AudienceAnswer:
    """The report of one audience."""
    stored = load_audience(service.workspace, audience)
    tag(response, stored.id)
    return _answer(stored, service.catalogue.audience(stored.id))


@router.get("/{audience}/members", response_model=AudienceMembers, responses=MEMBERS_ANSWER)
def read_members(request: Request, key: MembersReader, service: Services, audience: str) -> Response:
    """All members of an audience, best first, as JSON, CSV, Parquet or an Arrow stream, whichever `Accept` asks for.

    Members who have objected to marketing profiling since are left out. In CSV, ids that a spreadsheet would run as a
    formula have an apostrophe before them. Each download is audited.
    """
    media_type, form = choose(",".join(request.headers.getlist("accept")))
    stored = load_audience(service.workspace, audience)
    objections = Objections(service.catalogue)
    version, made = objections.version(), stored.members()
    members = still_exported(made, objections)
    since = f".{version}" if len(members) < len(made) else ""
    headers = {"ETag": f'"{stored.id}.{form}{since}"', "Vary": "Accept", "Cache-Control": "private, no-cache"}
    if form != "json":
        headers["Content-Disposition"] = f'attachment; filename="{stored.id}.{form}"'
    service.catalogue.audit(key.name, "audience.members", stored.id, {"format": form, "size": len(members)})
    if form == "parquet" and not since:
        return FileResponse(stored.folder / MEMBERS, headers=headers, media_type=media_type)
    if form in BINARY:
        content = io.BytesIO()
        BINARY[form](members, content)
        return Response(content.getvalue(), headers=headers, media_type=media_type)
    if form == "csv":
        return StreamingResponse(_csv(members), headers=headers, media_type="text/csv; charset=utf-8")
    return StreamingResponse(_json(stored.id, members), headers=headers, media_type=media_type)


def _csv(members: pl.DataFrame) -> Iterator[str]:
    for start in range(0, max(len(members), 1), CHUNK):
        yield escaped(members.slice(start, CHUNK)).write_csv(include_header=start == 0)


def _json(id: str, members: pl.DataFrame) -> Iterator[str]:
    yield f'{{"audience":{json.dumps(id)},"size":{len(members)},"members":['
    for start in range(0, len(members), CHUNK):
        rows = members.slice(start, CHUNK).to_dicts()
        text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
        yield ("," if start else "") + text[1:-1]
    yield "]}"


def _answer(stored: StoredAudience, record: AudienceRecord) -> AudienceAnswer:
    facts: dict[str, Any] = {
        "id": stored.id,
        "created": record.created,
        "created_by": record.actor,
        "members": f"/v1/audiences/{stored.id}/members",
    }
    return AudienceAnswer.model_validate({**stored.report, **facts})


def _summary(record: AudienceRecord) -> AudienceSummary:
    return AudienceSummary.model_validate(
        {
            **{name: record.report.get(name) for name in ("recall", "lift", "warnings")},
            "id": record.id,
            "created": record.created,
            "created_by": record.actor,
            "snapshot": record.snapshot,
            "size": record.size,
        }
    )
