"""Settings of embedding."""

from pydantic import Field

from configs.reader import Config


class EmbedConfig(Config):
    """How histories become vectors; nothing here changes the vectors."""

    batch_events: int = Field(default=40_000, ge=1000)
    """Events encoded at once; memory grows with it, and customers of similar length go together."""
    threads: int = Field(default=1, ge=0)
    """Threads that run the recurrent body on a CPU; 0: one per core. On a busy machine one is fastest."""
