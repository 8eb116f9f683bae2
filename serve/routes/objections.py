"""Routes about objections to marketing profiling (GDPR, article 21)."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from configs.errors import InputError, NotFoundError
from serve.objections import as_noted, note, said
from serve.routes.bodies import described, received
from serve.routes.common import ConsentKeeper, CustomerText, Services
from serve.schemas import ObjectionAnswer, ObjectionsAnswer, ObjectionsNoted
from serve.service import Service

router = APIRouter(prefix="/v1/objections", tags=["objections"])
Ids = Annotated[list[StrictInt | StrictStr], Field(max_length=1_000_000)]


class ObjectionChanges(BaseModel):
    """Customers who object from now on, and customers who do not any more."""

    model_config = ConfigDict(extra="forbid")

    object: Ids = []
    withdraw: Ids = []


@router.get("")
def read_objections(key: ConsentKeeper, service: Services) -> ObjectionsAnswer:
    """How many customers object."""
    return ObjectionsAnswer(standing=len(service.objections.standing()))


@router.post("", openapi_extra=described(ObjectionChanges))
async def change_objections(request: Request, key: ConsentKeeper, service: Services) -> ObjectionsNoted:
    """Note many objections and withdrawals at once; saying what is known already changes nothing."""
    changes = await received(request, ObjectionChanges)
    return await run_in_threadpool(_changed, service, changes, key.name)


def _changed(service: Service, changes: ObjectionChanges, actor: str) -> ObjectionsNoted:
    lists = {name: as_noted(getattr(changes, name), service.live.snapshot) for name in ("object", "withdraw")}
    if both := set(lists["object"]) & set(lists["withdraw"]):
        raise InputError(f"{len(both)} customers are both in object and in withdraw")
    _check([id for ids in lists.values() for id in ids])
    register, snapshot = service.objections, service.live.snapshot
    objected, withdrawn = (note(lists[name], on, register, snapshot, actor=actor) for name, on in CHANGES)
    service.objected.forget()
    return ObjectionsNoted(objected=objected, withdrawn=withdrawn, standing=len(service.objections.standing()))


@router.get("/{customer}")
def read_objection(key: ConsentKeeper, service: Services, customer: CustomerText) -> ObjectionAnswer:
    """What a customer last said."""
    return _of(service, customer)


@router.put("/{customer}")
def object_(key: ConsentKeeper, service: Services, customer: CustomerText) -> ObjectionAnswer:
    """Note that a customer objects, also one who is in no snapshot yet."""
    return _note(service, customer, True, key.name)


@router.delete("/{customer}")
def withdraw(key: ConsentKeeper, service: Services, customer: CustomerText) -> ObjectionAnswer:
    """Note that a customer does not object any more."""
    return _note(service, customer, False, key.name)


LONGEST = 1000
CHANGES = (("object", True), ("withdraw", False))


def _check(noted: list[str]) -> None:
    if any(not 0 < len(id) <= LONGEST or "\0" in id for id in noted):
        raise InputError(f"a customer's id has 1 to {LONGEST} characters, none of them NUL")


def _note(service: Service, customer: str, objects: bool, actor: str) -> ObjectionAnswer:
    noted = as_noted([customer], service.live.snapshot)
    _check(noted)
    note(noted, objects, service.objections, service.live.snapshot, actor=actor)
    service.objected.forget()
    return _of(service, customer)


def _of(service: Service, customer: str) -> ObjectionAnswer:
    found = said(customer, service.objections, service.live.snapshot)
    if found is None:
        raise NotFoundError("this customer has said nothing about marketing profiling")
    noted = as_noted([customer], service.live.snapshot)[0]
    return ObjectionAnswer(customer_id=noted, objects=found.objects, at=found.at, by=found.actor)
