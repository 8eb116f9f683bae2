"""Time the HTTP service: `python -m bench.serve --customers 100000 --seconds 10` prints one JSON line.

A synthetic snapshot, the real service in a process of its own on loopback, and a few clients that ask for similar
customers of random customers over kept connections. The clients take cores from the service.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil

import index.run
from bench.vectors import centre_of, embeddings
from cluster.artifact import SegmentProfile, write_segments
from cluster.fit import Fit
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
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        workspace = Workspace.create(Path(folder))
        publish(workspace, options.customers, options.width)
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
            times, elapsed = ask_all(url, key, options)
            rss = psutil.Process(process.pid).memory_info().rss / (1 << 20)
        finally:
            process.terminate()
            process.wait(30)
    milliseconds = np.array(times) * 1000
    result = {
        "stage": "serve",
        "customers": options.customers,
        "width": options.width,
        "k": options.k,
        "clients": options.clients,
        "start_s": round(ready, 2),
        "seconds": round(elapsed, 2),
        "requests": len(times),
        "requests_per_s": round(len(times) / elapsed, 1),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        "service_rss_mb": round(rss, 1),
    }
    print(json.dumps(result))


def publish(workspace: Workspace, n: int, width: int) -> None:
    """Publish a snapshot of n customers around 200 centres; behaviour and segments are fillers of the right size."""
    key = key_of("bench serve", n, width)
    folder, rng = workspace.staging / key, np.random.default_rng(0)
    given = embeddings(folder / "embeddings", n, width, 0)
    index.run.run(IndexConfig(), given, folder / "index")
    features = tuple(Feature(f"f{i}", "amount", "amount", None, f"figure {i}") for i in range(FEATURES))
    matrix = rng.standard_normal((n, FEATURES), dtype=np.float32)
    write_behaviour(Behaviour(features, matrix), key, folder / "behaviour", {})
    labels = (centre_of(n, GROUPS, 0) % 12).astype(np.int32)
    sizes = np.bincount(labels, minlength=12).tolist()
    profiles = [SegmentProfile(i, f"Segment {i}", s, s / n, 0.9, 0.8, (), ()) for i, s in enumerate(sizes)]
    positions = rng.standard_normal((n, 2), dtype=np.float32)
    fit = Fit(labels, np.full(n, 0.8, np.float32), positions, (0.9,) * 12, "")
    write_segments(folder / "segments", key, fit, profiles, {})
    workspace.publish(key, {}, {"customers": n}, {})


def ask_all(url: str, key: str, options: argparse.Namespace) -> tuple[list[float], float]:
    """Seconds that each answer took, and those that all took together."""
    times: list[list[float]] = [[] for _ in range(options.clients)]
    end = time.perf_counter() + options.seconds
    started = time.perf_counter()
    threads = [
        threading.Thread(target=ask, args=(url, key, options, seed, end, mine)) for seed, mine in enumerate(times)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [seconds for mine in times for seconds in mine], time.perf_counter() - started


def ask(url: str, key: str, options: argparse.Namespace, seed: int, end: float, times: list[float]) -> None:
    """One client: asks for similar customers of random ones until `end`."""
    parts, rng = urlsplit(url), np.random.default_rng([seed, 7])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"Authorization": f"Bearer {key}"}
    while time.perf_counter() < end:
        customer = int(rng.integers(options.customers))
        begun = time.perf_counter()
        connection.request("GET", f"/v1/customers/{customer}/similar?k={options.k}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        times.append(time.perf_counter() - begun)
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {body.decode()}")
    connection.close()


if __name__ == "__main__":
    main()
