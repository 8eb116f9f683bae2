"""What is learnt of the raw fields before training: sizes of vocabularies, scales and bins of numbers.

Shapes: E events, C categorical fields, V numeric fields.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eventlog.sequences import HOUR, EventLog
from train.config import TrainConfig

OFTEN = 0.01
"""Share of all events that must hold both fields of a crossed pair."""
SAMPLE = 2_000_000
"""Events looked at for scales: enough for quantiles, bounded for any log."""


@dataclass(frozen=True)
class Scales:
    """Scales of a log's fields. Numbers become log1p(|x| / unit) with x's sign, then are centred and divided."""

    vocabulary: tuple[int, ...]
    """Per categorical field: codes below this keep their embedding, others share the code OTHER."""
    units: tuple[float, ...]
    """Per numeric field: median of |x| among non-zero values."""
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    edges: tuple[tuple[float, ...], ...]
    """Per numeric field: quantile edges of the signed log."""
    together: tuple[tuple[int, int], ...]
    """Pairs of a categorical and a numeric field that stand in the same events often enough to be crossed."""
    gap_edges: tuple[float, ...]
    """Quantile edges of log1p(hours since the last event)."""
    gap_mean: float
    gap_deviation: float
    reference: int
    """Time of the log's last event, microseconds UTC; recency is told against it."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Scales":
        """The scales from their JSON form."""
        tuples = {k: tuple(v) for k, v in body.items() if isinstance(v, list)}
        for name in ("edges", "together"):
            tuples[name] = tuple(tuple(inner) for inner in body[name])
        return cls(**{**body, **tuples})

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Signed logs, float32 [E, V], NaN where absent, of raw values [E, V]."""
        scaled = values / np.asarray(self.units, np.float32)
        return np.copysign(np.log1p(np.abs(scaled)), scaled).astype(np.float32, copy=False)

    def standardised(self, logs: np.ndarray) -> np.ndarray:
        """Centred and divided signed logs [E, V], within ±5, still NaN where absent."""
        z = (logs - np.asarray(self.means, np.float32)) / np.asarray(self.deviations, np.float32)
        clipped: np.ndarray = np.clip(z, -5, 5)
        return clipped


def gap_logs(time: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """log1p of the hours between an event and the one before it, float32 [E]; a first event has a gap of 0."""
    hours: np.ndarray = np.maximum(time - previous, 0) / HOUR
    logs: np.ndarray = np.log1p(hours)
    return logs.astype(np.float32)


def fit_scales(log: EventLog, config: TrainConfig) -> Scales:
    """Learn scales from at most SAMPLE evenly spaced events of the log."""
    rows = np.unique(np.linspace(0, log.n_events - 1, min(SAMPLE, log.n_events)).astype(np.int64))
    values = np.asarray(log.values[rows], np.float32)
    units, means, deviations, edges = [], [], [], []
    for column in values.T:
        present = column[np.isfinite(column)].astype(np.float64)
        sizes = np.abs(present[present != 0])
        unit = float(np.median(sizes)) if len(sizes) else 1.0
        logs = np.copysign(np.log1p(np.abs(present / unit)), present)
        units.append(unit)
        means.append(float(logs.mean()) if len(logs) else 0.0)
        deviations.append(max(float(logs.std()), 1e-6) if len(logs) else 1.0)
        edges.append(_quantile_edges(logs, config.pools.bins))
    first = np.zeros(log.n_events, bool)
    first[log.offsets[:-1]] = True
    time = np.asarray(log.time)
    gaps = gap_logs(time[rows], np.where(first[rows], time[rows], time[np.maximum(rows - 1, 0)]))
    return Scales(
        vocabulary=tuple(min(len(f.values), config.vocabulary) + 2 for f in log.schema.categorical),
        units=tuple(units),
        means=tuple(means),
        deviations=tuple(deviations),
        edges=tuple(edges),
        together=_together(np.asarray(log.codes[rows]) > 0, np.isfinite(values)),
        gap_edges=_quantile_edges(gaps.astype(np.float64), config.pools.bins),
        gap_mean=float(gaps.mean()),
        gap_deviation=max(float(gaps.std()), 1e-6),
        reference=int(time.max()),
    )


def _together(categories: np.ndarray, numbers: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Pairs (categorical, numeric) that OFTEN events hold both of, from presence [E, C] and [E, V].

    With several sources most pairs never meet; crossing them would make the pools wide for nothing.
    """
    share = categories.astype(np.float32).T @ numbers.astype(np.float32) / max(len(numbers), 1)
    return tuple((int(f), int(v)) for f, v in np.argwhere(share >= OFTEN))


def _quantile_edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Inner edges of at most `bins` bins of about equal count; equal edges fall together."""
    if not len(values):
        return ()
    return tuple(float(q) for q in np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])))
