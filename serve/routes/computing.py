"""Audiences are computed apart from everything else, a few at a time."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from configs.errors import InputError
from serve.service import Service

Made = TypeVar("Made")


async def computed(service: Service, work: Callable[[], tuple[Made, bool]]) -> tuple[Made, bool]:
    """What `work` makes on an audience thread, and whether it was made now; counted and timed.

    Raises what `work` raises, and UnavailableError where too many are waiting.
    """

    def timed() -> tuple[Made, bool]:
        started = time.perf_counter()
        made = work()
        service.metrics.audience_seconds.observe(time.perf_counter() - started)
        return made

    outcome = "failed"
    with service.turn():
        try:
            made, new = await asyncio.wrap_future(service.submit(timed))
            outcome = "made" if new else "found"
        except InputError:
            outcome = "refused"
            raise
        finally:
            service.metrics.audiences.labels(outcome).inc()
    return made, new
