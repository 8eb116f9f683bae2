"""A simulated bank, prepared: what the benches of training, embedding and evaluation start from."""

import argparse
from pathlib import Path

import eventlog.run
from eventlog.sequences import EventLog
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from serve.recipe import load_recipe
from store.workspace import Workspace


def options(description: str | None) -> argparse.ArgumentParser:
    """What these benches can be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--home", type=Path, help="keep the bank and the workspace here; a second call resumes")
    return parser


def prepared_bank(home: Path, customers: int, days: int, seed: int) -> tuple[EventLog, Workspace]:
    """The prepared log of a bank simulated at `home`/bank, and the workspace that holds it."""
    summary = simulate(SimulateConfig.checked(customers=customers, days=days, seed=seed), home / "bank")
    workspace = Workspace.create(home / "workspace")
    return eventlog.run.run(load_recipe(summary.recipe).eventlog, workspace), workspace
