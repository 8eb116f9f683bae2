"""Time the HTTP service: `python -m bench.serve --customers 1000000 --rate 200` prints one JSON line.

A synthetic snapshot, the real service in a process of its own on loopback, and requests for similar customers of
random customers that arrive at a fixed rate over kept connections, however long the answers take (open loop): each
time is counted from the moment the request was due, so that one slow answer shows in all that had to wait for it.
`--rate 0` has every client ask again as soon as it is answered (closed loop). The clients take cores from the service.
`--swap` asks for as long again while another snapshot is published after a third of the time, as a night publishes
it and checked in full by the service, and tells the times of both: what a night does to who is being served.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil

import index.run
from bench.vectors import centre_of, embeddings
from cluster.artifact import SegmentProfile, write_segments
from cluster.fit import Membership
from cluster.identity import Identity
from cluster.registry import Registry, Seen
from eventlog.artifact import write_behaviour
from eventlog.behaviour import Behaviour, Feature
from index.config import IndexConfig
from store.artifact import key_of
from store.catalogue import Catalogue
from store.workspace import Workspace

SERVE = """
import sys
from pathlib import Path
from serve.server import serve
serve(Path(sys.argv[1]), port=0)
"""
GROUPS, FEATURES = 200, 20


def main() -> None:
    """Publish, serve, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200, help="requests a second; 0: as many as the clients get")
    parser.add_argument("--clients", type=int, default=16, help="connections, at most so many requests at once")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, default=2, help="seconds before, at the same rate, not counted")
    parser.add_argument("--query", default="", help="more of the query, such as segments=1")
    parser.add_argument("--home", type=Path, help="folder to keep the workspace in, found again by the next call")
    parser.add_argument("--swap", action="store_true", help="publish another snapshot while it serves")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as scratch:
        folder = str(options.home or scratch)
        workspace = Workspace.create(Path(folder))
        if workspace.current() is None:
            publish(workspace, options.customers, options.width)
        if options.swap:
            first = workspace.current()
            n = workspace.manifest(first).counts["customers"]
            # one of a run before may be served at last, and is not to be swapped for itself
            other = next(name for seed in (1, 2) if (name := publish(workspace, n, options.width, seed)) != first)
            workspace.point_to(first or other)
        options.customers = workspace.manifest(workspace.current()).counts["customers"]
        with Catalogue(workspace.catalogue) as catalogue:
            _, key = catalogue.create_key("bench", "analyst")
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", SERVE, folder], stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            url = next(entry["url"] for entry in map(json.loads, process.stderr) if entry["event"] == "listening")
            ready = time.perf_counter() - started
            drain = threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True)
            drain.start()
            ask_all(url, key, options, options.warm_up)
            cpu, before = processor_seconds(process.pid), others(process.pid)
            times, faults, elapsed = ask_all(url, key, options, options.seconds)
            cpu, meanwhile = processor_seconds(process.pid) - cpu, others(process.pid) - before
            rss = psutil.Process(process.pid).memory_info().rss / (1 << 20)
            swapped = asked_over_swap(url, key, options, workspace, other) if options.swap else {}
        finally:
            process.terminate()
            process.wait(30)
    milliseconds = np.array(times) * 1000
    result = {
        "stage": "serve",
        "customers": options.customers,
        "width": options.width,
        "k": options.k,
        "query": options.query,
        "rate": options.rate,
        "clients": options.clients,
        "start_s": round(ready, 2),
        "seconds": round(elapsed, 2),
        "requests": len(times),
        "faults": faults,
        "requests_per_s": round(len(times) / elapsed, 1),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p90_ms": round(float(np.percentile(milliseconds, 90)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        "longest_ms": round(float(milliseconds.max()), 2),
        "cpu_ms_per_request": round(1000 * cpu / len(times), 2),
        "service_rss_mb": round(rss, 1),
        "cores_taken_by_others": round(meanwhile / elapsed, 2),
    }
    if swapped:
        swapped["p99_ratio"] = round(swapped["p99_ms"] / result["p99_ms"], 2)
        result["swap"] = swapped
    print(json.dumps(result))


