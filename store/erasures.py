"""Who was erased (GDPR, article 17): keyed hashes in the catalogue, so that nobody erased comes back unnoticed.

The register holds no id: HMAC-SHA-256 of the id as text under a random salt of this catalogue. Who has both the
catalogue and an id can tell whether it was erased, which is what the register is for; who has the catalogue alone
learns nothing of long random ids, and would have to try out numbers one by one.
"""

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from configs.errors import ArtifactError
from store.artifact import key_of, write_atomic
from store.catalogue import Catalogue
from store.rewrite import finish, read_journal
from store.tables import AudienceRow, ErasureRow, ErasureSaltRow, ObjectionRow

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
TELLING = 8
"""Characters from which on an id of text is not met in other text or in binary numbers by chance."""
AT_ONCE = 500

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Named:
    """Customers by their ids, as they are looked for in columns and texts of any kind."""

    texts: frozenset[str]
    """Ids as they were given."""
    whole: bool = False
    """Whether all customers are known by whole numbers, so that "007" in a list of the user's is 7."""
    bare: bool = False
    """Whether `texts` have no space around, and space around other ids makes no difference."""

    @classmethod
    def of(cls, ids: Iterable[int | str], *, whole: bool = False) -> "Named":
        """Customers by their ids, in any form."""
        return cls(frozenset(map(str, ids)), whole)

    @cached_property
    def numbers(self) -> frozenset[int]:
        """Those that can be ids of whole numbers."""
        return frozenset(number for text in self.texts if (number := whole_number(text)) is not None)

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """Those long enough to be looked for inside other text, and not just numbers; longest first."""
        found = [text for text in self.texts if len(text) >= TELLING and not WHOLE_NUMBER.fullmatch(text)]
        return tuple(sorted(found, key=lambda text: (-len(text), text)))

    def among(self, ids: pl.Series) -> Mask:
        """bool [len(ids)]: which of some ids, whole numbers or text, are of these customers."""
        if ids.dtype == pl.String:
            ids = ids.str.strip_chars() if self.bare else ids
            found = ids.is_in(pl.Series(sorted(self.texts), dtype=pl.String).implode()).fill_null(False).to_numpy()
            return found | self._among_numbers(ids) if self.whole else found
        return self._among(ids)

    def _among_numbers(self, texts: pl.Series) -> Mask:
        text = texts.str.strip_chars()
        numbers = text.set(~text.str.contains(rf"^{WHOLE_NUMBER.pattern}$").fill_null(False), None)
        return self._among(numbers.cast(pl.Int64, strict=False))

    def _among(self, ids: pl.Series) -> Mask:
        numbers = pl.Series(sorted(self.numbers), dtype=pl.Int64)
        return ids.cast(pl.Int64).is_in(numbers.implode()).fill_null(False).to_numpy()

    def are(self, value: Any) -> bool:
        """Whether a JSON value is the id of one of them; "007" is 7 where the id may be a number."""
        if isinstance(value, str):
            text = value.strip()
            if self.whole and whole_number(text) in self.numbers:
                return True
            return value in self.texts or text in self.texts or text in self._as_numbers
        return isinstance(value, int) and not isinstance(value, bool) and value in self.numbers

    @cached_property
    def _as_numbers(self) -> frozenset[str]:
        return frozenset(map(str, self.numbers))

    def blanked(self, text: str) -> str:
        """A text without those ids that are long enough to be told from chance; part of a longer word is none."""
        return text if self._words is None else self._words.sub("(erased)", text)

    @cached_property
    def _words(self) -> re.Pattern[str] | None:
        if not self.telling:
            return None
        return re.compile(rf"(?<![0-9A-Za-z])(?:{'|'.join(map(re.escape, self.telling))})(?![0-9A-Za-z])")


