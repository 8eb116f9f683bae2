"""What the HTTP service can be told."""

from typing import Literal

from pydantic import Field

from configs.reader import Config

MEGABYTE = 1 << 20


class ServeConfig(Config):
    """Settings of the HTTP service; every one has a working default."""

    poll_seconds: float = Field(default=0.5, gt=0, le=3600)
    """How often to look whether another snapshot was published."""
    store_poll_seconds: float = Field(default=10, gt=0, le=3600)
    """How often to ask an object store whether the workspace there has changed."""
    metrics: Literal["open", "key"] = "open"
    """Whether /metrics answers without a key. It holds counts and snapshot names, no customer ids."""
    key_seconds: float = Field(default=2.0, ge=0, le=300)
    """How long a key once found valid is trusted without asking the catalogue again; a revoked one dies after it."""
    max_body_mb: float = Field(default=50, gt=0, le=4096)
    """Largest request body, in MiB; a larger one is answered with 413."""
    audience_workers: int = Field(default=1, ge=1, le=8)
    """How many audiences are computed at once; the service answers everything else meanwhile."""
    audience_queue: int = Field(default=16, ge=0, le=1000)
    """How many more audiences may wait their turn; past that a request is answered with 503 and Retry-After."""
    shutdown_seconds: int = Field(default=20, ge=0, le=3600)
    """How long requests in flight may take to finish after a stop was asked for."""

    @property
    def max_body_bytes(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_body_mb * MEGABYTE)
