"""Events in an object store (a real S3 server on this machine) or behind other URLs: the log is that of local files."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import s3fs
from histories import events
from object_store import running_bucket

import eventlog.remote
import eventlog.run
from configs.errors import DataError
from eventlog.config import EventLogConfig
from eventlog.sequences import EventLog
from store.workspace import Workspace

pytestmark = [
    # s3fs leaves its connections to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of events: Parquet by day and a gzipped CSV, with a file that is to be left out."""
    folder = tmp_path_factory.mktemp("events")
    frame = events(60)
    for day, part in enumerate(frame.iter_slices(400)):
        (folder / f"day={day}").mkdir()
        part.write_parquet(folder / f"day={day}" / "part.parquet")
        (folder / f"day={day}" / "_left.parquet").write_bytes(b"no events")
    with gzip.open(folder / "more.csv.gz", "wb") as file:
        file.write(frame.select(pl.exclude("timestamp"), pl.col("timestamp").dt.to_string("iso")).write_csv().encode())
    return folder


@pytest.fixture(scope="module")
def bucket(files: Path) -> Iterator[str]:
    """The same files in an S3 server's bucket."""
    with running_bucket() as url:
        s3fs.S3FileSystem(skip_instance_cache=True).put(f"{files}/", f"{url}/in/events/", recursive=True)
        yield url


def log_of(path: str, root: Path) -> EventLog:
    """The prepared log of one source."""
    source = {"name": "shop", "path": path, "categorical": ["kind", "noise"], "numeric": ["amount"]}
    config = EventLogConfig.model_validate({"sources": [source]}, context={"folder": root})
    return eventlog.run.run(config, Workspace.create(root / "workspace"))


@pytest.mark.parametrize("pattern", ["*/part.parquet", "**/*.parquet", "day=1/part.parquet", "more.csv.gz"])
def test_a_log_of_remote_files_is_that_of_local_ones(pattern: str, files: Path, bucket: str, tmp_path: Path) -> None:
    wanted = log_of(f"{files}/{pattern}", tmp_path / "local")
    for at, url in enumerate((f"{bucket}/in/events", f"file://{files}")):
        found = log_of(f"{url}/{pattern}", tmp_path / str(at))
        assert found.key == wanted.key
        assert {p.name: p.read_bytes() for p in found.folder.iterdir()} == {
            p.name: p.read_bytes() for p in wanted.folder.iterdir()
        }
        assert not (tmp_path / str(at) / "workspace" / "eventlog" / ".spool").exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{bucket}/in/none/*.parquet", "there is no such file"),
        ("{bucket}/in/none.parquet", "there is no such file"),
        ("{bucket}-none/in/*.parquet", "there is no such file"),
        ("nonsense://bucket/*.parquet", "cannot be fetched"),
        ("gs://bucket/*.parquet", r"needs another package .*gcsfs"),
    ],
)
def test_what_cannot_be_fetched_is_told(path: str, words: str, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        log_of(path.format(bucket=bucket), tmp_path)


def test_a_file_that_changes_while_it_is_fetched_is_refused(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3fs.S3FileSystem(skip_instance_cache=True)
    store.pipe_file(f"{bucket}/moving.csv", b"customer_id,timestamp,kind,noise,amount\n1,2025-01-01,a,b,1\n")
    found = eventlog.remote._found

    def of_a_moving_store(url: str) -> tuple[Any, dict[str, str]]:
        files, names = found(url)
        fetched = files.get_file

        def then_changed(name: str, path: str) -> None:
            fetched(name, path)
            store.pipe_file(f"{bucket}/moving.csv", b"customer_id,timestamp,kind,noise,amount\n2,2025-01-01,a,b,1\n")

        files.get_file = then_changed
        return files, names

    monkeypatch.setattr(eventlog.remote, "_found", of_a_moving_store)
    with pytest.raises(DataError, match=r"moving\.csv changed while it was fetched"):
        log_of(f"{bucket}/moving.csv", tmp_path)


def test_paths_and_urls_are_told_apart() -> None:
    assert eventlog.remote.is_remote("s3://bucket/x.csv")
    assert not eventlog.remote.is_remote("/data/s3:/x.csv")
