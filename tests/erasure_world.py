"""A workspace with everything in it that customers may be erased from, with long ids of text."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pyarrow as pa
import yaml
from http_service import publish

import serve.weeks
from embed.arrow import write_columns
from eventlog.config import EventLogConfig
from eventlog.run import run as prepare
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from index.request import AudienceRequest
from serve.audiences import Asked, make_audience
from serve.editions import refresh, save
from serve.pipeline import run_line
from serve.recipe import Recipe, load_recipe
from serve.snapshot import Snapshot
from store.catalogue import Catalogue
from store.objections import Objections
from store.workspace import Workspace

SOURCES = ("salary", "groceries", "cash", "login")
SECTIONS = """\
- name: complaints
  path: complaints.csv
  customer: customer_id
  time: timestamp
  categorical: [subject]
  numeric: [points]
train:
  width: 16
  hidden: 16
  event_width: 8
  vocabulary: 20
  slices: 2
  slice_events: [8, 24]
  batch_customers: 32
  epochs: 1
  epoch_events: 3_000
  threads: 1
  pools:
    values: 6
    bins: 4
    cells: 64
    crossed_values: 2
    crossed_fields: 2
index:
  exact_up_to: 0
  neighbours: 5
  queries: 40
  lists: 2
segments:
  shadow_every: 1
  neighbours: 8
  epochs: 60
  min_customers: 8
  stability_runs: 1
  min_stability: 0.3
  change_z: 0.5
audience:
  scorers: [centroid, logistic]
  least_seeds: 10
  least_size: 10
  bootstrap: 50
prepare:
  max_bad_share: 0.9
