"""Settings of the search index and of lookalike audiences; the defaults are good enough to be left alone."""

from typing import Literal

from pydantic import Field

from configs.reader import Config

ScorerName = Literal[
    "centroid",
    "prototypes",
    "mixture",
    "logistic",
    "ratio",
    "network",
    "logistic+behaviour",
    "network+behaviour",
    "boosting",
]


class IndexConfig(Config):
    """How similar customers are searched."""

    exact_up_to: int = Field(default=200_000, ge=0)
    """Customers up to which every search is exact; beyond, an inverted file with 4-bit codes answers."""
    recall: float = Field(default=0.98, gt=0.0, le=1.0)
    """Recall@`neighbours` against exact search that the inverted file is tuned to at build time."""
    neighbours: int = Field(default=100, ge=1)
    """Number of neighbours at which the recall is measured."""
    queries: int = Field(default=512, ge=2)
    """Customers whose own vectors serve as queries when tuning: one half tunes, the other half gives the figure."""
    lists: int = Field(default=0, ge=0)
    """Cells of the inverted file; 0 means twice the square root of the number of customers."""
    training_rows_per_list: int = Field(default=48, ge=39)
    """Customers per cell that the cells' centres are learnt on (FAISS asks for 39 at least)."""
    update_until: float = Field(default=1.5, ge=1.0)
    """An index is updated, not built, while a search reads at most so many times the vectors of the last build's."""
    seed: int = Field(default=0, ge=0)
    """Seed of the training sample, the cells' centres and the tuning queries."""


class AudienceConfig(Config):
    """How lookalike audiences are made."""

    scorers: tuple[ScorerName, ...] = (
        "centroid",
        "prototypes",
        "mixture",
        "logistic",
        "ratio",
        "network",
        "logistic+behaviour",
        "network+behaviour",
        "boosting",
    )
    """Ways of scoring that compete; the best in cross-validation, or a blend of the best, is used."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts that the seeds are split into; each part is held out once. Twice as many where seeds are few."""
    fit_rows: int = Field(default=10_000, ge=100)
    """Customers drawn as the unlabelled ones that a scorer is fitted against."""
    evaluation_rows: int = Field(default=40_000, ge=100)
    """Customers drawn as the everybody-else among whom held-out seeds are ranked."""
    boosting_rows: int = Field(default=20_000, ge=0)
    """Customers up to which boosting competes; it is too slow to be tried on more."""
    bootstrap: int = Field(default=400, ge=50)
    """Bootstrap draws over held-out seeds."""
    confidence: float = Field(default=0.9, gt=0.5, lt=1.0)
    """Probability that an interval is meant to hold the true value."""
    drivers: int = Field(default=12, ge=1)
    """Behaviours named for the audience and for the seeds."""
    least_seeds: int = Field(default=25, ge=10)
    """Fewest matched seeds that an audience is made from."""
    least_size: int = Field(default=100, ge=1)
    """Smallest audience that is made."""
