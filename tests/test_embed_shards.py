"""Shards: the local engine's blocks made elsewhere, with the same bytes, whoever makes them and however often."""

import shutil
from pathlib import Path

import pytest
from histories import events, prepared, tiny

import embed.run
import train.run
from configs.errors import ArtifactError
from configs.progress import Advance
from embed.artifact import Draft, Embeddings
from embed.config import EmbedConfig
from embed.shards import HIDDEN, STATES, VECTORS, Shards, assemble, make, missing
from eventlog.sequences import EventLog
from store.shared import attempts
from train.artifact import Model

SIZE = 32


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLog, Model, Path]:
    """A log, a model, and what the local engine makes of them in blocks of SIZE customers."""
    root = tmp_path_factory.mktemp("shards")
    log, workspace = prepared(events(), root)
    model = train.run.run(tiny(), log, workspace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed.run, "BLOCK", SIZE)
        embed.run.run(EmbedConfig(), model, log, root / "local")
    return log, model, root / "local"


def put_together(log: EventLog, model: Model, shards: Shards, folder: Path) -> Embeddings:
    """The embeddings of finished shards."""

    def fill(config: EmbedConfig, model: Model, log: EventLog, draft: Draft, advance: Advance) -> None:
        assemble(model, log, shards, draft)

    return embed.run.run(EmbedConfig(), model, log, folder, fill=fill)


def files(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_have_the_bytes_of_the_local_engine(made: tuple[EventLog, Model, Path], tmp_path: Path) -> None:
    log, model, local = made
    shards = Shards.of(tmp_path / "shards", log.n_customers, SIZE)
    assert [(shard.start, shard.stop) for shard in shards.every][-1] == (96, 120)
    for shard in reversed(shards.every):  # in any order
        make(EmbedConfig(), model, log, shards, shard)
    found = put_together(log, model, shards, tmp_path / "embeddings")
    assert len(found.states.rows) > 0
    assert len(found.hidden.rows) > 0
    assert files(found.folder) == files(local)


def test_only_what_is_missing_or_damaged_is_made_again(made: tuple[EventLog, Model, Path], tmp_path: Path) -> None:
    log, model, local = made
    shards = Shards.of(tmp_path / "shards", log.n_customers, SIZE)
    for shard in shards.every:
        make(EmbedConfig(), model, log, shards, shard)
    assert not list(missing(shards, model, log))
    shutil.rmtree(shards.place(shards.every[1]))
    damaged = shards.place(shards.every[2]) / VECTORS
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    left = list(missing(shards, model, log))
    assert [shard.index for shard in left] == [1, 2]
    with pytest.raises(ArtifactError, match="000001"):
        put_together(log, model, shards, tmp_path / "embeddings")
    for shard in left:
        make(EmbedConfig(), model, log, shards, shard)
    assert files(put_together(log, model, shards, tmp_path / "embeddings").folder) == files(local)
    assert attempts(shards.folder) == len(shards.every) + 2


def test_a_worker_given_up_for_lost_changes_nothing(made: tuple[EventLog, Model, Path], tmp_path: Path) -> None:
    log, model, _ = made
    shards = Shards.of(tmp_path / "shards", log.n_customers, SIZE)
    make(EmbedConfig(), model, log, shards, shards.every[0])
    before = {name: (shards.place(shards.every[0]) / name).stat().st_ino for name in (VECTORS, STATES, HIDDEN)}
    make(EmbedConfig(), model, log, shards, shards.every[0])
    after = {name: (shards.place(shards.every[0]) / name).stat().st_ino for name in (VECTORS, STATES, HIDDEN)}
    assert before == after
    assert not [path for path in shards.folder.iterdir() if path.name.startswith(".")]


def test_shards_of_another_log_are_not_taken(made: tuple[EventLog, Model, Path], tmp_path: Path) -> None:
    log, model, _ = made
    other, _ = prepared(events(seed=1), tmp_path / "other")
    shards = Shards.of(tmp_path / "shards", log.n_customers, SIZE)
    make(EmbedConfig(), model, log, shards, shards.every[0])
    assert shards.finished(shards.every[0], model, log)
    assert not shards.finished(shards.every[0], model, other)