"""


@dataclass(frozen=True)
class World:
    """The workspace, and what it was made from."""

    root: Path
    recipe: Path
    ids: tuple[str, ...]
    """All customers, ascending."""

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace.open(self.root)

    def load(self, until: str | None = None) -> Recipe:
        """The recipe, read up to a day."""
        return load_recipe(self.recipe if until is None else self.recipe.with_name(f"until-{until}.yaml"))


def make_world(home: Path) -> World:
    """Two snapshots of one lineage, audiences, a saved audience with two editions, objections, a night, leftovers."""
    bank = simulate(SimulateConfig.checked(customers=120, days=30, seed=3, id_type="string"), home / "bank")
    recipe = home / "bank" / "recipe-small.yaml"
    every = yaml.safe_load(bank.recipe.read_text(encoding="utf-8"))["sources"]
    sources = yaml.safe_dump({"sources": [source for source in every if source["name"] in SOURCES]})
    recipe.write_text(sources + SECTIONS, encoding="utf-8")
    early = recipe.with_name("until-2025-01-25.yaml")
    early.write_text(recipe.read_text(encoding="utf-8") + "until: 2025-01-25\n", encoding="utf-8")
    files = sorted((home / "bank" / "groceries").rglob("*.parquet"))
    ids = pl.concat([pl.read_parquet(file, columns=["customer_id"]) for file in files])["customer_id"].unique().sort()
    _complain(home / "bank" / "complaints.csv", ids.to_list())
    workspace = Workspace.create(home / "workspace")
    # so that some of these few customers live differently
    few = {"LATELY": 7, "EARLIER": 14, "FEWEST": 20, "FEWEST_LATELY": 2, "FEWEST_EARLIER": 2}
    with patch.multiple(serve.weeks, **few), patch("cluster.surprise.PEERS", 5):
        return _world(workspace, recipe, early, ids)


def _world(workspace: Workspace, recipe: Path, early: Path, ids: pl.Series) -> World:
    run_line(load_recipe(early), workspace)
    world = World(workspace.root, recipe, ())
    with Catalogue(workspace.catalogue) as catalogue:
        _audiences(Snapshot.load(workspace), workspace, catalogue)
        run_line(load_recipe(recipe), workspace)
        everybody = Snapshot.load(workspace).embeddings.customers.to_list()
        Objections(catalogue).note([everybody[3], everybody[50]], True, actor="test")
        refresh("spring", Snapshot.load(workspace), workspace, catalogue, "test")
    night = workspace.nights / "2025-01-30-s-x"
    night.mkdir(parents=True)
    lines = [json.dumps({"id": "f" * 32, "kind": "moved", "customer": id, "why": "more cash"}) for id in everybody]
    (night / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (night / "report.json").write_text('{"as_of": "2025-01-30"}\n', encoding="utf-8")
    left = workspace.staging / "abc" / ".embeddings.part"
    left.mkdir(parents=True)
    write_columns(left / "vectors.arrow", {"customer_id": pa.array(everybody)})
    spool = workspace.eventlogs / ".spool"
    spool.mkdir()
    write_columns(spool / "block-000000.arrow", {"customer": pa.array(everybody)})
    return World(world.root, recipe, tuple(everybody))


def _complain(path: Path, ids: list[str]) -> None:
    """Complaints: a subject that everybody has, one for each that names them, and rows that break the contract."""
    lines = ["customer_id,timestamp,subject,points"]
    for number, id in enumerate(ids):
        lines.append(f"{id},2025-01-03T08:00:00Z,fees,{number}")
        lines.append(f"{id},2025-01-04T08:00:00Z,letter of {id},1")
        lines.append(f"{id},2025-01-04T09:00:00Z,secret {number},1")
        lines.append(f"{id},never,fees,1")
        lines.append(f"{id},2025-01-06T00:00:00Z,fees,many")
        lines.append(f"{id},too,few")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _audiences(snapshot: Snapshot, workspace: Workspace, catalogue: Catalogue) -> None:
    ids = snapshot.embeddings.customers
    seeds = (*(ids[row] for row in range(0, 60, 3)), "NOBODY-0000001")
    attributes = pl.DataFrame(
        {"customer_id": ids, "town": ["north", "south"] * (len(ids) // 2) + ["x"] * (len(ids) % 2)}
    )
    request = AudienceRequest(seeds=seeds, size=12, hold_out=0.2, suppress=(ids[1], ids[2]))
    make_audience(Asked(request), snapshot, workspace, catalogue, "test")
    wide = AudienceRequest(seeds=seeds, size=40, include_seeds=True, hold_out=0.2)
    make_audience(Asked(wide, attributes, attributes), snapshot, workspace, catalogue, "test")
    save("spring", Asked(wide, attributes, attributes), snapshot, workspace, catalogue, "test")


def texts_of(path: Path) -> Iterator[str]:
    """All text of a packed file, decoded here and not by what is tested."""
    if path.suffix == ".parquet":
        yield pl.read_parquet(path).write_csv()
    elif path.suffix == ".arrow":
        with pa.ipc.open_file(pa.memory_map(str(path), "r")) as reader:
            table = reader.read_all()
        for name in table.schema.names:
            if not pa.types.is_fixed_size_list(table[name].type):
                yield str(table[name].to_pylist())


def holders(root: Path, *ids: str) -> list[str]:
    """Files that hold an id in their name, bytes or decoded content."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        content = path.read_bytes()
        texts = list(texts_of(path))
        if any(
            id in str(path.relative_to(root)) or id.encode() in content or any(id in t for t in texts) for id in ids
        ):
            found.append(path.relative_to(root).as_posix())
    return found


def small(root: Path, ids: pl.Series) -> Workspace:
    """A served snapshot of some customers with a log, and nothing else."""
    publish(root, ids=ids)
    events = root.parent / "events.csv"
    lines = [f"{id},2020-01-0{n + 1},shop {id}" for id in ids for n in range(2)]
    events.write_text("\n".join(["customer_id,time,shop", *lines]) + "\n", encoding="utf-8")
    source = {"name": "s", "path": str(events), "customer": "customer_id", "time": "time", "categorical": ["shop"]}
    workspace = Workspace.create(root)
    prepare(EventLogConfig.model_validate({"sources": [source]}), workspace)
    return workspace


def tree(root: Path) -> dict[str, str]:
    """Hashes of all files but those of locks and the database's own."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file() and "lock" not in p.name and not p.name.startswith("catalogue.db")
    }
