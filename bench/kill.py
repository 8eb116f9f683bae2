"""Does the demonstration end in the same snapshot, however often it is killed? `python -m bench.kill [--delay S]`.

Starts `kinfolk demo --no-serve`, kills it with SIGKILL in every stage once, `--delay` seconds after the stage's first
sign of life (a line of its progress, or a new folder among the unfinished ones), and starts it again until it ends.
Then runs it once undisturbed in another workspace. Prints one JSON line: the stages it was killed in, both snapshots,
and every file of the snapshot, the event log and the model whose bytes differ.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLL_S = 0.02
STAGE = re.compile(r"^([A-Z][a-z ]+):", re.MULTILINE)
"""A line of progress."""


def signs(workspace: Path, log: Path) -> set[str]:
    """The stages that have shown a sign of life so far."""
    staging = workspace / "staging"
    folders = {re.sub(r"[-.].*", "", path.name) for path in staging.iterdir()} if staging.is_dir() else set()
    return folders | set(STAGE.findall(log.read_text(encoding="utf-8")))


def run(workspace: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start the demonstration."""
    kinfolk = Path(sys.executable).with_name("kinfolk")
    command = [kinfolk, "demo", "--no-serve", "--workspace", str(workspace)]
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def killed_in_every_stage(workspace: Path, log: Path, delay: float) -> list[str]:
    """Kill in every stage once, go on until the demonstration ends by itself; the stages in order."""
    seen: list[str] = []
    while True:
        process = run(workspace, log)
        while process.poll() is None:
            new = sorted(signs(workspace, log) - set(seen))
            if new:
                seen += new
                time.sleep(delay)
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(POLL_S)
        if process.wait() == 0:
            return seen
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(log.read_text(encoding="utf-8"))


def prints(workspace: Path) -> dict[str, str]:
    """SHA-256 of every file of what was published; the logs of training hold times and are left out."""
    files = [path for part in ("snapshots", "eventlog", "models") for path in (workspace / part).rglob("*")]
    names = {path.relative_to(workspace).as_posix(): path for path in files if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(names.items())
        if not name.startswith("models/logs/")
    }


def main() -> None:
    """Kill, run undisturbed, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.15)
    delay = parser.parse_args().delay
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        stages = killed_in_every_stage(home / "killed", home / "log", delay)
        undisturbed = run(home / "undisturbed", home / "log").wait()
        one, other = prints(home / "killed"), prints(home / "undisturbed")
        names = {name: os.listdir(home / name / "snapshots") for name in ("killed", "undisturbed")}
    differ = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    print(json.dumps({"stages": stages, "exit": undisturbed, "snapshots": names, "files": len(one), "differ": differ}))


if __name__ == "__main__":
    main()
