"""Options of audiences over HTTP: how many, who may be in it, and the make-up by attributes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from http_service import N, Service, first_audience, group_of, problem, publish
from typer.testing import CliRunner

from serve.cli import app

SEEDS = np.flatnonzero(group_of(N) == 1)[:60].tolist()
CSV = "customer_id\n" + "\n".join(map(str, SEEDS)) + "\n"
URL = "/v1/audiences"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("workspace")
    publish(root)
    made = Service(root, max_body_mb=0.5)
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(service: Service) -> dict[str, Any]:
    return first_audience(service, SEEDS)


def test_how_many_and_who_may_be_in_it(service: Service) -> None:
    options = {"share": 0.5, "nested": [110, 100], "not_segments": [-1], "hold_out": 0.1, "base_rate": 0.2}
    answer = service.client.post(URL, json={"seeds": SEEDS, **options})
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert (report["held_out"], report["nested"]) == (round(0.1 * report["size"]), [100, 110])
    assert 0 < report["precision"]["low"] <= report["precision"]["value"] <= 1
    members = service.get(report["members"])["members"]
    assert len(members) == report["size"] - report["held_out"]
    assert {member["within"] for member in members} == {100, 110, report["size"]}
    text = {**options, "nested": "100,110", "not_segments": "-1"}
    csv = {"Content-Type": "text/csv"}
    for again in (
        service.client.post(URL, content=CSV, params=text, headers=csv),
        service.client.post(URL, files={"seeds": ("s.csv", CSV)}, data={name: str(v) for name, v in text.items()}),
    ):
        assert (again.status_code, again.json()) == (200, report), again.text
    folder = service.workspace.audiences / report["id"]
    held = pl.read_parquet(folder / "held_out.parquet")["customer_id"]
    assert len(held) == report["held_out"]
    assert not set(held) & {member["customer_id"] for member in members}


def test_the_make_up_is_told_by_attributes_that_nothing_else_sees(service: Service, made: dict[str, Any]) -> None:
    table = "customer_id,region,age\n" + "".join(f"{i},{'north' if i % 2 else 'south'},{i % 3}\n" for i in range(N))
    files = {"seeds": ("s.csv", CSV), "make_up": ("a.csv", table)}
    answer = service.client.post(URL, files=files, data={"size": "120"})
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert [(g["attribute"], g["group"]) for g in report["make_up"]] == [
        ("region", "north"), ("region", "south"), ("age", "0"), ("age", "1"), ("age", "2"),
    ]  # fmt: skip
    assert sum(g["members"] for g in report["make_up"][:2]) == 120
    assert report["id"] != made["id"]
    assert service.get(report["members"])["members"] == service.get(made["members"])["members"]
    again = service.client.post(URL, files=files, data={"size": "120"})
    assert (again.status_code, again.json()) == (200, report)
    for content, words in (("customer_id\n1\n", "no column beside"), ("customer_id,a\n1\n", "row 2: has 1 cells")):
        refused = service.client.post(URL, files={**files, "make_up": ("a.csv", content)}, data={"size": "120"})
        problem(refused, 422, f"make_up: {words}")


def test_what_a_campaign_caused_is_told_by_who_was_held_out(service: Service, tmp_path: Path) -> None:
    made = service.client.post(URL, json={"seeds": SEEDS, "size": 200, "hold_out": 0.25}).json()
    listed = [member["customer_id"] for member in service.get(made["members"])["members"]]
    held = pl.read_parquet(service.workspace.audiences / made["id"] / "held_out.parquet")["customer_id"].to_list()
    outcomes = "customer_id\n" + "\n".join(f"00{customer}" for customer in [*listed[:60], *held[:5], 99999, listed[0]])
    found = service.client.post(f"{URL}/{made['id']}/effect", content=outcomes).json()
    counts = [found[name] for name in ("listed", "listed_with_outcome", "held_out", "held_out_with_outcome")]
    assert counts == [150, 60, 50, 5]
    assert found["difference"]["value"] == pytest.approx(0.4 - 0.1)
    assert found["caused"]["value"] == pytest.approx(45)
    assert found["told"]
    (tmp_path / "o.csv").write_text(outcomes)
    words = ["effect", made["id"], "--outcomes", str(tmp_path / "o.csv"), "--workspace", str(service.workspace.root)]
    told = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(told.stdout)["difference"] == found["difference"]
    assert "45 (" in CliRunner().invoke(app, words).stdout
    whole = service.client.post(URL, json={"seeds": SEEDS, "size": 200}).json()
    problem(service.client.post(f"{URL}/{whole['id']}/effect", content=outcomes), 422, "nobody was held out")
    problem(service.client.post(f"{URL}/{made['id']}/effect", content="name\n1"), 422, "no column customer_id")
