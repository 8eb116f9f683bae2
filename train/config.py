"""Settings of training; the defaults are meant to be left alone."""

from pydantic import Field, model_validator

from configs.reader import Config


class PoolConfig(Config):
    """The pools: exact sufficient statistics of a history, carried from event to event."""

    values: int = Field(default=100, ge=2, le=2000)
    """Most frequent values of each categorical field that get a cell of their own; the rest share one."""
    bins: int = Field(default=16, ge=2, le=64)
    """Quantile bins of each numeric field and of the time since the last event."""
    crossed_values: int = Field(default=32, ge=0, le=500)
    """Values of each categorical field whose mean number is kept apart, for each numeric field."""
    crossed_fields: int = Field(default=40, ge=0, le=200)
    """A categorical field with at most this many values is also crossed with the time of day and the weekend."""
    cells: int = Field(default=600, ge=16, le=20_000)
    """Bound on the cells of each kind (values, crossed means, times of day); with many fields each one gets fewer."""
    prior: float = Field(default=3.0, gt=0)
    """Events' worth of the population's average mixed into each customer's shares and means."""


class TrainConfig(Config):
    """How the encoder is trained."""

    seed: int = Field(default=0, ge=0)
    """Seed of initial weights, slices and validation customers."""
    width: int = Field(default=256, ge=16, le=1024, multiple_of=16)
    """Width of the customer vector."""
    hidden: int = Field(default=64, ge=16, le=1024, multiple_of=16)
    """Width of the recurrent body (GRU)."""
    event_width: int = Field(default=32, ge=8, le=512)
    """Width of the event vector that the recurrent body reads."""
    vocabulary: int = Field(default=1000, ge=2, le=65_000)
    """Most frequent values of each categorical field with an embedding of their own."""
    pools: PoolConfig = Field(default_factory=PoolConfig)
    """The pools beside the recurrent body."""
    slices: int = Field(default=4, ge=2, le=16)
    """Slices cut from each customer in a batch."""
    slice_events: tuple[int, int] = (20, 120)
    """Shortest and longest slice in events; a shorter history is cut in parts of itself."""
    batch_customers: int = Field(default=64, ge=2, le=4096)
    """Customers in a batch."""
    epochs: int = Field(default=6, ge=1, le=1000)
    """Upper bound on epochs; early stopping may end sooner."""
    epoch_events: int = Field(default=500_000, ge=1000)
    """Events read in an epoch, at most four times the log's: as long for a million customers as for a thousand."""
    patience: int = Field(default=2, ge=1)
    """Epochs without a better validation loss after which training stops."""
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    """Peak learning rate (AdamW, one cycle over `epochs`)."""
    temperature: float = Field(default=0.1, gt=0)
    """Softmax temperature of the contrast between slices."""
    contrast: float = Field(default=1.0, ge=0)
    """Weight of the contrast: slices of one customer attract, of others repel."""
    next_event: float = Field(default=1.0, ge=0)
    """Weight of the prediction of the next event."""
    describe: float = Field(default=4.0, ge=0)
    """Weight of the description: the customer's pools told from one slice."""
    validation_share: float = Field(default=0.05, gt=0, lt=0.5)
    """Share of customers held out to decide when to stop."""
    body_weight: float = Field(default=0.25, ge=0, le=4)
    """Weight of the recurrent body's state in the customer vector, where a field of the events has 1."""
    level_weight: float = Field(default=1.0, ge=0, le=10)
    """Weight of how much and how lately a customer does anything, where a field of the events has 1."""
    head_customers: int = Field(default=6000, ge=100)
    """Customers sampled to fit scales, reliabilities and the projection."""
    accelerator: str = "auto"
    """Lightning's accelerator: auto, cpu, gpu."""
    threads: int = Field(default=1, ge=0)
    """Threads that train the recurrent body on a CPU; 0: one per core. Its products are small: more threads gain
    little and, on a busy machine, wait for each other."""

    @model_validator(mode="after")
    def _slices_in_order(self) -> "TrainConfig":
        shortest, longest = self.slice_events
        if not 2 <= shortest <= longest:
            raise ValueError(
                f"slice_events must be [shortest, longest] with 2 <= shortest <= longest, got {list(self.slice_events)}"
            )
        if self.contrast == self.next_event == self.describe == 0:
            raise ValueError("contrast, next_event and describe are all 0: there is nothing to learn")
        return self
