"""Reading and checking over a Ray cluster: shards are handed to actors, and put together to the scan of one machine.

What goes through Ray is the number of a shard. Events are read from disk by every actor, and shards are written beside
the logs, so every node has to see both under the same path.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import polars as pl

from configs.errors import ArtifactError
from configs.progress import Progress
from eventlog.config import EventLogConfig
from eventlog.earlier import Earlier
from eventlog.quarantine import NOTHING, Quarantine
from eventlog.read import grouped
from eventlog.run import SHARDS, Engine, settings_of
from eventlog.scan import FileCounts, Limits, Reading, Scan, least, quarantined
from eventlog.shards import AGAIN, Part, Shard, Shards, in_pieces
from eventlog.spool import Block
from eventlog.tables import Table
from eventlog.watermark import Prints
from store.ray_cluster import ray_cluster
from store.ray_work import hand_out, seen_by_workers
from store.shared import attempts, sweep_among_others
from store.threads import set_threads


@dataclass(frozen=True)
class Work:
    """What an actor needs to begin."""

    shards: Shards
    again: bool
    """Whether files are read a second time, for their duplicates."""
    threads: int


@dataclass(frozen=True)
class Repeats:
    """What became of the shards."""

    found: int
    """Were finished before."""
    made: int
    """Were made now."""
    repeated: int
    """Were begun more often than once in all, since a worker was lost."""


class Reader:
    """An actor that reads shard after shard."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def ready(self) -> None:
        """Look whether the workspace is there."""
        set_threads(self.work.threads)
        seen_by_workers(self.work.shards.folder)

    def do(self, index: int) -> None:
        """Make the shard of this number, unless another actor has finished it meanwhile."""
        shards = self.work.shards
        shard = shards.every[index]
        if self.work.again:
            if not shards.finished_again(shard):
                shards.make_again(shard)
        elif not shards.finished(shard):
            shards.make(shard)


def over_ray(erased: str, told: Callable[[Repeats], None] | None = None) -> Engine:
    """How `eventlog.run.run` reads its sources over Ray; shards lie beside the logs until one is finished.

    A rerun, or another worker in the place of a lost one, makes those alone that are not finished. `erased` tells one
    state of the register of erasures from another. `told` hears what became of the shards.
    """

    def scan(
        config: EventLogConfig,
        tables: tuple[Table, ...],
        prints: Prints,
        folder: Path,
        now: int,
        progress: Progress,
        earlier: Earlier | None,
    ) -> Scan:
        limits = Limits.of(config, now, earlier)
        place = folder.parent.resolve() / SHARDS
        place.mkdir(exist_ok=True)
        sweep_among_others(place)
        shards = Shards.of(place, tables, prints, limits, [settings_of(config), erased])
        with progress.task("Reading on the cluster", len(shards.every)) as advance:
            repeats = _make(shards, [s for s in shards.every if not shards.finished(s)], False, advance)
        if told is not None:
            told(repeats)
        return _assembled(shards, tables, folder, progress)

    return scan


def _make(shards: Shards, left: list[Shard], again: bool, advance: Callable[[float], None]) -> Repeats:
    """Have shards made by actors."""
    advance(len(shards.every) - len(left))
    before = attempts(shards.folder)
    if left:
        work = Work(shards, again, set_threads())
        with ray_cluster() as ray:
            for _ in hand_out(ray, Reader, work, [shard.index for shard in left], 1):
                advance(1)
    return Repeats(len(shards.every) - len(left), len(left), attempts(shards.folder) - before - len(left))


def _assembled(shards: Shards, tables: tuple[Table, ...], folder: Path, progress: Progress) -> Scan:
    """The scan of all sources. Raises ArtifactError where a shard is damaged."""
    with quarantined(folder) as (result, quarantine):
        for table in tables:
            mine = [shard for shard in shards.every if shard.table.index == table.index]
            for shard in mine:
                if not shards.finished(shard):
                    raise ArtifactError(f"{shards.place(shard)}: is damaged; start the same command again")
            parts = [Part.load(shards.place(shard)) for shard in mine]
            reading = Reading.of(table, shards.limits, folder)
            for part in parts:
                _adopt(reading, part)
            bad, lines = map(Part.bad, parts), map(Part.lines, parts)
            _quarantine(quarantine, shards.limits.rows, parts, bad, lines)

            def tell(dropped: np.ndarray, mine: list[Shard] = mine, parts: list[Part] = parts) -> None:
                _tell_duplicates(shards, mine, parts, dropped, quarantine, progress)

            reading.finish(result, tell)
    return result


def _adopt(reading: Reading, part: Part) -> None:
    """Take what a shard found as if it had been read here."""
    counts, table = reading.counts, reading.table
    counts.rows += part.rows
    counts.after_until += part.after_until
    counts.erased += part.erased
    counts.reasons.update(part.reasons)
    for label, (rows, pending) in part.files.items():
        file = counts.files.setdefault(label, FileCounts())
        file.rows += rows
        file.pending += pending
    for number, rows in enumerate(part.blocks):
        reading.blocks.append(Block(part.folder / f"block-{table.index}-{number:06d}.arrow", table, rows))
    if counts.ids is not None:
        counts.ids.adopt(part.folder / f"ids-{table.index}", sum(part.blocks))
    erased = part.erased_rows()
    if len(erased):
        reading.erased.append(erased + reading.rows)
    reading.erased_lines += part.erased_lines
    reading.rows += sum(rows for rows, _ in part.pieces)
    if part.future_from is not None:
        reading.future_from = least(reading.future_from, part.future_from)


def _quarantine(quarantine: Quarantine, rows: int, parts: list[Part], *kinds: Iterable[list[pl.DataFrame]]) -> None:
    """Put rows of all parts into quarantine by the chunks of one machine; of each chunk those of one kind together.

    Each kind holds a part's rows, piece by piece, as they are come to.
    """
    pieces = (
        (about, frames)
        for part, *lists in zip(parts, *kinds, strict=True)
        for about, *frames in zip(part.pieces, *lists, strict=True)
    )
    for chunk in grouped(pieces, rows, lambda piece: piece[0]):
        for frames in zip(*(frames for _, frames in chunk), strict=True):
            quarantine.append(pl.concat(frames))


def _tell_duplicates(
    shards: Shards,
    mine: list[Shard],
    parts: list[Part],
    dropped: np.ndarray,
    quarantine: Quarantine,
    progress: Progress,
) -> None:
    """Have the shards with duplicates read a second time, and put these into quarantine."""
    ends = list(accumulate(sum(part.blocks) for part in parts))
    here = [dropped[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    some = [shard for shard, told in zip(mine, here, strict=True) if told.any()]
    for shard, told in zip(mine, here, strict=True):
        np.save(shards.told(shard), told)
    with progress.task("Reading duplicates on the cluster", len(shards.every)) as advance:
        _make(shards, [shard for shard in some if not shards.finished_again(shard)], True, advance)
    frames = (
        in_pieces(shards.place_again(shard) / AGAIN, len(part.pieces))
        if shard in some
        else [NOTHING] * len(part.pieces)
        for shard, part in zip(mine, parts, strict=True)
    )
    _quarantine(quarantine, shards.limits.rows, parts, frames)
