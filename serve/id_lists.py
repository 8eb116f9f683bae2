"""Lists of customer ids that users bring: seeds, suppression lists."""

from pathlib import Path

import polars as pl

from configs.errors import InputError

COLUMN = "customer_id"


def read_ids(path: Path) -> tuple[str | int, ...]:
    """The ids in column customer_id of a CSV or Parquet file, in their order; empty cells are left out.

    Ids in a CSV file stay text, so that "007" is not taken for 7 where ids are text. Raises InputError where the file
    is missing, unreadable or has no such column.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pl.read_parquet(path)
        else:
            table = pl.read_csv(path, infer_schema=False, separator="\t" if path.suffix.lower() == ".tsv" else ",")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a CSV or Parquet file with a column {COLUMN}") from None
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: is empty; give a CSV or Parquet file with a column {COLUMN}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"{path}: cannot be read ({reason}); give a UTF-8 CSV or Parquet file with a column {COLUMN}"
        ) from None
    names = {name.strip().removeprefix("\ufeff"): name for name in table.columns}
    if COLUMN not in names:
        raise InputError(f"{path}: no column {COLUMN}; it has: {', '.join(table.columns[:20])}")
    ids = table[names[COLUMN]]
    if not (ids.dtype.is_integer() or ids.dtype == pl.String):
        raise InputError(f"{path}: column {COLUMN} holds {ids.dtype}; accepted are whole numbers and text")
    if ids.dtype == pl.String:
        ids = ids.str.strip_chars().replace("", None)
    return tuple(ids.drop_nulls().to_list())
