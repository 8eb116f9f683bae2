"""What is wrong with the input is told in one sentence with exit code 2, and nothing half-written stays."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from configs.errors import StorageError
from serve.cli import app
from serve.commands.shared import interruptible
from serve.outputs import output
from serve.snapshot import Snapshot

HEADER = "customer_id,timestamp,shop,amount"
GOOD = [f"{c},2024-01-{d:02d}T10:00:00,{'ab'[d % 2]},{c + d}.5" for c in range(1, 9) for d in range(1, 11)]
RECIPE = "sources:\n- name: till\n  path: events.csv\n  categorical: [shop]\n  numeric: [amount]\n"


def refused(*words: object, code: int = 2) -> str:
    """Run a command that must be refused, and return what it says."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def write(folder: Path, rows: list[str] = GOOD, header: str = HEADER, recipe: str = RECIPE) -> Path:
    (folder / "events.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    return folder / "recipe.yaml"


def parts(root: Path) -> list[str]:
    """What stands in a workspace beside its folders, lock and catalogue."""
    found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return [name for name in found if not name.startswith(("lock", "catalogue.db"))]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("sources: []\n", ["1 fault", "sources"]),
        ("until: 2024-01-01\n", ["sources: missing, must be given"]),
        (RECIPE + "tain: {}\n", ["tain: unknown key; did you mean 'train'?"]),
        (RECIPE + "train: {widht: 32}\n", ["train.widht: unknown key; did you mean 'width'?"]),
        (RECIPE + "train: {width: 33}\nseed: x\nsegment: 1\n", ["3 faults", "train.width", "seed", "segment: unknown"]),
        (RECIPE + "base: tiny\n", ["base: no recipe 'tiny'; accepted: default, demo, large, small"]),
        (RECIPE.replace("events.csv", "events.txt"), ["`path` must end in one of"]),
        (RECIPE.replace("shop", "customer_id"), ["column 'customer_id' is the customer"]),
        (RECIPE + RECIPE.split("\n", 1)[1], ["source name 'till' is given twice"]),
    ],
)
def test_a_faulty_recipe(tmp_path: Path, recipe: str, words: list[str]) -> None:
    path = write(tmp_path, recipe=recipe)
    told = refused("run", path, "--workspace", tmp_path / "ws")
    assert all(word in told for word in [str(path), *words])
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (GOOD, HEADER.replace("shop", "store"), ["shop", "events.csv", "store"]),
        (GOOD, HEADER.replace("timestamp", "when"), ["timestamp", "events.csv"]),
        ([], HEADER, ["the event log is empty", "till"]),
        ([row.replace("2024-01", "soon") for row in GOOD], HEADER, ["till", "time"]),
        ([row.rsplit(",", 1)[0] + ",dear" for row in GOOD], HEADER, ["till", "column 'amount'", "accepted: numbers"]),
        ([row.rsplit(",", 1)[0] + ",NaN" for row in GOOD], HEADER, ["till", "NaN"]),
        ([row.rsplit(",", 1)[0] + ",inf" for row in GOOD], HEADER, ["till", "infinite"]),
        ([row.replace("2024", "2924") for row in GOOD], HEADER, ["till", "future"]),
    ],
    ids=["column", "time column", "empty", "time type", "amount type", "NaN", "infinite", "future"],
)
def test_events_that_nothing_can_be_made_from(tmp_path: Path, rows: list[str], header: str, words: list[str]) -> None:
    recipe = write(tmp_path, rows, header)
    for command in (("data", "check", recipe), ("run", recipe, "--workspace", tmp_path / "ws")):
        told = refused(*command)
        assert all(word in told for word in words), told
    assert parts(tmp_path / "ws") == []