def asked_over_swap(
    url: str, key: str, options: argparse.Namespace, workspace: Workspace, other: str
) -> dict[str, Any]:
    """The same requests again while `other` is published after a third of the time."""
    taken: list[float] = []

    def swap() -> None:
        time.sleep(options.seconds / 3)
        begun = time.perf_counter()
        workspace.point_to(other, deep=False)  # as a night does, which reads every byte when it seals
        while served(url, key) != other:
            time.sleep(0.02)
        taken.append(time.perf_counter() - begun)

    swapping = threading.Thread(target=swap)
    swapping.start()
    times, faults, elapsed = ask_all(url, key, options, options.seconds)
    swapping.join()
    milliseconds = np.array(times) * 1000
    return {
        "requests": len(times),
        "faults": faults,
        "requests_per_s": round(len(times) / elapsed, 1),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        "longest_ms": round(float(milliseconds.max()), 2),
        "seconds_until_served": round(taken[0], 2),
    }


def served(url: str, key: str) -> str:
    """The snapshot that the service answers from."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", "/v1/snapshot", headers={"Authorization": f"Bearer {key}"})
    body = json.loads(connection.getresponse().read())
    connection.close()
    return str(body["name"])


def publish(workspace: Workspace, n: int, width: int, seed: int = 0) -> str:
    """Publish a snapshot of n customers around 200 centres; behaviour and segments are fillers of the right size."""
    key = key_of("bench serve", n, width, *([seed] if seed else []))
    folder, rng = workspace.staging / key, np.random.default_rng(seed)
    given = embeddings(folder / "embeddings", n, width, seed)
    index.run.run(IndexConfig(), given, folder / "index")
    features = tuple(Feature(f"f{i}", "amount", "amount", None, f"figure {i}") for i in range(FEATURES))
    matrix = rng.standard_normal((n, FEATURES), dtype=np.float32)
    write_behaviour(Behaviour(features, matrix), key, folder / "behaviour", {})
    labels = (centre_of(n, GROUPS, 0) % 12).astype(np.int32)
    sizes = np.bincount(labels, minlength=12).tolist()
    profiles = [SegmentProfile(i, f"Segment {i}", s, s / n, 0.9, 0.8, (), ()) for i, s in enumerate(sizes)]
    positions = rng.standard_normal((n, 2), dtype=np.float32)
    empty, none = Membership.empty(n), Seen(np.empty(0, np.int64), np.empty(0, np.int32))
    strength, rest = np.full(n, 0.8, np.float32), (empty.second, empty.second_strength, empty.part)
    members = Membership(labels, strength, *rest, positions, labels)
    segments = tuple(Identity(i, 1, 0.9) for i in range(12))
    registry = Registry(1, 12, segments, members, (), (), "", None, none, ())
    write_segments(folder / "segments", key, registry, key, profiles, {})
    return workspace.publish(key, {}, {"customers": n}, {})


def processor_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def others(service: int) -> float:
    """Processor seconds that all but the service and this process have taken on this machine."""
    times = psutil.cpu_times()
    everything = times.user + times.nice + times.system
    return float(everything) - processor_seconds(service) - processor_seconds(os.getpid())


@dataclass
class Schedule:
    """When requests are due: at a fixed rate, or at once (rate 0), until the end. Clients take them in turn."""

    begun: float
    seconds: float
    rate: float
    taken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> tuple[int, float] | None:
        """Number of the next request and when it is due, on the clock of `time.perf_counter`; None at the end."""
        with self.lock:
            number, self.taken = self.taken, self.taken + 1
        due = self.begun + number / self.rate if self.rate else time.perf_counter()
        return (number, due) if due < self.begun + self.seconds else None


def ask_all(url: str, key: str, options: argparse.Namespace, seconds: float) -> tuple[list[float], int, float]:
    """Seconds that each answer took from when it was due, how many were no answers, and the seconds of all together."""
    schedule = Schedule(time.perf_counter() + 0.1, seconds, options.rate)
    results: list[list[tuple[float, bool]]] = [[] for _ in range(options.clients)]
    threads = [threading.Thread(target=ask, args=(url, key, options, schedule, mine)) for mine in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [result for mine in results for result in mine]
    return [took for took, _ in every], sum(not good for _, good in every), time.perf_counter() - schedule.begun


def ask(url: str, key: str, options: argparse.Namespace, schedule: Schedule, results: list[tuple[float, bool]]) -> None:
    """One client: asks for similar customers of random ones when it is time to."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.connect()
    headers = {"Authorization": f"Bearer {key}"}
    while (turn := schedule.next()) is not None:
        number, due = turn
        customer = int(np.random.default_rng([number, 7]).integers(options.customers))
        time.sleep(max(0.0, due - time.perf_counter()))
        connection.request("GET", f"/v1/customers/{customer}/similar?k={options.k}&{options.query}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        results.append((time.perf_counter() - due, answer.status == 200))
    connection.close()


if __name__ == "__main__":
    main()
