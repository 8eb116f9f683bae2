"""Refreshes the README's tour: `python docs/tour.py DEMO_WORKSPACE BANK_WORKSPACE`.

Runs the commands of the README's blocks that begin with `$ kinfolk` on the demonstration's workspace, puts what they
print below them, and copies the pictures. The table of the demonstration itself is pasted by hand from a whole run. The
bank of the second map is `kinfolk simulate --customers 4000 --days 90 --seed 7` and `kinfolk run` over it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl

from serve.demo import UNTIL, data_folder
from store.workspace import Workspace

README = Path(__file__).parents[1] / "README.md"
IMAGES = Path(__file__).parent / "images"
BLOCK = re.compile(r"(```\n\$ (kinfolk [^\n]*)\n).*?(```)", re.DOTALL)


def labels(out: Path) -> None:
    """Write the labels of the tour: two from the demographics, and spending in the 90 days after the events read."""
    data = data_folder()
    people = pl.read_parquet(data / "demographics.parquet").select(
        pl.col("household_id").alias("customer_id"),
        "household_size",
        (pl.col("kids_count") != "0").cast(pl.Int64).alias("children"),
    )
    time = pl.col("transaction_timestamp").cast(pl.Datetime("us"))
    lines = pl.read_parquet(data / "transactions.parquet").select(
        pl.col("household_id").alias("customer_id"), time.alias("time"), "sales_value"
    )
    after = lines.filter((pl.col("time") >= UNTIL) & (pl.col("time") < UNTIL + timedelta(days=90)))
    spent = after.group_by("customer_id").agg(pl.col("sales_value").sum().round(2).alias("spend_next_90_days"))
    known = lines.filter(pl.col("time") < UNTIL).select("customer_id").unique().sort("customer_id")
    joined = known.join(people, on="customer_id", how="left").join(spent, on="customer_id", how="left")
    joined.with_columns(pl.col("spend_next_90_days").fill_null(0)).sort("customer_id").write_csv(out)


def printed(command: str, folder: Path) -> str:
    """What a command prints on stdout, run in `folder`."""
    words = [sys.executable, "-m", "serve.cli", *shlex.split(command)[1:]]
    path = os.pathsep.join([str(README.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        words, cwd=folder, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.strip("\n").splitlines())


def map_of(workspace: Path) -> Path:
    """The map of a workspace's served snapshot."""
    return Workspace.open(workspace).snapshot_folder() / "segments" / "map.png"


def main() -> None:
    """Refresh the blocks and the pictures."""
    demo, bank = (Path(name).resolve() for name in sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(demo, folder / "demo-workspace")  # the audiences of the tour stay out of the demonstration
        labels(folder / "labels.csv")
        text = README.read_text(encoding="utf-8")
        README.write_text(BLOCK.sub(lambda b: b[1] + printed(b[2], folder) + b[3], text), encoding="utf-8")
        shutil.copyfile(folder / "evaluate.png", IMAGES / "evaluate.png")
    shutil.copyfile(map_of(demo), IMAGES / "demo-map.png")
    shutil.copyfile(map_of(bank), IMAGES / "bank-map.png")


if __name__ == "__main__":
    main()
