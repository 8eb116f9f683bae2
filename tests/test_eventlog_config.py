"""What a recipe may say about the event log, and what it is told when it may not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.errors import RecipeError
from configs.reader import read
from eventlog.config import MAX_CODES, EventLogConfig, Source


def test_lists_and_mappings_of_columns_mean_the_same() -> None:
    as_list = Source(name="a", path="a.csv", categorical=["shop"], numeric=["amount"])  # type: ignore[arg-type]
    as_mapping = Source(name="a", path="a.csv", categorical={"shop": "shop"}, numeric={"amount": "amount"})
    assert as_list == as_mapping


def test_the_least_recipe_needs_a_list_of_sources_only(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sources:\n  - {name: basket, path: events.parquet}\nuntil: 2017-08-08\n")
    config = read(recipe, EventLogConfig)
    assert config.until == datetime(2017, 8, 8, tzinfo=UTC)
    assert config.max_categories == MAX_CODES
    assert (config.sources[0].customer, config.sources[0].time) == ("customer_id", "timestamp")


def test_relative_places_start_at_the_recipes_folder(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "sources:\n  - {name: a, path: data/*.csv}\n  - {name: b, path: /far/away.csv}\n"
        "  - {name: c, query: select 1, url: sqlite:///shop.db}\n  - {name: d, query: select 1, url: sqlite:////far.db}\n"
    )
    sources = read(recipe, EventLogConfig).sources
    assert [source.path for source in sources[:2]] == [str(tmp_path / "data/*.csv"), "/far/away.csv"]
    assert [source.url for source in sources[2:]] == [f"sqlite:///{tmp_path}/shop.db", "sqlite:////far.db"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("- {name: a}", ["give either `path`, or `query` together with `url`"]),
        ("- {name: a, query: select 1}", ["give either `path`, or `query` together with `url`"]),
        ("- {name: a, path: a.csv, query: select 1, url: 'sqlite://'}", ["only one of them"]),
        ("- {name: a, path: a.xlsx}", ["must end in one of .parquet", "'a.xlsx'"]),
        ("- {name: a, path: a.csv, categorical: [x, x]}", ["named twice: x"]),
        ("- {name: a, path: a.csv, categorical: [x], numeric: [x]}", ["'x' is both categorical and numeric"]),
        (
            "- {name: a, path: a.csv, categorical: [customer_id]}",
            ["'customer_id' is the customer and cannot be the field"],
        ),
        ("- {name: a, path: a.csv, numeric: {t: timestamp}}", ["'timestamp' is the time and cannot be the field 't'"]),
        ("- {name: a, path: a.csv, customer: t, time: t}", ["cannot be both customer and time"]),
        ("- {name: a, path: a.csv, time_unit: hours}", ["'s', 'ms', 'us' or 'ns'", "'hours'"]),
        ("- {name: a, path: a.csv, colour: red}", ["unknown key", "accepted: categorical, customer"]),
        ("- {name: a, path: a.csv}\n  - {name: a, path: b.csv}", ["source name 'a' is given twice"]),
        (
            "- {name: a, path: a.csv, numeric: [x]}\n  - {name: b, path: b.csv, categorical: [x]}",
            ["field 'x' is numeric in source 'a' and categorical in source 'b'"],
        ),
        (
            "- {name: a, path: a.csv, categorical: [source]}\n  - {name: b, path: b.csv}",
            ["field 'source' is made by kinfolk"],
        ),
        ("[]", ["at least 1 item"]),
    ],
)
def test_faults_of_a_recipe_say_what_is_accepted(tmp_path: Path, text: str, wanted: list[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"sources:\n  {text}\n")
    with pytest.raises(RecipeError) as error:
        read(recipe, EventLogConfig)
    for words in wanted:
        assert words in str(error.value)


def test_faults_of_several_sources_come_at_once(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "sources:\n  - {name: a, path: a.xlsx, categorical: [x], numeric: [x]}\n  - {name: b, pth: b.csv}\n"
        "max_categories: 70000\nmax_bad_share: 2\n"
    )
    with pytest.raises(RecipeError) as error:
        read(recipe, EventLogConfig)
    for words in (
        "must end in one of",
        "both categorical and numeric",
        "did you mean 'path'",
        "65533",
        "less than or equal to 1",
    ):
        assert words in str(error.value)


def test_until_without_a_zone_is_utc_and_with_one_is_converted() -> None:
    source = {"name": "a", "path": "a.csv"}
    naive = EventLogConfig.model_validate({"sources": [source], "until": "2020-01-01T00:00:00"})
    zoned = EventLogConfig.model_validate({"sources": [source], "until": "2020-01-01T02:00:00+02:00"})
    assert naive.until == zoned.until == datetime(2020, 1, 1, tzinfo=UTC)


def test_fields_keep_the_order_of_the_recipe_with_source_first() -> None:
    config = EventLogConfig.model_validate(
        {
            "sources": [
                {"name": "card", "path": "c.csv", "categorical": ["mcc"], "numeric": {"amount": "eur"}},
                {
                    "name": "login",
                    "path": "l.csv",
                    "categorical": {"device": "dev", "mcc": "m"},
                    "numeric": ["seconds"],
                },
            ]
        }
    )
    assert config.categorical_fields() == ("source", "mcc", "device")
    assert config.numeric_fields() == ("amount", "seconds")


def test_a_config_is_frozen() -> None:
    source = Source(name="a", path="a.csv")
    with pytest.raises(ValidationError):
        source.name = "b"  # type: ignore[misc]
