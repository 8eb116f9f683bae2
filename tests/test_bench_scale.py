"""What is worked out of measurements: by the formulas that the page tells, and the page has today's figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.scale import MEASUREMENTS, POPULATIONS, Assumptions, measured_rates, needs, tables, total

REPOSITORY = Path(__file__).parents[1]


def test_the_page_has_the_figures_of_the_command() -> None:
    page = (REPOSITORY / "docs" / "scale.md").read_text(encoding="utf-8")
    assert page.endswith(tables(Assumptions())), (
        "write the output of `python -m bench.scale --table` into docs/scale.md"
    )


def test_every_measurement_has_its_command() -> None:
    for name, about in json.loads(MEASUREMENTS.read_text(encoding="utf-8")).items():
        if about["value"] is not None:
            module = about["command"].split()[2]
            assert about["command"].startswith("python -m bench."), name
            assert (REPOSITORY / f"{module.replace('.', '/')}.py").is_file(), name


def test_ten_times_the_customers_take_ten_times_the_events() -> None:
    one, ten, _ = (needs(customers, measured_rates(), Assumptions()) for customers in POPULATIONS)
    assert ten.whole_seconds["embed"] == pytest.approx(10 * (one.whole_seconds["embed"] or 0))
    assert ten.whole_seconds["train"] == one.whole_seconds["train"]
    assert ten.disk_gb["log"] == pytest.approx(10 * one.disk_gb["log"])


def test_what_was_not_measured_is_said_and_left_out() -> None:
    rates = measured_rates() | {"embed": None}
    found = needs(POPULATIONS[0], rates, Assumptions())
    assert "whole embed" in found.not_measured
    full = needs(POPULATIONS[0], measured_rates() | {"embed": 1e6}, Assumptions())
    assert total(full.whole_seconds) - total(found.whole_seconds) == pytest.approx(300.0)


def test_prices_and_machines_follow_the_options() -> None:
    given = Assumptions()
    found = needs(100_000_000, measured_rates(), given)
    dear = needs(100_000_000, measured_rates(), replace(given, disk_gb_month=2 * given.disk_gb_month))
    assert dear.dollars_a_month["disk"] == pytest.approx(2 * found.dollars_a_month["disk"])
    assert found.machines_to_embed == 1
    assert needs(100_000_000, measured_rates(), replace(given, cores=2)).machines_to_embed == 5
