"""Labels that the user has: a file of customer and label columns, read for evaluation alone and never for training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from configs.errors import InputError

MOST_CLASSES = 30
FEWEST_CUSTOMERS = 50
FEWEST_OF_A_CLASS = 10


@dataclass(frozen=True)
class Label:
    """One label column, for the customers who have it."""

    name: str
    kind: Literal["binary", "classes", "number"]
    rows: np.ndarray
    """int64 [m], rows of the labelled customers in the population."""
    target: np.ndarray
    """int64 [m] class codes, or float64 [m]."""
    classes: tuple[str, ...] = ()
    dropped: int = 0
    """Labelled customers left out because their class has too few members to be judged."""


@dataclass(frozen=True)
class Labels:
    """All labels of a file, and how many of its customers are known."""

    labels: tuple[Label, ...]
    matched: int
    unknown: int


def read_labels(path: Path, customers: pl.Series) -> Labels:
    """Read CSV or Parquet with a column customer_id and one column per label.

    Text, booleans and whole numbers of at most MOST_CLASSES values are classes; other numbers are numbers. Raises
    InputError where the file, its columns or the number of labelled customers are not usable.
    """
    frame = _read(path)
    if "customer_id" not in frame.columns:
        raise InputError(f"{path}: no column customer_id; it has {', '.join(frame.columns)}")
    if len(frame.columns) < 2:
        raise InputError(f"{path}: no label columns beside customer_id")
    ids = frame["customer_id"].cast(customers.dtype, strict=False)
    if ids.drop_nulls().n_unique() != ids.drop_nulls().len():
        raise InputError(f"{path}: a customer is listed more than once; give one row per customer")
    known = pl.DataFrame({"customer_id": customers}).with_row_index("row")
    joined = frame.with_columns(customer_id=ids).join(known, on="customer_id", how="inner").sort("row")
    if len(joined) < FEWEST_CUSTOMERS:
        raise InputError(
            f"{path}: {len(joined)} of its {len(frame)} customers are known; at least {FEWEST_CUSTOMERS} are needed"
        )
    labels = tuple(_label(path, joined.select("row", name)) for name in frame.columns if name != "customer_id")
    return Labels(labels, len(joined), len(frame) - len(joined))


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".csv":
            # ids stay text, so that "007" is not taken for 7 where ids are text
            text = {"customer_id": pl.String}
            frame = pl.read_csv(path, infer_schema_length=None, schema_overrides=text, try_parse_dates=False)
            return frame.with_columns(pl.col("^customer_id$").str.strip_chars())
        return pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; labels are CSV or Parquet with a column customer_id") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: not a readable CSV or Parquet file ({str(error).splitlines()[0]})") from None


def _label(path: Path, column: pl.DataFrame) -> Label:
    name = column.columns[1]
    values = column.drop_nulls()
    series = values[name]
    rows = values["row"].to_numpy().astype(np.int64)
    if series.dtype.is_float() or (series.dtype.is_integer() and series.n_unique() > MOST_CLASSES):
        target = series.cast(pl.Float64).to_numpy()
        finite = np.isfinite(target)
        if len(np.unique(target[finite])) <= MOST_CLASSES and (target[finite] == target[finite].round()).all():
            series, rows = series.filter(pl.Series(finite)).cast(pl.Int64), rows[finite]
        else:
            return Label(name, "number", rows[finite], target[finite], dropped=int((~finite).sum()))
    text = series.cast(pl.String)
    if text.n_unique() > MOST_CLASSES:
        raise InputError(f"{path}: label {name} has {text.n_unique()} classes; at most {MOST_CLASSES} can be judged")
    counts = text.value_counts()
    kept = sorted(counts.filter(pl.col("count") >= FEWEST_OF_A_CLASS)[name].to_list())
    if len(kept) < 2:
        raise InputError(
            f"{path}: label {name} needs two classes of at least {FEWEST_OF_A_CLASS} known customers "
            f"each, it has {len(kept)}"
        )
    inside = text.is_in(kept).to_numpy()
    codes = text.filter(pl.Series(inside)).replace_strict({c: i for i, c in enumerate(kept)}, return_dtype=pl.Int64)
    kind: Literal["binary", "classes"] = "binary" if len(kept) == 2 else "classes"
    return Label(name, kind, rows[inside], codes.to_numpy(), tuple(kept), int((~inside).sum()))