@dataclass(frozen=True)
class ErasedNow:
    """Who was erased, as the register stood at one moment; may be sent to another process."""

    salt: bytes
    known: frozenset[str]

    @property
    def key(self) -> str:
        """Tells one state of the register from another."""
        return key_of(fingerprint(self.salt), sorted(self.known)) if self.known else ""

    def __call__(self, ids: pl.Series) -> Mask:
        """bool [len(ids)]: which of some ids (Int64 or String), with any space around, were erased and must not come
        back."""
        different = ids.unique().drop_nulls().to_list() if self.known else []
        erased = [id for id in different if any(_hash(self.salt, form) in self.known for form in _spaced(str(id)))]
        if not erased:
            return np.zeros(len(ids), dtype=bool)
        return ids.is_in(pl.Series(erased, dtype=ids.dtype).implode()).fill_null(False).to_numpy()


class Erasures:
    """The register of one catalogue. Methods are safe to call from several threads and processes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._held: tuple[tuple[int | None, ...], frozenset[str]] | None = None

    def salt(self) -> bytes:
        """The workspace's salt; made the first time it is asked for."""
        with self._catalogue.session(write=False) as session:
            row = session.get(ErasureSaltRow, 1)
        if row is None:
            with self._catalogue.session(write=True) as session:
                row = session.get(ErasureSaltRow, 1)
                if row is None:
                    row = ErasureSaltRow(id=1, salt=secrets.token_bytes(32))
                    session.add(row)
        return row.salt

    def hashes(self, ids: Iterable[int | str]) -> list[str]:
        """The keyed hash of each id, hex; a whole number is hashed as its text."""
        salt = self.salt()
        return [_hash(salt, str(id)) for id in ids]

    def _lately_known(self) -> frozenset[str]:
        """Every hash in the register, read anew where it has changed: a reading of millions of rows asks for each few
        thousand of them."""
        with self._catalogue.session(write=False) as session:
            version = session.execute(select(func.max(ErasureRow.id), func.count(ErasureRow.id))).one()
        if self._held is None or self._held[0] != tuple(version):
            self._held = tuple(version), self.known()
        return self._held[1]

    def known(self) -> frozenset[str]:
        """Every hash in the register."""
        with self._catalogue.session(write=False) as session:
            return frozenset(session.scalars(select(ErasureRow.hash)))

    def mask(self, ids: pl.Series) -> Mask:
        """bool [len(ids)]: which of some ids (Int64 or String) were erased and must not come back."""
        known = self._lately_known()
        return ErasedNow(self.salt(), known)(ids) if known and len(ids) else np.zeros(len(ids), dtype=bool)

    def now(self) -> "ErasedNow":
        """The register as it stands, for those who cannot read the catalogue, as on another machine."""
        known = self.known()
        return ErasedNow(self.salt() if known else b"", known)

    def hold(self, ids: Sequence[int | str]) -> list[bool]:
        """Which of some ids in a list of the user's are of erased customers; "007" is 7 as well as itself there."""
        known = self.known()
        if not known:
            return [False] * len(ids)
        salt = self.salt()
        return [any(_hash(salt, form) in known for form in _forms(id)) for id in ids]

    def allow(self, ids: Sequence[str], *, actor: str) -> int:
        """Let customers come back who were erased; returns how many were. Audited, without the ids."""
        wanted = set(self.hashes(ids)) & self.known()
        with self._catalogue.session(write=True) as session:
            for start in range(0, len(wanted), AT_ONCE):
                some = sorted(wanted)[start : start + AT_ONCE]
                session.execute(delete(ErasureRow).where(ErasureRow.hash.in_(some)))
            if wanted:
                self._catalogue.append_audit(session, actor, "erasure.allow", "erasures", {"allowed": len(wanted)})
        return len(wanted)


def whole_number(text: str) -> int | None:
    """The whole number that a text is a form of ("007", "+7"), None where it is none that can be an id."""
    number = int(text) if WHOLE_NUMBER.fullmatch(text) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _forms(id: int | str) -> set[str]:
    given = str(id)
    text = given.strip()
    return {given, text, str(int(text))} if WHOLE_NUMBER.fullmatch(text) else {given, text}


