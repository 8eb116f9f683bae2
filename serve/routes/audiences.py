"""Routes about lookalike audiences."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse

from configs.errors import NotFoundError
from index.files import ids_of_csv
from serve import uploads
from serve.audience_schemas import AudienceAnswer, AudienceMembers, AudiencesPage, AudienceSummary, EffectAnswer
from serve.audiences import MEMBERS, StoredAudience, load_audience, make_audience, measure
from serve.auth import Key, Right, may
from serve.negotiation import choose
from serve.objections import objecting, still_exported
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
from serve.routes.computing import computed
from serve.routes.examples import CREATE, MEMBERS_ANSWER, OUTCOMES
from serve.routes.lists import headers_of, listed
from serve.service import Service
from store.artifact import key_of
from store.objections import Objections
from store.records import AudienceRecord

router = APIRouter(prefix="/v1/audiences", tags=["audiences"])


@router.post("", status_code=201, response_model=AudienceAnswer, openapi_extra=CREATE)
async def create_audience(request: Request, key: Creator, service: Services, snapshot: Served) -> Response:
    """Find the `size` customers most like the seeds.

    The answer is the audience's report: what became of the seeds, expected recall and lift with intervals, how the
    scorers did, what sets the audience apart. The members are at its path `members`. Asking for the same again over
    the same snapshot gives the same audience, with 200 instead of 201. Takes from a second to a minute.
    """
    parse = await uploads.receive(request)

    def work() -> tuple[StoredAudience, bool]:
        with service.keeping() as folders:
            made = make_audience(parse(), snapshot, service.workspace, service.catalogue, key.name)
            folders.append(f"audiences/{made[0].id}")
        return made

    stored, new = await computed(service, work)
    answer = _answer(stored, service.catalogue.audience(stored.id), key, service)
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
    answer = _answer(stored, service.catalogue.audience(stored.id), key, service)
    tag(response, stored.state, *(["named", key_of(answer.prototypes)] if may(key, Right.MEMBERS) else []))
    return answer


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
    erased = stored.state.removeprefix(stored.id)
    headers = headers_of(stored.id, form, since + erased)
    service.catalogue.audit(key.name, "audience.members", stored.id, {"format": form, "size": len(members)})
    if form == "parquet" and not since:
        return FileResponse(stored.folder / MEMBERS, headers=headers, media_type=media_type)
    return listed(members, media_type, form, headers, {"audience": stored.id, "size": len(members)}, "members")


@router.post("/{audience}/effect", response_model=EffectAnswer, openapi_extra=OUTCOMES)
async def measure_effect(request: Request, key: Creator, service: Services, audience: str) -> EffectAnswer:
    """What a campaign caused, from the customers who did what it was for, as a CSV with a column customer_id.

    Members in the list are compared with those held out of it. Audited; the list is not kept.
    """
    content = await request.body()

    def work() -> EffectAnswer:
        stored = load_audience(service.workspace, audience)
        found = measure(stored, ids_of_csv(content, "outcomes"))
        service.catalogue.audit(key.name, "audience.effect", stored.id, {"outcomes": found.listed_with_outcome})
        return EffectAnswer.model_validate({"audience": stored.id, "told": found.told, **asdict(found)})

    return await run_in_threadpool(work)


def _answer(stored: StoredAudience, record: AudienceRecord, key: Key, service: Service) -> AudienceAnswer:
    """The report as this key may read it: ids for those alone who may read lists, and of nobody who objected."""
    ids: dict[str, Any] = {"seeds": {**stored.report["seeds"], "unmatched_ids": []}, "prototypes": []}
    if may(key, Right.MEMBERS):
        objected = objecting(service.objections)
        ids = {"prototypes": [id for id in stored.report.get("prototypes", ()) if not objected.are(id)]}
    facts: dict[str, Any] = {
        "id": stored.id,
        "created": record.created,
        "created_by": record.actor,
        "members": f"/v1/audiences/{stored.id}/members",
    }
    return AudienceAnswer.model_validate({**stored.report, **facts, **ids})


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
