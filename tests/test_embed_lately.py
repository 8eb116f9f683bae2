"""Vectors of a part of each history: what these events alone would give."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from histories import events, prepared, tiny

import embed.run
import train.run
from embed.config import EmbedConfig
from embed.lately import of_runs, only

SMALL = EmbedConfig(batch_events=1000)


def test_they_are_what_the_events_of_these_days_alone_would_give(tmp_path: Path) -> None:
    log, workspace = prepared(events(customers=60), tmp_path)
    model = train.run.run(tiny(epochs=1), log, workspace)
    rows = np.arange(0, log.n_customers, 2)
    first, stop = log.offsets[rows], log.offsets[rows + 1]
    begin = first + (stop - first) // 3
    end = np.maximum(begin + 1, stop - (stop - first) // 4)
    cut = replace(only(log, rows, begin, end), key="cut")
    assert cut.n_events == int((end - begin).sum())
    at = len(rows) // 2
    one = slice(int(begin[at]), int(end[at]))
    np.testing.assert_array_equal(cut.time[cut.offsets[at] : cut.offsets[at + 1]], log.time[one])
    np.testing.assert_array_equal(cut.codes[cut.offsets[at] : cut.offsets[at + 1]], log.codes[one])
    alone = embed.run.run(SMALL, model, cut, tmp_path / "alone")
    found = of_runs(SMALL, model, log, rows, begin, end)
    np.testing.assert_allclose(found, alone.vectors, atol=2e-6)
    none = rows[:0]
    assert of_runs(SMALL, model, log, none, none, none).shape == (0, model.width)
