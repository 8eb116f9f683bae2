"""The signature of a webhook's requests: HMAC-SHA256 over the time of sending and the body."""

import hashlib
import hmac
import re
import time

TOLERANCE = 300.0
"""Seconds that a request may be old, or a clock may be off."""
SIGNATURES = re.compile(r"v1=([0-9a-f]{64})")


def sign(body: bytes, secret: str, at: int) -> str:
    """The signature header of a body that is sent at a time, seconds since 1970 UTC."""
    return f"t={at},v1={_mac(body, secret, str(at))}"


def _mac(body: bytes, secret: str, at: str) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(signature: str, body: bytes, secret: str, tolerance: float = TOLERANCE, now: float | None = None) -> bool:
    """Whether a signature header is of these bytes and not older (or younger) than `tolerance` seconds.

    Compares in constant time. Where two secrets are in force while one is replaced, call it with each.
    """
    parts = dict(part.strip().partition("=")[::2] for part in signature.split(","))
    at = parts.get("t", "")
    if not re.fullmatch(r"[0-9]{1,12}", at) or abs((time.time() if now is None else now) - int(at)) > tolerance:
        return False
    wanted = _mac(body, secret, at)
    # every one is compared, so that the time says nothing
    return max((hmac.compare_digest(wanted, given) for given in SIGNATURES.findall(signature)), default=False)
