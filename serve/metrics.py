"""What Prometheus reads at /metrics. No label holds a customer id: routes are templates, methods a closed list."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from serve.follower import Follower
from serve.live import Live

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one service, in a registry of their own, so that two services in one process do not mix."""

    def __init__(self, live: Live, follower: Follower | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("kinfolk_requests", "Requests answered", labels, registry=registry)
        self.latency = Histogram(
            "kinfolk_request_seconds", "Time to answer", ("method", "route"), registry=registry, buckets=BUCKETS
        )
        self.audiences = Counter("kinfolk_audiences", "Audience requests by outcome", ("outcome",), registry=registry)
        self.audience_seconds = Histogram(
            "kinfolk_audience_seconds", "Time to compute an audience", registry=registry, buckets=BUCKETS
        )
        self.waiting = Gauge("kinfolk_audiences_waiting", "Audiences in computation or waiting", registry=registry)
        registry.register(SnapshotCollector(live))
        if follower is not None:
            failing = Gauge(
                "kinfolk_store_failures", "Failed looks at the object store since one did", registry=registry
            )
            failing.set_function(lambda: follower.failures)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(method, route, str(status)).inc()
        self.latency.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


class SnapshotCollector(Collector):
    """Figures of the served snapshot, read when they are asked for."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def collect(self) -> Iterator[Metric]:
        """All families; those of the snapshot only while there is one."""
        live, snapshot = self.live, self.live.snapshot
        yield _counter("swaps", "Snapshots taken while serving", live.swaps)
        yield _counter("failures", "Times that a published snapshot could not be taken", live.failures)
        yield _gauge("snapshot_fault", "1 while a newer snapshot could not be taken", live.fault is not None)
        if snapshot is None:
            return
        info = GaugeMetricFamily("kinfolk_snapshot_info", "1 for the served snapshot", labels=("snapshot",))
        info.add_metric((snapshot.name,), 1)
        yield info
        yield _gauge("snapshot_published_timestamp_seconds", "When it was sealed, Unix time", snapshot.published)
        yield _gauge("snapshot_age_seconds", "Age of the served snapshot", max(0.0, time.time() - snapshot.published))
        yield _gauge("customers", "Customers in the served snapshot", snapshot.n_customers)
        yield _gauge("segments", "Segments in the served snapshot", len(snapshot.segments.profiles))
        yield _gauge("unassigned_share", "Share of customers in no segment", snapshot.unassigned_share)
        if snapshot.recall is not None:
            yield _gauge("index_recall", "Recall of the index against exact search, as last measured", snapshot.recall)
        index = snapshot.index
        yield _gauge("index_nprobe", "Cells of the index that a search visits, 0 where it is exact", index.nprobe)
        yield _gauge("index_customers", "Customers that the index finds", index.manifest.counts["customers"])
        yield _gauge(
            "index_updates", "Updates of the index since it was built", index.manifest.figures.get("updates", 0)
        )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kinfolk_{name}", text, value=float(value))


def _counter(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(f"kinfolk_snapshot_{name}", text, value=value)
