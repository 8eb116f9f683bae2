"""Routes about saved audiences, which are refreshed with every snapshot."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import JSONResponse

from serve import uploads
from serve.audience_schemas import ChangesAnswer, EditionAnswer, SavedAnswer, SavedList, SavedSummary
from serve.editions import refresh, save
from serve.negotiation import choose
from serve.objections import still_entering
from serve.routes.common import Creator, MembersReader, Reader, Served, Services
from serve.routes.computing import computed
from serve.routes.examples import CHANGES_ANSWER, SAVE
from serve.routes.lists import headers_of, listed
from serve.saved import Edition, Saved, edition_of, load_saved, remove, saved_names

router = APIRouter(prefix="/v1/saved-audiences", tags=["saved audiences"])
Name = Annotated[str, Path(description="Name: small letters, digits and hyphens.", examples=["spring-campaign"])]


@router.get("")
def read_saved_audiences(key: Reader, service: Services) -> SavedList:
    """All saved audiences, by name, each with its last edition."""
    found = [load_saved(service.workspace, name) for name in saved_names(service.workspace)]
    summaries = [
        SavedSummary(name=s.name, definition=s.definition, last=_edition(s.editions[-1]) if s.editions else None)
        for s in found
    ]
    return SavedList(saved=summaries)


@router.put("/{saved}", status_code=201, response_model=SavedAnswer, openapi_extra=SAVE)
async def save_audience(request: Request, key: Creator, service: Services, snapshot: Served, saved: Name) -> Response:
    """Save an audience under a name, or a new definition of one, and make its edition over the served snapshot.

    Takes what `POST /v1/audiences` takes. 201 where an edition was made, 200 where nothing changed.
    """
    parse = await uploads.receive(request)

    def work() -> tuple[Saved, bool]:
        with service.keeping() as folders:
            made = save(saved, parse(), snapshot, service.workspace, service.catalogue, key.name)
            folders += [f"saved/{saved}", *(f"audiences/{edition.audience}" for edition in made[0].editions)]
        return made

    made, new = await computed(service, work)
    return JSONResponse(_answer(made).model_dump(mode="json"), 201 if new else 200)


@router.get("/{saved}")
def read_saved_audience(key: Reader, service: Services, saved: Name) -> SavedAnswer:
    """One saved audience: what it was asked for with, and all its editions."""
    return _answer(load_saved(service.workspace, saved))


@router.post("/{saved}/refresh", status_code=201, response_model=EditionAnswer)
async def refresh_saved_audience(key: Creator, service: Services, snapshot: Served, saved: Name) -> Response:
    """Make the edition over the served snapshot; 200 with the last one where there is nothing new."""

    def work() -> tuple[Edition, bool]:
        with service.keeping() as folders:
            made = refresh(saved, snapshot, service.workspace, service.catalogue, key.name)
            folders += [f"saved/{saved}", f"audiences/{made[0].audience}"]
        return made

    made, new = await computed(service, work)
    return JSONResponse(_edition(made).model_dump(mode="json"), 201 if new else 200)


@router.get("/{saved}/changes", response_model=ChangesAnswer, responses=CHANGES_ANSWER)
def read_changes(
    request: Request,
    key: MembersReader,
    service: Services,
    saved: Name,
    edition: Annotated[int | None, Query(ge=1, description="Number of an edition; the last one if left out.")] = None,
) -> Response:
    """Who entered and who left with an edition, and why, as JSON, CSV, Parquet or an Arrow stream. Audited."""
    media_type, form = choose(",".join(request.headers.getlist("accept")))
    asked = edition_of(load_saved(service.workspace, saved), edition)
    version = service.objections.version()
    table = still_entering(asked.changes(), service.objections)
    told = {"edition": asked.number, "format": form, "size": len(table)}
    service.catalogue.audit(key.name, "saved.changes", saved, told)
    headers = headers_of(f"{saved}-{asked.number}", form, f".{asked.audience}.{version}.{asked.erased}")
    return listed(table, media_type, form, headers, {"saved": saved, "edition": asked.number}, "changes")


@router.delete("/{saved}", status_code=204)
def remove_saved_audience(key: Creator, service: Services, saved: Name) -> None:
    """Forget a saved audience. Audiences that were made of it stay."""
    service.removing(f"saved/{saved}", lambda: remove(saved, service.workspace, service.catalogue, key.name))


def _answer(saved: Saved) -> SavedAnswer:
    facts: dict[str, Any] = {"name": saved.name, "definition": saved.definition, "request": saved.options()}
    return SavedAnswer.model_validate({**facts, "editions": [_edition(e) for e in saved.editions]})


def _edition(edition: Edition) -> EditionAnswer:
    facts = {name: value for name, value in asdict(edition).items() if name in EditionAnswer.model_fields}
    return EditionAnswer.model_validate(facts)
