"""What a recipe says about the webhook of its nights, and where its secret is."""

import os
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from configs.errors import InputError
from configs.reader import Config

LEAST_SECRET = 16


class WebhookConfig(Config):
    """Where events about customers are sent after a night."""

    what = "night.webhook"

    url: str = Field(max_length=2000)
    """Address that takes them by POST: https, or http on this machine or with `allow_http`. Redirects are refused."""
    secret_variable: str = Field(default="KINFOLK_WEBHOOK_SECRET", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds the secret for signatures, of 16 characters or more. The secret itself never
    stands in a recipe."""
    batch: int = Field(default=200, ge=1, le=10_000)
    """Most events in one request."""
    connect_seconds: float = Field(default=5.0, gt=0, le=600)
    """Seconds after which a connection that is not made is given up."""
    seconds: float = Field(default=15.0, gt=0, le=600)
    """Seconds after which a request is given up, however much of an answer has come."""
    budget_seconds: float = Field(default=300.0, gt=0, le=86_400)
    """Seconds that all deliveries after a night may take; what is left is delivered after the next one."""
    tries: int = Field(default=5, ge=1, le=100)
    """How often a batch is tried before the delivery stops for this night."""
    include_objected: bool = False
    """Whether events about customers who objected to marketing profiling are sent, too. The file always holds them."""
    allow_http: bool = False
    """Whether an address without encryption is accepted."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            hostname, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"is no address ({error})") from None
        if parts.scheme not in ("https", "http") or not hostname:
            raise ValueError("must be an address that begins with https://")
        if parts.username or parts.password:
            raise ValueError("must hold no user and password: requests are signed, see `secret_variable`")
        return url

    @model_validator(mode="after")
    def _is_safe(self) -> "WebhookConfig":
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not self.allow_http and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(
                "url: must begin with https://, since events name customers; `allow_http: true` sends them in the open"
            )
        return self

    @property
    def host(self) -> str:
        """The part of the address that may be told: paths of webhooks are often secret."""
        return urlsplit(self.url).netloc


def secret_of(config: WebhookConfig) -> str:
    """The secret that signs. Raises InputError where its variable is not set, or too short to be one."""
    secret = os.environ.get(config.secret_variable, "")
    if len(secret) < LEAST_SECRET:
        what = "is not set" if not secret else f"holds fewer than {LEAST_SECRET} characters"
        raise InputError(
            f"night.webhook: the environment variable {config.secret_variable} {what}; put the secret into it that the "
            "receiver checks signatures with (`openssl rand -hex 32` makes one)"
        )
    return secret