def test_bad_rows_among_good_ones_go_to_quarantine(tmp_path: Path) -> None:
    bad = [
        "9,2924-01-01,a,1",
        "9,2024-01-01,a,NaN",
        "9,2024-01-01,a,-inf",
        ",2024-01-01,a,1",
        "9,never,a,1",
        "9,2024-01-01,a,x",
    ]
    recipe = write(tmp_path, [*GOOD, *bad, "10,2024-01-01,a,1"])
    result = CliRunner().invoke(app, ["data", "prepare", str(recipe), "-w", str(tmp_path / "ws"), "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["read"], report["kept"], report["quarantined"]) == (len(GOOD) + 7, len(GOOD) + 1, 6)
    assert report["one_event_customers"] == 1
    quarantine = pl.read_parquet(Path(report["folder"]) / "quarantine.parquet")
    assert len(quarantine) == 6
    assert CliRunner().invoke(app, ["data", "check", str(recipe)]).exit_code == 0


def test_duplicate_events_go_to_quarantine(tmp_path: Path) -> None:
    rows = [f"{row},{i}" for i, row in enumerate(GOOD)]
    recipe = write(tmp_path, [*rows, rows[3]], HEADER + ",line", RECIPE + "  event_id: line\n")
    result = CliRunner().invoke(app, ["data", "check", str(recipe), "--json"])
    report = json.loads(result.stdout)
    assert (report["kept"], report["quarantined"]) == (len(GOOD), 1)
    assert report["sources"][0]["reasons"][0]["reason"] == "duplicate"


def test_too_few_customers_to_train(tmp_path: Path) -> None:
    told = refused("run", write(tmp_path), "--workspace", tmp_path / "ws")
    assert "8 customers" in told
    assert not any(name.startswith(("models", "snapshots", "staging")) for name in parts(tmp_path / "ws"))


@pytest.mark.parametrize(
    ("content", "size", "words"),
    [
        (None, 120, ["no such file", "customer_id"]),
        ("", 120, ["is empty", "customer_id"]),
        ("household\n1\n", 120, ["no column customer_id", "household"]),
        (
            "customer_id\n5\n6\n7\n",
            120,
            ["0 of 3 seeds are known customers (3 unknown", "at least 25", "Unknown are '5', '6', '7'"],
        ),
        ("few", 120, ["20 of 20 seeds are known customers", "at least 25"]),
        ("enough", 99, ["an audience of 99", "the least is 100"]),
        ("enough", 100_000, ["an audience of 100000", "eligible", "at most"]),
    ],
    ids=["no file", "empty", "no column", "unknown", "few", "small", "large"],
)
def test_an_audience_that_cannot_be_built(
    small_workspace, tmp_path: Path, content: str | None, size: int, words: list[str]
) -> None:
    seeds = tmp_path / "seeds.csv"
    if content in ("few", "enough"):
        ids = Snapshot.load(small_workspace.workspace).embeddings.customers.head(20 if content == "few" else 40)
        content = "\n".join(["customer_id", *map(str, ids)])
    if content is not None:
        seeds.write_text(content, encoding="utf-8")
    out, scores = tmp_path / "out.csv", tmp_path / "scores.csv"
    words_given = ("audience", "--seeds", seeds, "--size", size, "--out", out, "--all-scores", scores)
    told = refused(*words_given, "--workspace", small_workspace.root)
    assert all(word in told for word in words), told
    assert [path.name for path in tmp_path.iterdir()] in ([], ["seeds.csv"])


def test_places_where_nothing_can_be_written(small_workspace, tmp_path: Path) -> None:
    where = ("--workspace", small_workspace.root)
    assert "does not exist" in refused("export", "embeddings", tmp_path / "no" / "out.parquet", *where)
    assert "is a folder" in refused("export", "segments", tmp_path, *where)
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "a file is in the way" in refused("run", write(tmp_path), "--workspace", tmp_path / "file")


def test_a_file_that_is_read_is_not_overwritten_and_names_tell_the_format(small_workspace, tmp_path: Path) -> None:
    where = ("--workspace", small_workspace.root)
    ids = Snapshot.load(small_workspace.workspace).embeddings.customers.head(40)
    content = "\n".join(["customer_id", *map(str, ids)])
    (tmp_path / "seeds.csv").write_text(content, encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("seeds.csv")
    make = ("audience", "--seeds", tmp_path / "seeds.csv", "--size", 120, *where, "--out")
    for out in ("seeds.csv", "link.csv"):
        assert "both to be read and to be written" in refused(*make, tmp_path / out)
    scores = ("--all-scores", tmp_path / "seeds.csv")
    assert "both to be read and to be written" in refused(*make, tmp_path / "out.csv", *scores)
    assert "must end in .csv or .parquet" in refused(*make, tmp_path / "out.xlsx")
    assert "must end in .parquet" in refused("export", "embeddings", tmp_path / "out.csv", *where)
    assert "must end in .parquet" in refused("export", "segments", tmp_path / "out.csv", *where)
    drawn = ("evaluate", "--labels", tmp_path / "seeds.csv", "--picture", tmp_path / "picture.xyz", *where)
    assert "must end in .png" in refused(*drawn)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "seeds.csv"]
    assert (tmp_path / "seeds.csv").read_text(encoding="utf-8") == content


def test_unknown_names(small_workspace, tmp_path: Path) -> None:
    where = ("--workspace", small_workspace.root)
    assert "no customer 'nobody'" in refused("similar", "nobody", *where)
    known = str(Snapshot.load(small_workspace.workspace).customer(0))
    assert "--segments: 'gold' is given" in refused("similar", known, "--segments", "gold", *where)
    assert "segment 99 is not" in refused("similar", known, "--not-segments", "99", *where)
    assert "both in segments" in refused("similar", known, "--segments", "-1", "--not-segments", "-1", *where)
    assert "no snapshot 's-none'" in refused("verify", "--snapshot", "s-none", *where)
    assert "not a kinfolk workspace" in refused("segments", "--workspace", tmp_path / "none")
    assert "no API key 'none'" in refused("keys", "revoke", "none", *where)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.parametrize(
    "name", ["embeddings/vectors.arrow", "segments/members.arrow", "behaviour/matrix.npy", "manifest.json"]
)
def test_a_damaged_snapshot_is_refused_by_name(workspace_copy, tmp_path: Path, name: str, damage: str) -> None:
    file = workspace_copy.workspace.snapshot_folder() / name
    if damage == "remove":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    assert name.rsplit("/", 1)[-1] in refused("verify", "--workspace", workspace_copy.root)
    told = refused("similar", "1", "--workspace", workspace_copy.root)
    assert name.rsplit("/", 1)[-1] in told


def test_a_workspace_in_use(workspace_copy) -> None:
    with workspace_copy.workspace.lock():
        for command in ("run", "train", ("data", "prepare")):
            words = command if isinstance(command, tuple) else (command,)
            told = refused(*words, workspace_copy.recipe, "--workspace", workspace_copy.root, code=75)
            assert f"in use by another job (process {os.getpid()})" in told


@pytest.mark.parametrize("words", [("export", "embeddings"), ("export", "segments")])
def test_a_full_disk_leaves_nothing(small_workspace, tmp_path: Path, words: tuple[str, str]) -> None:
    out = tmp_path / "out.parquet"
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", *words, str(out), "--workspace", str(small_workspace.root)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),  # as near to a full disk as can be
    )
    assert done.returncode == 2, done.stderr
    assert "size limit" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made_of_it", [ValueError("of a library's own"), SystemExit(1), KeyboardInterrupt()])
def test_ctrl_c_stays_what_it_is_whatever_a_library_makes_of_it(made_of_it: BaseException) -> None:
    before = signal.getsignal(signal.SIGINT)

    def library() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise made_of_it from None

    with pytest.raises(KeyboardInterrupt), interruptible():
        library()
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(SystemExit), interruptible():
        sys.exit(1)


def test_a_disk_that_takes_nothing_is_told_of_the_file_that_was_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=f"^{tmp_path}/out.csv: the disk is read-only"),
        output(tmp_path / "out.csv") as path,
    ):
        raise OSError(errno.EROFS, "Read-only file system", str(path))
    assert list(tmp_path.iterdir()) == []
