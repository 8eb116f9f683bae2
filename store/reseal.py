"""Replacing an artifact by itself with less in it: the same kind, version, key and parents, other files and counts."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from store.artifact import Manifest, seal


def reseal(room: Path, before: Manifest, erased: int, counts: Mapping[str, int], **figures: Any) -> Manifest:
    """Seal a replacement as the artifact that it replaces, with `figures.erased`: customers erased from it so far."""
    told = {**before.figures, **figures, "erased": int(before.figures.get("erased", 0)) + erased}
    return seal(room, replace(before, counts=dict(counts), figures=told))


def link_others(folder: Path, room: Path, written: Collection[str]) -> None:
    """Give a replacement the files that do not change, by a second name for the same bytes."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inside = path.relative_to(folder).as_posix()
        if inside not in written:
            (room / inside).parent.mkdir(parents=True, exist_ok=True)
            os.link(path, room / inside)


def write_json(path: Path, value: Any) -> None:
    """Write JSON as artifacts hold it."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
