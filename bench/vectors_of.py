"""Vectors of the yardstick's data sets: kinfolk's, its peer's, and hand-made aggregates, each in a Parquet file."""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import yaml

import embed.run
import eventlog.run
import train.run
from bench.measure import measured
from bench.yardstick import Yardstick
from embed.config import EmbedConfig
from eventlog.sequences import EventLog
from serve.recipe import load_recipe
from store.workspace import Workspace
from train.artifact import Model

PEER_WIDTH = 256


@dataclass(frozen=True)
class Maker:
    """Makes vectors once and keeps them at `home`/DATASET-ENCODER-SEED.parquet, with what they cost beside them."""

    yardstick: Yardstick
    home: Path
    peer: Path | None
    """Interpreter that has the peer; without one it is left out."""
    epochs: int
    """Epochs of the peer over the data."""

    def all_of(self, name: str, seeds: Iterable[int]) -> list[tuple[str, int, Path]]:
        """Encoder, seed and file of every encoder; aggregates have no seed and are made once."""
        made = [("aggregates", 0, self._aggregates(name))]
        for seed in seeds:
            made.append(("kinfolk", seed, self._kinfolk(name, seed)))
            if self.peer and not name.endswith("_noise"):
                made.append(("coles", seed, self._coles(name, seed)))
        return made

    def model(self, name: str, seed: int) -> tuple[Model, EventLog]:
        """kinfolk's model of a data set, and the log that it was trained on."""
        config = load_recipe(self._recipe(name, seed))
        workspace = Workspace.create(self.home / "workspaces" / name)
        log = eventlog.run.run(config.eventlog, workspace)
        return train.run.run(config.train, log, workspace), log

    def _file(self, name: str, encoder: str, seed: int) -> Path:
        return self.home / f"{name}-{encoder}-{seed}.parquet"

    def _aggregates(self, name: str) -> Path:
        file = self._file(name, "aggregates", 0)
        if not file.exists():
            self.yardstick.run(Path(sys.executable), "aggregates.py", name, file)
        return file

    def _coles(self, name: str, seed: int) -> Path:
        file = self._file(name, "coles", seed)
        if not file.exists():
            assert self.peer is not None
            options = {"epochs": self.epochs, "hidden": PEER_WIDTH, "seed": seed, "threads": 1}
            flags = [word for option, value in options.items() for word in (f"--{option}", str(value))]
            cost = self.yardstick.run(self.peer, "ptls_coles.py", name, file, *flags)
            file.with_suffix(".cost.json").write_text(json.dumps(cost[-1]), encoding="utf-8")
        return file

    def _kinfolk(self, name: str, seed: int) -> Path:
        file = self._file(name, "kinfolk", seed)
        if not file.exists():
            with measured() as training:
                model, log = self.model(name, seed)
            folder = self.home / "workspaces" / name / f"embeddings-{seed}"
            with measured() as embedding:
                made = embed.run.run(EmbedConfig(threads=1), model, log, folder)
            cost = {
                "events": log.n_events,
                "train_cpu_s": round(training.cpu_s, 1),
                "train_s": round(training.wall_s, 1),
                "infer_events_per_cpu_s": round(log.n_events / embedding.cpu_s),
                "infer_events_per_s": round(log.n_events / embedding.wall_s),
            }
            file.with_suffix(".cost.json").write_text(json.dumps(cost), encoding="utf-8")
            write_vectors(file, made.customers, np.asarray(made.vectors))
        return file

    def _recipe(self, name: str, seed: int) -> Path:
        """The least recipe of a data set, with its events beside it; nothing but the seed is set."""
        datasets = self.yardstick.datasets()
        folder = self.home / "recipes"
        events, recipe = folder / f"{name}.parquet", folder / f"{name}-{seed}.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        spec = datasets.DATASETS[name]
        if not events.exists():
            frame = datasets.load(name)[0]
            absent = [pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in spec.categorical]
            frame.with_columns(absent).write_parquet(events)
        source = {"name": "events", "path": events.name, "customer": "customer_id", "time": "timestamp"}
        fields = {"categorical": list(spec.categorical), "numeric": list(spec.numeric)}
        recipe.write_text(yaml.safe_dump({"sources": [source | fields], "train": {"seed": seed}}), encoding="utf-8")
        return recipe


def write_vectors(file: Path, customers: pl.Series, vectors: np.ndarray) -> None:
    """One row a customer: customer_id and one column a dimension, as the yardstick reads them."""
    frame = pl.DataFrame(vectors, schema=[f"d{i}" for i in range(vectors.shape[1])])
    frame.insert_column(0, customers.cast(pl.Int64).alias("customer_id")).write_parquet(file)


def read_vectors(file: Path, customers: pl.Series) -> np.ndarray:
    """Vectors float32 [n, d] of the given customers; those without a row are all zero."""
    rows = pl.read_parquet(file).with_columns(pl.col("customer_id").cast(pl.Int64))
    wanted = pl.DataFrame({"customer_id": customers}).join(rows, on="customer_id", how="left", maintain_order="left")
    return wanted.drop("customer_id").fill_null(0.0).to_numpy().astype(np.float32)
