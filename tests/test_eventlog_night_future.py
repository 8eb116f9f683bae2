"""Rows later than the clock and rows after a night's day keep one rule: the night that reaches them takes them."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from nightly_log import config_of, contents, day, deliver, frame, midnight, rows_of, told

import eventlog.night
from eventlog.config import EventLogConfig
from eventlog.night import Grown
from eventlog.run import run as prepare
from eventlog.sequences import EventLog
from eventlog.watermark import read_watermark
from store.workspace import Workspace

CLOCK = midnight(1) - timedelta(hours=12)
"""Noon of the second day."""
ROWS = [("1", day(0.2), "a", 1.0, 0), ("1", day(1.4), "b", 1.0, 1), ("2", day(1.6), "a", 2.0, 2)]
ROWS += [("2", day(1.9), "b", 2.0, 3), ("3", day(2.5), "a", 3.0, 4), ("3", datetime(2924, 1, 1), "a", 3.0, 5)]
"""Two in the past of the clock, two later that day, one of the day after, and one with a slip of the pen."""


def night(config: EventLogConfig, before: EventLog, workspace: Workspace, number: int, hours: float) -> Grown:
    """The log after the night of a day, so many hours after the clock of the first reading."""
    now = CLOCK + timedelta(hours=hours)
    return eventlog.night.run(config, before, workspace, midnight(number), now=now)


def all_at_once(config: EventLogConfig, tmp_path: Path) -> EventLog:
    config = config.model_copy(update={"until": midnight(2)})
    return prepare(config, Workspace.create(tmp_path / "once"), now=midnight(9))


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("bounded", [True, False])
def test_what_lay_in_the_future_when_all_was_prepared_is_taken_by_the_night_that_reaches_it(
    tmp_path: Path, ids: bool, bounded: bool
) -> None:
    config, workspace = config_of(tmp_path, ids=ids, max_bad_share=0.9), Workspace.create(tmp_path / "ws")
    deliver(tmp_path, 0, {"s0": frame(ROWS)})
    first = config.model_copy(update={"until": midnight(1)}) if bounded else config
    log = prepare(first, workspace, now=CLOCK)
    assert log.n_events == 2
    watermark = read_watermark(log.folder)
    assert watermark is not None
    assert watermark.sources[0].files[0].until == day(1.6).replace(tzinfo=CLOCK.tzinfo).timestamp() * 1e6
    assert watermark.sources[0].files[0].pending == 4
    # the day before is over: its night finds nothing, and the file waits
    assert night(config, log, workspace, 0, 1).log is log
    # the same day, six hours later: one event's time has come
    grown = night(config, log, workspace, 1, 6)
    assert grown.sources == (told(files=1, read=1, kept=1, pending=3),)
    assert night(config, grown.log, workspace, 1, 6).log is grown.log, "the same again is nothing new"
    later = night(config, grown.log, workspace, 1, 13)
    assert later.sources == (told(files=1, read=1, kept=1, pending=2),)
    last = night(config, later.log, workspace, 2, 48)
    assert last.sources == (told(files=1, read=1, kept=1, pending=1),)
    whole = all_at_once(config, tmp_path)
    assert rows_of(last.log).equals(rows_of(whole))
    assert night(config, last.log, workspace, 3, 60).log is last.log, "a slip of the pen waits for ever, and is counted"


def test_a_file_that_a_night_reads_ahead_of_its_time_is_read_to_its_end_later(tmp_path: Path) -> None:
    config, workspace = config_of(tmp_path, ids=True), Workspace.create(tmp_path / "ws")
    deliver(tmp_path, 0, {"s0": frame(ROWS[:1])})
    log = prepare(config.model_copy(update={"until": midnight(0)}), workspace, now=CLOCK)
    deliver(tmp_path, 1, {"s0": frame(ROWS[1:])})
    shutil.copytree(workspace.root, tmp_path / "again")
    first = night(config, log, workspace, 1, 0)
    assert first.sources == (told(files=1, read=1, kept=1, pending=4),)
    assert first.log.manifest.counts["quarantined"] == 0
    # which rows lie in the future is all that the clock decides: a little later they are the same, and so are the bytes
    again = Workspace.open(tmp_path / "again")
    other = night(config, EventLog.load(again.eventlogs / log.key), again, 1, 0.5)
    assert other.log.key == first.log.key
    assert contents(other.log) == contents(first.log)
    second = night(config, first.log, workspace, 2, 48)
    assert second.sources == (told(files=1, read=3, kept=3, pending=1),)
    assert rows_of(second.log).equals(rows_of(all_at_once(config, tmp_path)))
    assert second.log.n_events == 5
