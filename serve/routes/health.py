"""Routes for machines: is it alive, may it be sent requests, what are its figures; and what is served."""

from fastapi import APIRouter, Depends, Request, Response

from serve.auth import Right
from serve.parameters import check_parameters
from serve.problems import UnavailableError
from serve.routes.common import Reader, Served, Services, allowed, tag
from serve.schemas import Alive, Part, Problem, Ready, SnapshotAnswer

router = APIRouter(tags=["operation"])
KEYLESS = [Depends(check_parameters)]
"""Of routes that look at no key, which is where parameters are checked otherwise."""


@router.get("/livez", dependencies=KEYLESS)
async def livez() -> Alive:
    """Whether the process answers at all. No key needed."""
    return Alive(status="alive")


@router.get(
    "/readyz",
    responses={503: {"model": Problem, "description": "No snapshot to answer from"}},
    dependencies=KEYLESS,
)
async def readyz(service: Services) -> Ready:
    """Whether requests can be answered. No key needed.

    `degraded` means that a newer snapshot was published but could not be taken; the one before is served on.
    """
    snapshot, fault = service.live.snapshot, service.live.fault
    if snapshot is None:
        reason = "the published snapshot is damaged" if fault else "no snapshot is published yet"
        raise UnavailableError(f"{reason}, so there is nothing to answer from", {"Retry-After": "5"})
    if fault is None:
        return Ready(status="ready", snapshot=snapshot.name, refused=None, detail=None)
    newer = f"snapshot {fault.snapshot}" if fault.snapshot else "what was published last"
    detail = f"{newer} could not be taken (the service's log says why); {snapshot.name} is served on"
    return Ready(status="degraded", snapshot=snapshot.name, refused=fault.snapshot, detail=detail)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text"}},
)
async def metrics(request: Request, service: Services) -> Response:
    """Figures for Prometheus. Needs a key only where the service was started with `metrics: key`."""
    if service.config.metrics == "key":
        await allowed(request, Right.READ)
    await check_parameters(request)
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/snapshot")
async def snapshot(response: Response, key: Reader, snapshot: Served) -> SnapshotAnswer:
    """The snapshot being served: what it was made from, how much is in it, how good it is."""
    tag(response, snapshot.state)
    parts = {
        "embeddings": snapshot.embeddings.manifest,
        "index": snapshot.index.manifest,
        "segments": snapshot.segments.manifest,
    }
    return SnapshotAnswer(
        name=snapshot.name,
        published=snapshot.published_at,
        customers=snapshot.n_customers,
        customer_type=snapshot.customer_type,
        width=snapshot.embeddings.width,
        segments=len(snapshot.segments.profiles),
        unassigned_share=snapshot.unassigned_share,
        index_recall=snapshot.recall,
        parents=dict(snapshot.manifest.parents),
        counts=dict(snapshot.manifest.counts),
        figures=dict(snapshot.manifest.figures),
        parts={name: Part(counts=dict(part.counts), figures=dict(part.figures)) for name, part in parts.items()},
    )