def _spaced(id: str) -> set[str]:
    return {id, id.strip()}


def _hash(salt: bytes, id: str) -> str:
    return hmac.digest(salt, id.encode(), "sha256").hex()


def fingerprint(salt: bytes) -> str:
    """What tells one catalogue's salt from another's without giving it away."""
    return hmac.digest(salt, b"kinfolk erasures", "sha256").hex()[:16]


def go_on(root: Path, catalogue: Catalogue) -> None:
    """Bring the catalogue along where an erasure has changed the files: hashes in, objections out, audiences smaller.

    One transaction that is skipped where it was done before; afterwards the receipt is written and the journal goes.
    Does nothing while files are still being swapped, and with a catalogue that is not the one of that erasure.
    """
    journal = read_journal(root)
    if journal is None or not journal["swapped"]:
        return
    register, facts = Erasures(catalogue), journal["facts"]
    if fingerprint(register.salt()) != facts["catalogue"]:
        return
    _note(catalogue, register.salt(), facts)
    catalogue.purge()
    write_receipt(root, facts["receipt"])
    finish(root)


def _note(catalogue: Catalogue, salt: bytes, facts: Mapping[str, Any]) -> None:
    receipt, hashes = facts["receipt"]["receipt"], set(facts["receipt"]["hashes"])
    with catalogue.session(write=True) as session:
        if session.scalar(select(ErasureRow.id).where(ErasureRow.receipt == receipt).limit(1)) is not None:
            return
        at, actor = datetime.fromisoformat(facts["receipt"]["at"]), facts["receipt"]["actor"]
        session.add_all(ErasureRow(hash=hash, at=at, actor=actor, receipt=receipt) for hash in sorted(hashes))
        same = Named(frozenset(), facts.get("whole", False), facts.get("bare", False))
        for customer in _of(session, salt, hashes, same):
            session.execute(delete(ObjectionRow).where(ObjectionRow.customer == customer))
        for id, now in facts["audiences"].items():
            row = session.get(AudienceRow, id)
            if row is not None:
                row.size, row.result_sha256 = now["size"], now["result_sha256"]
                row.request = now.get("request", row.request)
        told = {name: facts["receipt"][name] for name in ("known", "unknown")}
        catalogue.append_audit(session, actor, "erasure", receipt, told)


def _of(session: Session, salt: bytes, hashes: set[str], who: Named) -> list[str]:
    """Customers in the register of objections who are among the erased, in any form that `who` takes for the same."""
    customers = session.scalars(select(ObjectionRow.customer).distinct())
    return [c for c in customers if any(_hash(salt, form) in hashes for form in _same(c, who))]


def _same(id: str, who: Named) -> set[str]:
    if who.whole:
        return _forms(id)
    return _spaced(id) if who.bare else {id}


def objections_of(catalogue: Catalogue, hashes: Iterable[str], who: Named) -> int:
    """How many customers with these hashes are in the register of objections, in any form that `who` takes for them."""
    salt = Erasures(catalogue).salt()
    with catalogue.session(write=False) as session:
        return len(_of(session, salt, set(hashes), who))


def write_receipt(root: Path, receipt: Mapping[str, Any]) -> None:
    """Write a receipt, or write it anew with more in it."""
    folder = root / "erasures"
    folder.mkdir(exist_ok=True)
    text = json.dumps(receipt, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / f"{receipt['receipt']}.json", text + "\n")


def receipts(root: Path) -> list[dict[str, Any]]:
    """Every receipt of a workspace, oldest first. Raises ArtifactError where one cannot be read."""
    found = []
    for path in sorted((root / "erasures").glob("e-*.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: not readable ({error}); restore it from a backup") from None
    with suppress(KeyError):
        found.sort(key=lambda one: (one["at"], one["receipt"]))
    return found
