"""What a recipe says about its nights: how many snapshots are kept, and what a new one must hold to be served."""

from pydantic import Field

from configs.reader import Config
from serve.webhook_config import WebhookConfig


class GatesConfig(Config):
    """The limits that a new snapshot must keep before it is served; each is the name of a gate."""

    volume: float = Field(default=0.2, ge=0, le=1)
    """Least number of new events a day, as a share of the usual one of the nights before (their median)."""
    quarantined: float = Field(default=0.05, ge=0, le=1)
    """Largest share of the new rows that were put into quarantine."""
    absent: float = Field(default=0.3, ge=0, le=1)
    """Largest growth of the share of a field's events without a value, since the model was trained."""
    unseen: float = Field(default=0.3, ge=0, le=1)
    """Largest share of a field's new events with a value that the model has never seen."""
    field_drift: float = Field(default=1.0, gt=0)
    """Largest population stability index of a field, new events beside those that the model was trained on."""
    vector_drift: float = Field(default=0.1, gt=0, le=2)
    """Largest way of the mean vector since the snapshot before, in units of the vectors' spread."""
    recall: float = Field(default=0.95, ge=0, le=1)
    """Least recall of the index against exact search."""
    unassigned: float = Field(default=0.5, ge=0, le=1)
    """Largest share of customers in no segment."""
    stability: float = Field(default=0.6, ge=0, le=1)
    """Least stability of the segments, averaged over their customers."""
    moved: float = Field(default=0.1, ge=0, le=1)
    """Largest share of customers who are in another segment than before."""
    segments_kept: float = Field(default=0.8, ge=0, le=1)
    """Retraining: least share of the segments before whose identity is kept."""
    neighbours_kept: float = Field(default=0.5, ge=0, le=1)
    """Retraining: least share of a customer's ten nearest neighbours that are the same in the new space."""


class NightConfig(Config):
    """What `kinfolk nightly` and `kinfolk retrain` hold on to."""

    keep: int = Field(default=14, ge=2, le=10_000)
    """Snapshots kept, the last served ones; those that a saved audience was last refreshed with stay besides."""
    shift_z: float = Field(default=3.5, gt=0, le=1000)
    """A customer's new events are told as a sudden shift from so many robust standard deviations on."""
    change_z: float = Field(default=4.0, ge=0, le=1000)
    """Once a week, a customer's last four weeks are told as a change of habits from so many robust standard deviations
    on; 0: nobody is asked about."""
    webhook: WebhookConfig | None = None
    """Where events about customers are sent besides; nowhere if left out."""
    gates: GatesConfig = Field(default_factory=GatesConfig)
    """Limits that a new snapshot must keep before it is served."""
