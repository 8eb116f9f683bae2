"""Routes about nights: what became of them. No customer id is in any of it."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from configs.errors import NotFoundError
from serve.night_files import PAGE, Found, read_report, read_reports
from serve.routes.common import Reader, Services, tag
from serve.routes.examples import picture_of
from serve.routes.pictures import WITHOUT_SCRIPTS
from serve.schemas import NightAnswer, NightsAnswer, NightSummary
from serve.service import Service

router = APIRouter(prefix="/v1/nights", tags=["nights"])
NAME = re.compile(r"\d{4}-\d{2}-\d{2}-s-[0-9A-Za-z_-]{1,100}")
Night = Annotated[str, Path(description="A night's name: its day and its snapshot.", examples=["2025-02-01-s-0f3a"])]


@router.get("")
def read_nights(
    key: Reader,
    service: Services,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many nights, newest first.")] = 50,
) -> NightsAnswer:
    """The last nights and retrainings, newest first: what came in, what became of it, and why."""
    return NightsAnswer(
        nights=[NightSummary.model_validate(_summary(one)) for one in read_reports(service.workspace, limit)]
    )


@router.get("/{night}")
def read_night(response: Response, key: Reader, service: Services, night: Night) -> NightAnswer:
    """One night: sources, gates with figures and limits, drift, segments before and after, timings."""
    found = _found(service, night)
    tag(response, night, str(found.written))
    return NightAnswer.model_validate({"name": night, **found.body})


@router.get("/{night}/page.html", response_class=Response, responses=picture_of("The page", "text/html"))
def read_night_page(key: Reader, service: Services, night: Night) -> Response:
    """The page of a night, without scripts, which works offline."""
    found = _found(service, night)
    try:
        content = (found.folder / PAGE).read_bytes()
    except OSError:
        raise NotFoundError(f"night {night} has no page; the same command again writes it") from None
    response = Response(content, media_type="text/html; charset=utf-8", headers=WITHOUT_SCRIPTS)
    tag(response, night, str(found.written))
    return response


def _found(service: Service, night: str) -> Found:
    found = read_report(service.workspace, night) if NAME.fullmatch(night) else None
    if found is None:
        raise NotFoundError(f"no night {night[:100]!r}; `GET /v1/nights` lists them")
    return found


def _summary(found: Found) -> dict[str, object]:
    return {"name": found.folder.name, **found.body}
