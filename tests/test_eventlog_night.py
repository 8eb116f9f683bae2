"""Night after night a log ends as if everything had been prepared at once, whatever arrives in which order."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nightly_log import NOW, config_of, contents, deliver, event_frames, midnight, rows_of

import eventlog.night
from eventlog.compact import compact
from eventlog.config import EventLogConfig
from eventlog.recode import recoded
from eventlog.run import read_report
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from store.workspace import Workspace


def nights(
    config: EventLogConfig, workspace: Workspace, folder: Path, frames: list[dict[str, pl.DataFrame]]
) -> EventLog:
    """The log after all nights, of which the first is prepared as a plain one."""
    log: EventLog | None = None
    for night, delivered in enumerate(frames):
        deliver(folder, night, delivered)
        if log is None:
            log = prepare(config.model_copy(update={"until": midnight(night)}), workspace, now=NOW)
            continue
        before = log
        grown = eventlog.night.run(config, before, workspace, midnight(night), now=NOW)
        log = grown.log
        check_counts(before, grown)
    assert log is not None
    return log


def check_counts(before: EventLog, grown: eventlog.night.Grown) -> None:
    log = EventLog.load(grown.log.folder)
    assert log.n_events == before.n_events + grown.new_events
    assert log.n_customers == before.n_customers + grown.new_customers
    for source in grown.sources:
        assert source.read == source.kept + source.quarantined + source.duplicates + source.erased
    assert sum(source.kept for source in grown.sources) == grown.new_events
    had = dict(zip(before.customers, np.diff(before.offsets).tolist(), strict=True))
    has = zip(log.customers, np.diff(log.offsets).tolist(), strict=True)
    changed = [row for row, (customer, count) in enumerate(has) if had.get(customer) != count]
    assert grown.changed.tolist() == changed
    assert (grown.log is before) == (grown.new_events == 0)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(1, 2), st.booleans(), st.booleans())
def test_any_split_into_nights_ends_like_preparing_everything_at_once(
    data: st.DataObject, sources: int, ids: bool, many: bool
) -> None:
    frames = data.draw(event_frames(sources, ids))
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if many:  # else so few events are put together every night
            patch.setattr(eventlog.night, "MOST_SHARE", 1e9)
        folder = Path(name)
        config = config_of(folder, sources, ids, max_bad_share=1.0)
        workspace = Workspace.create(folder / "nights")
        log = nights(config, workspace, folder, frames)
        last = config.model_copy(update={"until": midnight(len(frames) - 1)})
        whole = prepare(last, Workspace.create(folder / "once"), now=NOW)
        assert rows_of(log).equals(rows_of(whole))
        same = recoded(log, whole.schema)
        np.testing.assert_array_equal(np.asarray(same.codes[:]), whole.codes)
        np.testing.assert_array_equal(log.values[:], whole.values)
        np.testing.assert_array_equal(log.time[:], whole.time)
        np.testing.assert_array_equal(log.offsets, whole.offsets)
        plain = compact(log, workspace.eventlogs / "plain", "plain")
        assert contents(plain) == contents(whole)
        if ids:
            assert all(
                (plain.folder / f"ids-{i}.npy").read_bytes() == (whole.folder / f"ids-{i}.npy").read_bytes()
                for i in range(sources)
            )
        report, wanted = read_report(plain), read_report(whole)
        assert (report.kept, report.customers, report.fields) == (wanted.kept, wanted.customers, wanted.fields)
        assert (report.identical_rows, report.first, report.last) == (
            wanted.identical_rows, wanted.first, wanted.last,
        )  # fmt: skip
