"""Who asks, and whether they may.

| role | reads segments, snapshot, customers, similar, reports | vectors | lists of members | audiences | objections |
|---|---|---|---|---|---|
| analyst  | yes | yes | no | no | no |
| marketer | yes | no | yes | yes | yes |
| admin | yes | yes | yes | yes | yes |

Who makes audiences may name segments too.

A key comes as `Authorization: Bearer kf_...` or `X-API-Key: kf_...`. The catalogue keeps its hash only.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from fastapi import Request

from serve.problems import ForbiddenError, UnauthorizedError

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="kinfolk"'}
REFUSED = {"WWW-Authenticate": 'Bearer realm="kinfolk", error="invalid_token"'}
LONGEST_SECRET = 256
REMEMBERED = 1000


class Right(StrEnum):
    """What a route asks of a key."""

    READ = "read"
    VECTORS = "vectors"
    MEMBERS = "members"
    CREATE = "create"
    CONSENT = "consent"


RIGHTS: dict[str, frozenset[Right]] = {
    "analyst": frozenset({Right.READ, Right.VECTORS}),
    "marketer": frozenset({Right.READ, Right.MEMBERS, Right.CREATE, Right.CONSENT}),
    "admin": frozenset(Right),
}


class Key(NamedTuple):
    """A valid key: its name and role, never its secret."""

    name: str
    role: str


Find = Callable[[str], Key | None]


class KeyRing:
    """Finds keys, remembering the valid ones for a moment, so that not every request asks the database."""

    def __init__(self, find: Find, seconds: float) -> None:
        self._find, self._seconds = find, seconds
        self._known: dict[bytes, tuple[float, Key]] = {}
        self._lock = threading.Lock()

    def remembered(self, secret: str) -> Key | None:
        """The key with this secret where it was found valid a moment ago; asks nobody."""
        with self._lock:
            until, key = self._known.get(_digest(secret), (0.0, None))
        return key if time.monotonic() < until else None

    def find(self, secret: str) -> Key | None:
        """The key with this secret as the database has it now, None where there is none or it was revoked."""
        digest, now = _digest(secret), time.monotonic()
        key = self._find(secret)
        with self._lock:
            self._known.pop(digest, None)
            if key is not None:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[digest] = now + self._seconds, key
        return key


def secret_of(request: Request) -> str:
    """The secret that a request carries. Raises UnauthorizedError where there is none."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    secret = credentials.strip() if scheme.lower() == "bearer" else ""
    secret = secret or request.headers.get("x-api-key", "").strip()
    if not secret:
        raise UnauthorizedError(
            "this needs a key: send `Authorization: Bearer kf_...`; `kinfolk keys create` makes one", CHALLENGE
        )
    if len(secret) > LONGEST_SECRET:
        raise unknown()
    return secret


def unknown() -> UnauthorizedError:
    """The answer to a key that is not known; it does not tell a wrong one from a revoked one."""
    return UnauthorizedError("this key is not known here, or was revoked", REFUSED)


def may(key: Key, right: Right) -> bool:
    """Whether the key's role has the right."""
    return right in RIGHTS.get(key.role, frozenset())


def require(key: Key, right: Right) -> None:
    """Raise ForbiddenError where the key's role lacks the right."""
    if not may(key, right):
        able = " or ".join(sorted(role for role, rights in RIGHTS.items() if right in rights))
        raise ForbiddenError(f"a key with role {key.role} may not do this; it takes role {able}")


def _digest(secret: str) -> bytes:
    # what is kept in memory is no key either
    return hashlib.sha256(secret.encode()).digest()
