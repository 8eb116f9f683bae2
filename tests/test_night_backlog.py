"""Which nights a webhook is told of: this one, and earlier ones whose delivery began and did not end."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import serve.aftermath
from configs.progress import SILENT
from serve.aftermath import Setting, delivered
from serve.webhook_config import WebhookConfig
from store.catalogue import Catalogue
from store.workspace import Workspace


def test_a_webhook_that_is_new_is_not_told_of_nights_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.create(tmp_path)
    nights = [workspace.nights / f"2025-02-0{day}-s-x" for day in (1, 2, 3)]
    for folder in nights:
        folder.mkdir(parents=True)
        (folder / "events.jsonl").write_text("", encoding="utf-8")
    (nights[1] / "delivery.json").write_text("{}", encoding="utf-8")
    sent: list[Path] = []

    def deliver(events: Path, *_: Any, **__: Any) -> SimpleNamespace:
        sent.append(events.parent)
        return SimpleNamespace(done=True, reason=None)

    monkeypatch.setattr(serve.aftermath, "deliver", deliver)
    night = SimpleNamespace(webhook=WebhookConfig(url="https://bank.example/events"))
    with Catalogue(workspace.catalogue) as catalogue:
        recipe: Any = SimpleNamespace(night=night)
        watch: Any = None
        assert delivered(Setting(recipe, workspace, catalogue, "cli", watch, SILENT), nights[2]) == []
    assert sent == nights[1:]
