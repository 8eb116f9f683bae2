"""The encoder: a recurrent body over event vectors, pools beside it, and a head that joins both into one vector.

Everything the vector needs is a fixed-size state, so that `state + new events -> state, vector` equals encoding the
whole history again. Nothing here pads, drops or normalises over a batch: a vector never depends on its batch mates.

Shapes: N events, S sequences, W event width, H hidden width, F features, D vector width.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from eventlog.sequences import DAY, HOUR, EventLog
from train.packing import Packed
from train.pools import Layout, clock_features, features, recent_at, signed_log
from train.recurrence import last_states, scan
from train.scales import Scales, gap_logs


@dataclass(frozen=True)
class EventTensors:
    """Inputs of N events in packed order."""

    codes: Tensor
    """int64 [N, categorical fields], within each field's vocabulary."""
    numbers: Tensor
    """float32 [N, 2 * numeric fields + 1]: standardised signed logs (0 where absent), present flags, gap."""
    clock: Tensor
    """int64 [N, 3]: hour of day, weekday, day of month - 1."""

    def to(self, device: torch.device) -> "EventTensors":
        """The same on a device."""
        return EventTensors(self.codes.to(device), self.numbers.to(device), self.clock.to(device))


def event_tensors(log: EventLog, scales: Scales, packed: Packed, first_rows: np.ndarray) -> EventTensors:
    """Read the packed rows of a log. `first_rows` [S]: the row of each sequence's customer's first event."""
    rows = packed.rows
    codes = np.asarray(log.codes[rows]).astype(np.int64)
    codes = np.where(codes >= np.asarray(scales.vocabulary), 1, codes)
    z = scales.standardised(scales.numbers(np.asarray(log.values[rows])))
    present = np.isfinite(z)
    time = np.asarray(log.time[rows])
    previous = np.where(rows == first_rows[packed.sequence], time, np.asarray(log.time[np.maximum(rows - 1, 0)]))
    gap = (gap_logs(time, previous) - scales.gap_mean) / scales.gap_deviation
    day = (time // DAY).astype("datetime64[D]")
    month_day = (day - day.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    clock = np.stack([time // HOUR % 24, (time // DAY + 3) % 7, month_day], axis=1)
    numbers = np.concatenate([np.where(present, z, 0), present, gap[:, None]], axis=1).astype(np.float32)
    return EventTensors(torch.from_numpy(codes), torch.from_numpy(numbers), torch.from_numpy(clock))


class EventEncoder(nn.Module):
    """Event vector [N, W]: the sum of its fields' embeddings and a projection of its numbers, layer-normalised."""

    def __init__(self, scales: Scales, width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in scales.vocabulary)
        self.clock = nn.ModuleList(nn.Embedding(size, width) for size in (24, 7, 31))
        self.numbers = nn.Linear(2 * len(scales.units) + 1, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, events: EventTensors) -> Tensor:
        """Event vectors of packed events."""
        x: Tensor = self.numbers(events.numbers)
        for f, table in enumerate(self.tables):
            x = x + table(events.codes[:, f])
        for c, table in enumerate(self.clock):
            x = x + table(events.clock[:, c])
        out: Tensor = self.norm(x)
        return functional.gelu(out)


class Body(nn.Module):
    """The recurrent body: packed events and a hidden state in, hidden states out."""

    def __init__(self, scales: Scales, event_width: int, hidden: int) -> None:
        super().__init__()
        self.events = EventEncoder(scales, event_width)
        self.gru = nn.GRU(event_width, hidden)

    def forward(self, events: EventTensors, packed: Packed) -> tuple[Tensor, Tensor]:
        """Hidden states after every event [N, H] (packed order) and after the last one [S, H] (caller's order)."""
        vectors = self.events(events)
        order = torch.from_numpy(packed.order).to(vectors.device)
        start = vectors.new_zeros(len(order), self.gru.hidden_size)
        if vectors.is_cuda:
            out, last = self.gru(PackedSequence(vectors, torch.tensor(packed.sizes)), start[None])
            hidden, last = out.data, last[0]
        else:
            hidden, last = scan(self.gru, vectors, start, packed.sizes)
        return hidden, torch.empty_like(last).index_copy(0, order, last)

    @torch.no_grad()
    def last_states(self, events: EventTensors, packed: Packed, start: Tensor) -> Tensor:
        """Hidden states [S, H] after the last event alone, from `start` [S, H], both in the caller's order."""
        vectors = self.events(events)
        order = torch.from_numpy(packed.order).to(vectors.device)
        begin = start[order].to(vectors.dtype)
        if vectors.is_cuda:
            last = self.gru(PackedSequence(vectors, torch.tensor(packed.sizes)), begin[None])[1][0]
        else:
            last = last_states(self.gru, vectors, begin, packed.sizes)
        return torch.empty_like(last).index_copy(0, order, last)


@dataclass(frozen=True)
class Parts:
    """How the dimensions of a vector are shared out, in this order."""

    behaviour: int
    """Principal directions of all features, rotated."""
    level: int
    """How much and how lately, alone."""
    selected: int
    """Single features, as they are."""
    forecasts: int
    """What is expected of the next weeks."""

    @property
    def width(self) -> int:
        """All dimensions."""
        return self.behaviour + self.level + self.selected + self.forecasts

    @classmethod
    def of(cls, width: int) -> "Parts":
        """The parts of a new model's vector `width` wide."""
        level, selected, forecasts = min(16, width // 12), width * 11 // 32, min(24, width // 8)
        return cls(width - level - selected - forecasts, level, selected, forecasts)


class Head(nn.Module):
    """Standardises features [S, F], weighs each, projects and normalises to vectors [S, D].

    Level, selected features and forecasts join the behaviour after it was normalised, so that they do not shrink where
    behaviour is pronounced. Fitted in closed form (train/head.py, train/forecast.py); its numbers are buffers, saved
    with the weights.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    projection: Tensor

    def __init__(self, feature_count: int, parts: Parts) -> None:
        super().__init__()
        self.behaviour, width = parts.behaviour, parts.width
        self.register_buffer("mean", torch.zeros(feature_count))
        self.register_buffer("scale", torch.ones(feature_count))
        self.register_buffer("weight", torch.ones(feature_count))
        self.register_buffer("projection", torch.zeros(feature_count, width))

    def standardised(self, x: Tensor) -> Tensor:
        """Features [S, F], or the first of them, centred, divided, clipped and weighed."""
        first = x.shape[1]
        return ((x - self.mean[:first]) / self.scale[:first]).clamp(-4, 4) * self.weight[:first]

    def forward(self, x: Tensor) -> Tensor:
        """Unit vectors [S, D] of features [S, F]."""
        z = self.standardised(x) @ self.projection
        behaviour = functional.normalize(z[:, : self.behaviour], dim=1, eps=1e-6)
        return functional.normalize(torch.cat([behaviour, z[:, self.behaviour :]], dim=1), dim=1, eps=1e-6)


@dataclass
class State:
    """Everything carried for S customers, row by row."""

    cells: np.ndarray
    """float64 [S, P], pools."""
    clock: np.ndarray
    """float64 [S, 4]: events, active days, first and last time."""
    recent: np.ndarray
    """float64 [S, R]: recent sums, as they weigh at the last time."""
    hidden: np.ndarray
    """float32 [S, H]."""


class Encoder(nn.Module):
    """Body, pools and head. `features_of(state)` then `head` give the vector."""

    prior: Tensor

    def __init__(
        self, scales: Scales, layout: Layout, event_width: int, hidden: int, parts: Parts, strength: float
    ) -> None:
        super().__init__()
        self.scales, self.layout, self.strength = scales, layout, strength
        self.body = Body(scales, event_width, hidden)
        self.hidden, self.parts, self.width = hidden, parts, parts.width
        self.register_buffer("prior", torch.zeros(layout.cells, dtype=torch.float64))
        self.pool_features = len(layout.feature_groups)
        self.head = Head(self.pool_features + hidden, parts)

    def features_of_pools(
        self, cells: np.ndarray, clock: np.ndarray, recent: np.ndarray, reference: int | None = None
    ) -> np.ndarray:
        """Pool features float32 [S, F - H]; how lately is told against `reference`, by default the log's last event."""
        reference = self.scales.reference if reference is None else reference
        pools = features(self.layout, cells, self.prior.cpu().numpy(), self.strength)
        lately = signed_log(recent_at(recent, clock[:, 3], reference)).astype(np.float32)
        return np.concatenate([pools, clock_features(clock, reference), lately], axis=1)

    def features_of(self, state: State) -> np.ndarray:
        """All features float32 [S, F]: pools, clock, hidden state."""
        return np.concatenate([self.features_of_pools(state.cells, state.clock, state.recent), state.hidden], axis=1)

    @torch.no_grad()
    def vectors(self, state: State) -> np.ndarray:
        """Unit vectors float32 [S, D] of states."""
        out: np.ndarray = self.head(torch.from_numpy(self.features_of(state)).to(self.head.mean.device)).cpu().numpy()
        return out
