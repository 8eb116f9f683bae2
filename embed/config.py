"""Settings of embedding."""

from pydantic import Field

from configs.reader import Config


class EmbedConfig(Config):
    """How histories become vectors; nothing here changes the vectors."""

    batch_events: int = Field(default=40_000, ge=1000)
    """Events encoded at once; memory grows with it, and customers of similar length go together."""
    threads: int = Field(default=0, ge=0)
    """Threads of the computation on a CPU; 0: one per core."""
