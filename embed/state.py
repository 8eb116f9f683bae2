"""States as rows of float32, the form in which they are stored.

A time in microseconds does not fit a float32, so it is kept as day, second of the day and microsecond of the
second, each exact.

Shapes: S customers, P cells, R recent sums, H hidden width.
"""

import numpy as np

from eventlog.sequences import DAY, SECOND
from train.encoder import Encoder, State

CLOCK = 8
KEPT_FROM = 64
"""Events from which on a customer's state is kept. A state is as large as the events of some hundred rows of a log; a
shorter history is read again in less time than its state takes to be copied night after night."""


def state_width(encoder: Encoder) -> int:
    """Width of a stored state: clock, hidden state, recent sums, pools."""
    return CLOCK + encoder.hidden + encoder.layout.recent + encoder.layout.cells


def to_rows(state: State) -> np.ndarray:
    """States as float32 [S, width]."""
    times = [part for column in (2, 3) for part in _split(state.clock[:, column].astype(np.int64))]
    clock = np.stack([state.clock[:, 0], state.clock[:, 1], *times], axis=1)
    return np.concatenate([clock, state.hidden, state.recent, state.cells], axis=1, dtype=np.float32, casting="unsafe")


def from_rows(rows: np.ndarray, encoder: Encoder) -> State:
    """The states of float32 rows [S, width]."""
    hidden, recent, cells = np.split(rows[:, CLOCK:], np.cumsum([encoder.hidden, encoder.layout.recent]), axis=1)
    return State(
        cells.astype(np.float64),
        stored_clock(rows),
        recent.astype(np.float64),
        np.ascontiguousarray(hidden, np.float32),
    )


def stored_clock(rows: np.ndarray) -> np.ndarray:
    """The clocks float64 [S, 4] in the rows of states: events, active days, first and last time in microseconds."""
    clock = rows[:, :CLOCK].astype(np.float64)
    first, last = (clock[:, i] * DAY + clock[:, i + 1] * SECOND + clock[:, i + 2] for i in (2, 5))
    return np.stack([clock[:, 0], clock[:, 1], first, last], axis=1)


def _split(time: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return time // DAY, time % DAY // SECOND, time % SECOND
