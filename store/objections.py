"""Who objected to marketing profiling (GDPR, article 21): a register in the catalogue that only grows.

Customers are kept by their id as text. Who objects is neither scored, nor a seed, nor exported in an audience.
"""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from store.catalogue import Catalogue
from store.records import Objection
from store.tables import ObjectionRow

AT_ONCE = 500
"""Customers named in one query: databases limit the number of values in it."""


class Objections:
    """The register of one catalogue. Methods are safe to call from several threads and processes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def note(self, customers: Sequence[str], objects: bool, *, actor: str) -> int:
        """Note that customers object, or withdraw their objection; returns for how many that is new. Audited.

        The audit log gets their number and never their ids.
        """
        wanted = list(dict.fromkeys(customers))
        with self._catalogue.session(write=True) as session:
            standing: dict[str, bool] = {}
            for start in range(0, len(wanted), AT_ONCE):
                standing |= {row.customer: row.objects for row in _last(session, wanted[start : start + AT_ONCE])}
            new = [customer for customer in wanted if standing.get(customer, False) is not objects]
            at = self._catalogue.now()
            session.add_all(ObjectionRow(customer=c, at=at, actor=actor, objects=objects) for c in new)
            if new:
                action = "objection.add" if objects else "objection.withdraw"
                self._catalogue.append_audit(session, actor, action, "objections", {"new": len(new)})
            return len(new)

    def version(self) -> int:
        """Grows with every change; 0 while there was none."""
        with self._catalogue.session(write=False) as session:
            return session.scalar(select(func.max(ObjectionRow.id))) or 0

    def standing(self, version: int | None = None) -> list[Objection]:
        """Objections that stand, or stood at a `version`, in order of the customers' ids as text."""
        with self._catalogue.session(write=False) as session:
            newest = select(func.max(ObjectionRow.id)).group_by(ObjectionRow.customer)
            if version is not None:
                newest = newest.where(ObjectionRow.id <= version)
            query = select(ObjectionRow).where(ObjectionRow.id.in_(newest), ObjectionRow.objects)
            return [_objection(row) for row in session.scalars(query.order_by(ObjectionRow.customer))]

    def unusual(self) -> list[str]:
        """Customers who ever said something, by ids that may be another form of one: "007", "+7", "c7  "."""
        with self._catalogue.session(write=False) as session:
            like = [ObjectionRow.customer.like(form) for form in ("0_%", "+%", "-0%")]
            spaced = ObjectionRow.customer != func.trim(ObjectionRow.customer)
            return list(session.scalars(select(ObjectionRow.customer).where(or_(*like, spaced)).distinct()))

    def of(self, customer: str) -> Objection | None:
        """What a customer last said; None where they said nothing."""
        with self._catalogue.session(write=False) as session:
            found = _last(session, [customer])
            return _objection(found[0]) if found else None


def _last(session: Session, customers: Sequence[str]) -> list[ObjectionRow]:
    """The last row of each of some customers who have one."""
    newest = select(func.max(ObjectionRow.id)).where(ObjectionRow.customer.in_(customers))
    query = select(ObjectionRow).where(ObjectionRow.id.in_(newest.group_by(ObjectionRow.customer)))
    return list(session.scalars(query))


def _objection(row: ObjectionRow) -> Objection:
    return Objection(row.customer, row.at, row.actor, row.objects)
