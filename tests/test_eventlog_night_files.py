"""Which files a night reads: each once, by its bytes; one that changed is refused, one that is gone is none."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from nightly_log import config_of, day, deliver, first_log, frame, night, told

from configs.errors import DataError
from eventlog.checksums import CACHE
from eventlog.config import EventLogConfig, Source
from eventlog.files import SourceFile, find_files
from eventlog.sequences import EventLog
from eventlog.watermark import read_watermark
from store.workspace import Workspace


@pytest.fixture
def config(tmp_path: Path) -> EventLogConfig:
    return config_of(tmp_path, ids=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws")


@pytest.fixture
def before(tmp_path: Path, config: EventLogConfig, workspace: Workspace) -> EventLog:
    return first_log(tmp_path, config, workspace)


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_changed_after_it_was_read_is_refused_with_a_way_out(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace, same_size: bool
) -> None:
    night(config, before, workspace)  # its checksum is known
    path = tmp_path / "s0" / "0000.parquet"
    raw = path.read_bytes()
    path.write_bytes(raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:] if same_size else raw + b"x")
    with pytest.raises(DataError) as error:
        night(config, before, workspace)
    text = str(error.value)
    assert f"source 's0': {path}: changed since it was read (then {len(raw):,} bytes, SHA-256 " in text
    assert "put the old bytes back and deliver the new rows as a file of another name, or prepare" in text
    path.write_bytes(raw)
    assert night(config, before, workspace).log is before


def test_checksums_are_kept_and_a_lost_or_damaged_cache_is_made_again(
    tmp_path: Path,
    config: EventLogConfig,
    before: EventLog,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, read = workspace.eventlogs / CACHE, []

    def counted(path: Path) -> str:
        read.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("eventlog.checksums.sha256", counted)
    for expected in (["0000.parquet"], [], None, ["0000.parquet"]):
        if expected is None:
            cache.write_text('{"a": 3}')
            continue
        read.clear()
        night(config, before, workspace)
        assert read == expected
    stat = (tmp_path / "s0" / "0000.parquet").stat()
    os.utime(tmp_path / "s0" / "0000.parquet", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    read.clear()
    night(config, before, workspace)
    assert read == ["0000.parquet"], "a time of change that was put back does not hide a change"


def test_a_file_again_under_another_name_is_skipped(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    folder = tmp_path / "s0"
    shutil.copyfile(folder / "0000.parquet", folder / "again.parquet")
    deliver(tmp_path, 1, {"s0": frame([("5", day(1.5), "a", 1.0, 100)])})
    shutil.copyfile(folder / "0001.parquet", folder / "twice.parquet")
    (folder / "0000.parquet").unlink()  # gone is no error
    grown = night(config, before, workspace)
    assert grown.sources == (told(files=1, repeated_files=2, read=1, kept=1),)
    found = read_watermark(grown.log.folder)
    assert found is not None
    assert [(file.label, file.rows) for file in found.sources[0].files] == [
        ("0000.parquet", 16), ("0001.parquet", 1), ("again.parquet", 16), ("twice.parquet", 1),
    ]  # fmt: skip
    assert night(config, grown.log, workspace, 2).sources == (told(),)


def test_a_file_that_gets_another_name_before_all_of_it_was_read_is_read_to_its_end(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    rows = [("1", day(1.5), "a", 1.0, 100), ("1", day(2.5), "b", 1.0, 101)]
    deliver(tmp_path, 1, {"s0": frame(rows)})
    grown = night(config, before, workspace)
    assert grown.sources[0].pending == 1
    (tmp_path / "s0" / "0001.parquet").rename(tmp_path / "s0" / "moved.parquet")
    assert night(config, grown.log, workspace, 1).sources == (told(pending=1),)
    then = night(config, grown.log, workspace, 2)
    assert then.sources == (told(files=1, read=1, kept=1),)
    found = read_watermark(then.log.folder)
    assert found is not None
    assert {file.label: file.pending for file in found.sources[0].files} == {
        "0000.parquet": 0, "0001.parquet": 0, "moved.parquet": 0,
    }  # fmt: skip


def test_a_folder_that_is_gone_is_no_quiet_night(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace
) -> None:
    (tmp_path / "s0" / "0000.parquet").unlink()
    assert night(config, before, workspace).log is before
    (tmp_path / "s0").rmdir()
    with pytest.raises(DataError, match="there is no such file"):
        night(config, before, workspace)


def test_a_file_that_goes_while_it_is_looked_at_is_told(
    tmp_path: Path, config: EventLogConfig, before: EventLog, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(source: Source, *, read_before: bool) -> list[SourceFile]:
        files = find_files(source, read_before=read_before)
        (tmp_path / "s0" / "0001.parquet").unlink(missing_ok=True)
        return files

    deliver(tmp_path, 1, {"s0": frame([("5", day(1.5), "a", 1.0, 100)])})
    monkeypatch.setattr("eventlog.arrivals.find_files", found)
    with pytest.raises(DataError, match=r"source 's0': .*0001\.parquet: cannot be read \(No such file or directory\)"):
        night(config, before, workspace)
    assert night(config, before, workspace).log is before
