"""Data sets, labels and peers of the yardstick, a folder beside this repository, for the benches of quality.

The yardstick judges by its own scripts: `aggregates.py`, `ptls_coles.py` and `probe.py` are run as they are. It asks a
module `heldout` for more data sets; the one written here adds variants of its own: `NAME_past` (without the last 30
days, to tell what comes next) and `NAME_noise` (two columns of noise for each event, and a random fingerprint for each
customer).
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

DAYS = 30
"""Days at the end of the data that the temporal tasks are about."""
AMOUNT = {"complete_journey": "sales_value", "sparkov_sim": "amount", "online_retail": "amount"}
KIND = {"complete_journey": "department", "sparkov_sim": "category", "online_retail": "stock_code"}
"""What is spent, and what of, per data set."""

HELDOUT = """
from dataclasses import replace
from datetime import timedelta
import polars as pl

def more(Dataset, flag, codes):
    import datasets
    out = {}
    for name in %(names)r:
        spec = datasets.DATASETS[name]
        folder = spec.folder or name
        times = pl.read_parquet(datasets.DATA / folder / "events.parquet", columns=["timestamp"])["timestamp"]
        last = times.filter(times < spec.before).max() if spec.before else times.max()
        out[name + "_past"] = replace(spec, folder=folder, before=last - timedelta(days=%(days)d))
        row = pl.int_range(pl.len())
        noise = {
            "noise_kind": (row.hash(1) %% 50).cast(pl.String),
            "noise_number": (row.hash(2) %% 10_000).cast(pl.Float64) / 1000,
            "noise_customer": (pl.col("customer_id").cast(pl.Int64).hash(3) %% 500).cast(pl.String),
        }
        out[name + "_noise"] = replace(
            spec, folder=folder, derive={**(spec.derive or {}), **noise},
            categorical=(*spec.categorical, "noise_kind", "noise_customer"), numeric=(*spec.numeric, "noise_number"),
        )
    return out
"""


@dataclass(frozen=True)
class Yardstick:
    """The yardstick's folder, with the variants written to `scratch`."""

    folder: Path
    scratch: Path

    @classmethod
    def at(cls, folder: Path, scratch: Path) -> "Yardstick":
        """Write the variants and let both folders be imported from."""
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "heldout.py").write_text(HELDOUT % {"names": tuple(AMOUNT), "days": DAYS}, encoding="utf-8")
        sys.path[:0] = [str(scratch), str(folder)]
        return cls(folder, scratch)

    def datasets(self) -> ModuleType:
        """The module that lists the data sets."""
        return importlib.import_module("datasets")

    def run(self, python: Path, script: str, *arguments: str | Path) -> list[dict[str, Any]]:
        """Run a script with an interpreter; its lines of JSON. Raises CalledProcessError."""
        path = os.pathsep.join([str(self.scratch), str(self.folder)])
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
        command = [str(python), str(self.folder / script), *map(str, arguments)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **one, "PYTHONPATH": path}
        )
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def probe(self, name: str, files: Sequence[Path]) -> list[dict[str, Any]]:
        """What vectors know of a data set's labels, a row for each task and file, judged by the yardstick."""
        return self.run(Path(sys.executable), "probe.py", name, *files)

    def future(self, name: str) -> Mapping[str, pl.DataFrame]:
        """What customers did in the last DAYS: frames of customer_id and y, from events that `NAME_past` does not have.

        `spend` and `events` are logs, 0 for those who did nothing; `category` is, of the 20 most frequent ones, that
        in which a customer's share was most above everybody's, for those with any.
        """
        events = self.datasets().load(name)[0]
        cut = events["timestamp"].max() - timedelta(days=DAYS)
        customers = events.filter(pl.col("timestamp") < cut).select("customer_id").unique().sort("customer_id")
        after = events.filter(pl.col("timestamp") >= cut)
        amounts = after.group_by("customer_id").agg(spend=pl.col(AMOUNT[name]).clip(0).sum(), events=pl.len())
        told = customers.join(amounts, on="customer_id", how="left", maintain_order="left").fill_null(0)
        kind = KIND[name]
        common = after[kind].value_counts(normalize=True).sort("proportion", kind, descending=[True, False]).head(20)
        favourite = (
            after.join(common, on=kind)
            .group_by("customer_id", kind, "proportion")
            .len()
            .sort(pl.col("len") / pl.col("proportion"), kind, descending=[True, False])
            .group_by("customer_id", maintain_order=True)
            .first()
            .join(customers, on="customer_id")
            .sort("customer_id")
        )
        often = favourite.filter(pl.len().over(kind) >= 10)
        return {
            "spend": told.select("customer_id", y=pl.col("spend").log1p()),
            "events": told.select("customer_id", y=pl.col("events").log1p()),
            "category": often.select("customer_id", y=pl.col(kind).rank("dense").cast(pl.Int32) - 1),
        }
