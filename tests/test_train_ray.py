"""Training that is given to another machine: the bytes of this one, whoever dies or only seems to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from histories import events, prepared, tiny
from ray_in_turn import in_turn

import train.ray_engine
import train.run
from configs.progress import Advance
from eventlog.sequences import EventLog
from store.workspace import Workspace
from train.begun import begun, claim, of_worker
from train.ray_engine import Trainer, over_ray

LONGER = tiny(epochs=4, patience=4)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    """A prepared log."""
    return prepared(events(), tmp_path_factory.mktemp("log"))[0]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Meanwhile:
    """Progress in which something else is done, once, as soon as it can be."""

    def __init__(self, can: Callable[[], bool], do: Callable[[], None]) -> None:
        self.can, self.do, self.done = can, do, False

    @contextmanager
    def task(self, description: str, total: float | None) -> Iterator[Advance]:
        """A task at every step of which there is a look whether it can be done."""
        yield lambda units: self._look()

    def _look(self) -> None:
        if not self.done and self.can():
            self.done = True
            self.do()


@pytest.mark.slow
def test_a_worker_that_was_given_up_for_lost_and_lives_changes_nothing(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = train.run.run(LONGER, log, Workspace.create(tmp_path / "local"))
    workspace, epochs = Workspace.create(tmp_path / "ray"), list[int]()
    in_turn(monkeypatch)
    do, make = Trainer.do, train.run.make

    def another() -> None:
        worker = Trainer(lost[0].work)
        worker.ready()
        do(worker, 0)

    def noted(order: train.run.Order, scratch: Path, place: Path, progress: object) -> None:
        from train.checkpoint import resumable

        last = resumable(scratch)
        epochs.append(len(last.history) if last else 0)
        make(order, scratch, place, meanwhile)

    def lives_on(self: Trainer, index: int) -> None:
        lost.append(self)
        with suppress(Exception):  # whatever it runs into, nobody listens
            do(self, index)

    lost: list[Trainer] = []
    meanwhile = Meanwhile(lambda: bool(list(workspace.models.glob(".*.training/last.ckpt"))), another)
    monkeypatch.setattr(train.ray_engine, "make", noted)
    monkeypatch.setattr(Trainer, "do", lives_on)
    found = train.run.run(LONGER, log, workspace, engine=over_ray)
    assert epochs == [0, 1], "the second worker goes on after the first one's epoch"
    assert files(found.folder) == files(local.folder)
    assert list(workspace.models.glob(".*")) == []


def test_what_was_begun_here_is_gone_on_with_there_and_the_other_way_round(log: EventLog, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    scratch = workspace.models / f".{train.run.model_key(LONGER, log)}.training"
    there, elsewhere = of_worker(scratch, "there"), of_worker(scratch, "elsewhere")
    for own in (there, elsewhere, scratch):
        for place in begun(scratch) or [scratch]:
            place.mkdir(exist_ok=True)
            (place / "last.ckpt").write_bytes(b"kept")
            (place / ".last.ckpt").write_bytes(b"half")
            (place / "model").mkdir()
        claim(scratch, own)
        assert begun(scratch) == [own]
        assert files(own) == {"last.ckpt": b"kept"}
