"""Does a night survive? `python -m bench.night_kill [--kills 200] [--flips 1000]` prints one JSON line.

A small simulated bank, a line over its first month, and one more day. The night of that day is killed with SIGKILL at
random moments of its running time, again and again: after each kill the served snapshot is verified byte by byte, and
now and then (and at the end) the night is run to its end and its snapshot and log are compared, byte by byte, with
those of a night that was never disturbed. Then single bits of the served snapshot are flipped at random, one at a
time: each must be refused.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from bench.night import kinfolk
from configs.errors import ArtifactError
from eventlog.simulate.config import SimulateConfig
from eventlog.simulate.run import run as simulate
from store.workspace import Workspace

START, DAYS = date(2025, 1, 1), 30
MODEL = """\
train:
  width: 64
  epochs: 1
  epoch_events: 20_000
"""
SECTIONS = f"""\
{MODEL}night:
  gates: {{volume: 0, field_drift: 1000, vector_drift: 2, moved: 1, unseen: 1, absent: 1, unassigned: 1, stability: 0}}
"""
LOOK = "segments:\n  shadow_every: 1\n"
EVERY = 10
"""Kills after which a night is run to its end."""


def main() -> None:
    """Kill, finish, compare, flip, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-night-kill-") as scratch:
        home = Path(scratch)
        recipe = world(home, given)
        print(json.dumps(killed(home, recipe, given) | flipped(home / "calm", given)))


def world(home: Path, given: argparse.Namespace) -> Path:
    """A bank with one day more than its workspace has seen; the recipe."""
    simulate(SimulateConfig.checked(customers=given.customers, days=DAYS + 1, seed=given.seed), home / "bank")
    recipe = home / "bank" / "bench.yaml"
    recipe.write_text((home / "bank" / "recipe.yaml").read_text(encoding="utf-8") + SECTIONS + LOOK, encoding="utf-8")
    hidden = [(path, home / "later" / path.parent.name / path.name) for path in home.glob(f"bank/*/date={last()}")]
    for path, place in hidden:
        place.parent.mkdir(parents=True)
        path.rename(place)
    kinfolk(given, "run", recipe, "--workspace", home / "start")
    for path, place in hidden:
        place.rename(path)
    return recipe


def last() -> date:
    """The day of the night."""
    return START + timedelta(days=DAYS)


def killed(home: Path, recipe: Path, given: argparse.Namespace) -> dict[str, object]:
    """What became of the kills."""
    shutil.copytree(home / "start", home / "calm")
    begun = time.perf_counter()
    kinfolk(given, "nightly", recipe, "--as-of", str(last()), "--workspace", home / "calm")
    took, right = time.perf_counter() - begun, content(home / "calm")
    rng, root = random.Random(given.seed), home / "killed"
    deaths, wrong, before_served, unsound = 0, [], 0, 0
    for number in range(given.kills):
        if not number % EVERY:
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(home / "start", root)
        deaths += died(recipe, root, given, rng.uniform(0, 1.05) * took)
        workspace = Workspace.open(root)
        before_served += workspace.current() == Workspace.open(home / "start").current()
        try:
            workspace.verify_snapshot()
        except ArtifactError:
            unsound += 1
        if number % EVERY == EVERY - 1 or number == given.kills - 1:
            kinfolk(given, "nightly", recipe, "--as-of", str(last()), "--workspace", root)
            wrong += sorted(name for name in right if content(root).get(name) != right[name])
    return {
        "stage": "night_kill",
        "night_s": round(took, 1),
        "kills": given.kills,
        "died": deaths,
        "old_snapshot_served": before_served,
        "unsound": unsound,
        "differ": wrong,
    }


def died(recipe: Path, root: Path, given: argparse.Namespace, after: float) -> bool:
    """Whether a night was still running when it was killed after so many seconds."""
    words = ["nightly", str(recipe), "--as-of", str(last()), "--workspace", str(root)]
    process = subprocess.Popen(
        [sys.executable, "-m", "serve.cli", "--threads", str(given.threads), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    process.kill()
    return process.wait() == -signal.SIGKILL


def content(root: Path) -> dict[str, bytes]:
    """Every byte of what is served, and of its log."""
    workspace = Workspace.open(root)
    manifest = workspace.manifest()
    folders = (workspace.snapshot_folder(), workspace.eventlogs / manifest.parents["eventlog"])
    return {
        f"{folder.name}/{path.relative_to(folder)}": path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flipped(root: Path, given: argparse.Namespace) -> dict[str, object]:
    """What became of the flips: every bit of the served snapshot is equally likely."""
    workspace, rng = Workspace.open(root), random.Random(given.seed)
    folder = workspace.snapshot_folder()
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    sizes, refused, taken = [path.stat().st_size for path in paths], 0, []
    for _ in range(given.flips):
        path = rng.choices(paths, sizes)[0]
        place, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        flip(path, place, bit)
        try:
            workspace.verify_snapshot()
            taken.append(f"{path.relative_to(folder)}:{place}:{bit}")
        except ArtifactError:
            refused += 1
        flip(path, place, bit)
    workspace.verify_snapshot()
    return {"flips": given.flips, "refused": refused, "taken": taken}


def flip(path: Path, place: int, bit: int) -> None:
    """Turn one bit of a file."""
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


if __name__ == "__main__":
    main()
