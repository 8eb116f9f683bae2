"""How fast a full check of an artifact is: `python -m bench.verify [--megabytes N] [--files N] [--folder DIR]`.

Prints one JSON line. The files were just written, so the figure is that of hashing and of the page cache, not of a
cold disk; `--folder` checks a snapshot or another artifact that stands.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from bench.measure import measured
from store.artifact import create, read_manifest, verify


def main() -> None:
    """Write an artifact (or take one), check it shallowly and fully, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="an artifact that stands, such as workspace/snapshots/s-…")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder, write_s = options.folder, None
        if folder is None:
            folder = Path(home) / "artifact"
            with measured() as written:
                write(folder, options.megabytes, options.files)
            write_s = round(written.wall_s, 4)
        manifest = read_manifest(folder)
        with measured() as shallow:
            verify(folder, manifest.kind, manifest.version, deep=False)
        with measured() as deep:
            verify(folder, manifest.kind, manifest.version)
    megabytes = sum(entry["size"] for entry in manifest.files.values()) / 1e6
    figures = {
        "stage": "verify",
        "files": len(manifest.files),
        "megabytes": round(megabytes, 3),
        "write_and_seal_s": write_s,
        "shallow_s": round(shallow.wall_s, 5),
        "wall_s": round(deep.wall_s, 4),
        "cpu_s": round(deep.cpu_s, 4),
        "megabytes_per_s": round(megabytes / deep.wall_s, 1),
        "peak_rss_mb": round(deep.peak_rss_mb, 1),
    }
    print(json.dumps(figures))


def write(folder: Path, megabytes: int, files: int) -> None:
    """An artifact of `files` files of random bytes."""
    random = np.random.default_rng(0)
    with create(folder, "bench", 1, "bench") as artifact:
        for i in range(files):
            with artifact.path(f"part-{i}.bin").open("wb") as handle:
                for _ in range(max(1, megabytes // files)):
                    handle.write(random.bytes(1_000_000))


if __name__ == "__main__":
    main()
