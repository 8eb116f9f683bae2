"""What can be set about segments; every default is meant to be left alone."""

from typing import Literal

from pydantic import Field

from configs.reader import Config


class SegmentsConfig(Config):
    """How customers are grouped into segments."""

    projection: Literal["umap"] = "umap"
    """How vectors are laid out in few dimensions before they are clustered."""
    dimensions: int = Field(default=2, ge=2, le=10)
    """Dimensions that are clustered. With 2 the map shows just what was clustered; else it is a layout of its own."""
    neighbours: int = Field(default=15, ge=5, le=100)
    """Neighbours per customer in the neighbour graph, in the gate and in the vote."""
    epochs: int = Field(default=200, ge=20, le=5000)
    """Rounds of optimising the layout; more than 200 changed no segment in trials."""
    min_share: float = Field(default=0.005, gt=0, lt=0.5)
    """Least size of a segment as a share of the population."""
    min_customers: int = Field(default=40, ge=5)
    """Least size of a segment in customers, whatever the share says."""
    gate: bool = True
    """Whether customers in thin regions, far from any group, are set aside before the projection."""
    gate_spread: float = Field(default=3.0, gt=0)
    """How far above the median, in robust standard deviations, a customer's relative isolation may be."""
    behaviours: bool = True
    """Whether vectors are reduced to what they tell of behaviours, less the fields that only identify a customer."""
    identity: float = Field(default=0.4, gt=0, le=1)
    """From what share of its variation lying between customers (F_ST) a field is taken to identify, such as a store."""
    sharpen: bool = True
    """Whether directions in which neighbours differ as much as strangers are damped before neighbours are sought."""
    landmarks: int = Field(default=20_000, ge=500)
    """Above this many customers, a fixed sample of so many is clustered; the others join by their neighbours' vote."""
    min_vote: float = Field(default=0.5, gt=0, le=1)
    """Share of a customer's neighbours that must be in a segment for the customer to join it by vote."""
    lead: float = Field(default=0.4, ge=0, le=1)
    """By what share of the votes another segment must lead for a customer to leave the one where they are at home."""
    change_z: float = Field(default=4.0, ge=0, le=1000)
    """Once a week, a customer's last four weeks are a change of habits from so many robust standard deviations on; it
    is told, and may send them to another segment. 0: nobody is asked about."""
    shadow_every: int = Field(default=7, ge=1)
    """Every how many days a fresh segmentation is compared with the one that stands: splits, merges, births. A night
    for more days stops on the way on each such day, so that segments do not hang on how often there were nights."""
    shadow_layouts: int = Field(default=1, ge=1, le=20)
    """Layouts of each such segmentation; of several the one is kept whose clusters come back best. With 3 two looks at
    the same customers agree better, and a look takes about twice as long."""
    renew_every: int = Field(default=60, ge=1)
    """Days after which the landmarks that customers are placed by are taken anew, where no segment changed."""
    stability_runs: int = Field(default=4, ge=0, le=50)
    """How many times a subsample is laid out and clustered afresh to see which segments come back; 0: no check."""
    layouts: int = Field(default=3, ge=1, le=20)
    """Layouts of the first segmentation; the one whose clusters come back best is kept, as a layout may be unlucky."""
    doubtful_runs: int = Field(default=6, ge=0, le=50)
    """How many times more, the first time, where a segment's stability is close to the least one."""
    stability_share: float = Field(default=0.8, gt=0.1, lt=1)
    """Share of the customers in each of those subsamples."""
    stability_customers: int = Field(default=16_000, ge=500)
    """Most customers in each of those subsamples."""
    min_stability: float = Field(default=0.6, ge=0, le=1)
    """Mean best Jaccard over the subsamples below which a segment is not published."""
    drivers: int = Field(default=8, ge=1, le=50)
    """Most behaviours listed in a segment's profile."""
    typical: int = Field(default=5, ge=0, le=100)
    """Typical customers listed in a segment's profile."""
    seed: int = Field(default=0, ge=0)
    """Seed of every random draw: the landmarks, the layout, the subsamples."""
    threads: int = Field(default=1, ge=1)
    """Threads of the neighbour search, and layouts made side by side; the result does not depend on it."""

    def smallest(self, customers: int) -> int:
        """The least size of a segment in a population of so many customers."""
        return max(self.min_customers, round(self.min_share * customers))
