"""Time a night of the event log: `python -m bench.grow --customers 1000000 --events-each 25 --share 0.03`.

Prints one JSON line. The bank's customers have `--events-each` events each; then a share of them have as many new
events each, of which one in a hundred is late, and some are of new customers.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl

import eventlog.night
from bench.measure import measured
from eventlog.behaviour import behaviour, refreshed
from eventlog.compact import compact
from eventlog.config import EventLogConfig
from eventlog.recode import recoded
from eventlog.run import run
from eventlog.sequences import EventLog
from store.workspace import Workspace

START = np.datetime64("2025-01-01T00:00:00.000000")
DAYS = 365
NIGHT = datetime(2026, 1, 2, tzinfo=UTC)
FILE_ROWS = 5_000_000


def write_events(
    path: Path, customer: np.ndarray, seconds: np.ndarray, first_id: int, random: np.random.Generator
) -> None:
    """Write one file of events of some customers at `seconds` after START."""
    n = len(customer)
    columns = {
        "customer_id": customer,
        "timestamp": START + seconds * 1_000_000,
        "id": np.arange(first_id, first_id + n),
        "kind": pl.Series(random.zipf(1.3, n) % 30).cast(pl.String),
        "merchant": pl.Series(random.zipf(1.2, n) % 3000).cast(pl.String),
        "amount": np.round(random.lognormal(3, 1, n), 2),
    }
    pl.DataFrame(columns).write_parquet(path)


def write_year(folder: Path, customers: int, each: int, random: np.random.Generator) -> int:
    """A year of everybody's events, in files; returns how many."""
    total, written = customers * each, 0
    while written < total:
        n = min(FILE_ROWS, total - written)
        customer = random.integers(1, customers + 1, n)
        path = folder / f"2025-{written // FILE_ROWS:03d}.parquet"
        write_events(path, customer, random.integers(0, DAYS * 86_400, n), written, random)
        written += n
    return written


def write_night(
    folder: Path, customers: int, count: int, share: float, first_id: int, random: np.random.Generator
) -> int:
    """The events of one night; returns how many."""
    who = random.choice(customers + customers // 1000, max(int(customers * share), 1), replace=False) + 1
    n = len(who) * count
    seconds = DAYS * 86_400 + random.integers(0, 86_400, n)
    late = random.random(n) < 0.01 / count  # one customer in a hundred
    seconds[late] -= 3 * 86_400
    write_events(folder / "2026-01-01.parquet", np.repeat(who, count), seconds, first_id, random)
    return n


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds of some work."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 2)


def prepared(root: Path, customers: int, each: int, ids: bool, seed: int) -> tuple[float, float, str]:
    """Write a year and prepare it under `root`: seconds, peak MB, and key of the log."""
    folder = root / "source"
    folder.mkdir()
    write_year(folder, customers, each, np.random.default_rng([seed, 0]))
    workspace = Workspace.create(root / "workspace")
    with measured() as cost:
        log = run(config_of(root, ids), workspace)
    eventlog.night.run(config_of(root, ids), log, workspace, NIGHT)  # every checksum is known from here on
    return cost.wall_s, cost.peak_rss_mb, log.key


def config_of(root: Path, ids: bool) -> EventLogConfig:
    """The recipe's event log."""
    source = {"name": "bank", "path": str(root / "source" / "*.parquet"), "categorical": ["kind", "merchant"]}
    source |= {"numeric": ["amount"], **({"event_id": "id"} if ids else {})}
    return EventLogConfig.model_validate({"sources": [source]})


def main() -> None:
    """Prepare a year, take a night, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--events-each", type=int, default=25)
    parser.add_argument("--share", type=float, default=0.03, help="share of customers with new events")
    parser.add_argument("--new-each", type=int, default=25, help="new events of each of them")
    parser.add_argument("--event-ids", action="store_true", help="events have ids, and repeats are looked for")
    parser.add_argument("--behaviour", action="store_true", help="time behaviour, made anew and refreshed, too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    each, ids = options.events_each, options.event_ids
    with tempfile.TemporaryDirectory(prefix="grow-") as name:
        root = Path(name)
        # a process of its own, so that its memory is not taken for that of the night
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            done = pool.submit(prepared, root, options.customers, each, ids, options.seed)
            prepare_s, prepare_mb, key = done.result()
        workspace, config = Workspace.create(root / "workspace"), config_of(root, ids)
        log = EventLog.load(workspace.eventlogs / key, deep=False)
        random = np.random.default_rng([options.seed, 1])
        write_night(root / "source", options.customers, options.new_each, options.share, log.n_events, random)
        with measured() as night:
            grown = eventlog.night.run(config, log, workspace, NIGHT)
        again = timed(lambda: eventlog.night.run(config, log, workspace, NIGHT))
        deep = timed(lambda: EventLog.load(grown.log.folder))
        read = timed(lambda: read_through(grown.log))
        behaviours = behaviour_times(log, grown) if options.behaviour else {}
        together = timed(lambda: compact(grown.log, workspace.eventlogs / "plain", "plain"))
        size = {path.name: path.stat().st_size for path in grown.log.folder.iterdir()}
    line = {
        "stage": "grow", "customers": options.customers, "events": log.n_events, "new_events": grown.new_events,
        "late_events": grown.late_events, "new_customers": grown.new_customers, "changed": len(grown.changed),
        "event_ids": ids, "night_s": round(night.wall_s, 2), "night_cpu_s": round(night.cpu_s, 2),
        "peak_rss_mb": round(night.peak_rss_mb), "again_s": again, "deep_check_s": deep, "read_through_s": read,
        "compact_s": together, "layer_mb": round(sum(size.values()) / 2**20, 1),
        "layer_events_mb": round(sum(size[f"{part}.npy"] for part in ("codes", "values", "time")) / 2**20, 1),
        "prepare_s": round(prepare_s, 2), "prepare_peak_rss_mb": round(prepare_mb),
    }  # fmt: skip
    print(json.dumps(line | behaviours))


def behaviour_times(before: EventLog, grown: eventlog.night.Grown) -> dict[str, float]:
    """Seconds of the behaviour of everybody, and of what the night makes of the behaviour before it."""
    log = recoded(grown.log, before.schema)
    place = before.customers.search_sorted(log.customers).to_numpy().astype(np.int64)
    known = before.customers.gather(np.minimum(place, before.n_customers - 1)) == log.customers
    row = np.where(known.to_numpy(), place, -1)
    start = time.perf_counter()
    previous = behaviour(before)
    anew = time.perf_counter()
    for _ in refreshed(log, previous, row, grown.changed).pieces():
        pass
    return {"behaviour_s": round(anew - start, 2), "refreshed_s": round(time.perf_counter() - anew, 2)}


def read_through(log: EventLog) -> None:
    """Read every event once, as training and embedding do."""
    for start in range(0, log.n_events, 100_000):
        for column in (log.codes, log.values, log.time):
            np.asarray(column[start : start + 100_000]).sum()


if __name__ == "__main__":
    main()
