"""Time the simulator: `python -m bench.simulate --customers 100000 --days 180` prints one JSON line."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from bench.measure import measured
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run


def main() -> None:
    """Simulate a bank into a temporary folder, or into --out, which is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the bank goes; left out, it is thrown away")
    options = parser.parse_args()
    config = SimulateConfig.checked(customers=options.customers, days=options.days, seed=options.seed)
    out = options.out or Path(tempfile.mkdtemp(prefix="bank-"))
    try:
        with measured() as cost:
            summary = run(config, out)
        size = sum(path.stat().st_size for path in out.rglob("*.parquet"))
    finally:
        if options.out is None:
            shutil.rmtree(out, ignore_errors=True)
    print(json.dumps({
        "stage": "simulate", "customers": summary.customers, "days": summary.days, "events": summary.total,
        "wall_s": round(cost.wall_s, 2), "cpu_s": round(cost.cpu_s, 2), "peak_rss_mb": round(cost.peak_rss_mb, 1),
        "events_per_s": round(summary.total / cost.wall_s), "events_per_customer_day":
        round(summary.total / summary.customers / summary.days, 3), "size_mb": round(size / 2**20, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
