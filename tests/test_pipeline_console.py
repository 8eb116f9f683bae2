"""Progress in the terminal, files for the user, threads."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress as Display

from serve import console_progress
from serve.commands.shared import table, written
from serve.console_progress import Bars, Lines
from serve.outputs import output


def test_a_long_task_stays_as_a_finished_line_and_a_short_one_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_progress, "BRIEF", 0.05)
    shown = io.StringIO()
    with Display(console=Console(file=shown, force_terminal=True, width=80)) as display:
        with Bars(display).task("Brief", total=2) as advance:
            advance(2)
        with Bars(display).task("Lasting", total=None):
            time.sleep(0.06)
        with Bars(display).task("Counted", total=4) as advance:
            advance(4)
            time.sleep(0.06)
        assert [(task.description, task.percentage) for task in display.tasks] == [("Lasting", 100), ("Counted", 100)]


def test_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_progress, "BRIEF", 0.02)
    monkeypatch.setattr(console_progress, "BETWEEN_LINES", 0.01)
    told = io.StringIO()
    with Lines(told).task("Training", total=10) as advance:
        time.sleep(0.03)
        advance(5)
    with Lines(told).task("Nothing", total=None):
        pass
    assert told.getvalue() == "Training: 50% after 0 s\nTraining: done in 0.0 s\n"


def test_an_output_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError), output(out) as path:
        path.write_text("half \ud800", encoding="utf-8")
    assert out.read_text(encoding="utf-8") == "old"
    with output(out) as path:
        assert path.suffix == ".csv"
        path.write_text("new", encoding="utf-8")
    assert out.read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_tables_hold_what_they_were_given() -> None:
    shown = io.StringIO()
    Console(file=shown, width=100).print(table(("name", "n"), [("[red]x", 1234), ("y", None)]))
    assert shown.getvalue().splitlines() == ["name        n", "[red]x  1,234", "y            "]
    assert [written(cell) for cell in (True, False, 0.12345, None, "z")] == ["yes", "no", "0.123", "", "z"]


def test_a_number_of_threads_that_the_user_set_stays() -> None:
    code = (
        "from store.threads import set_threads; import os\n"
        "assert set_threads(1) == 1; assert os.environ['OMP_NUM_THREADS'] == '1'\n"
        "import torch; assert torch.get_num_threads() == 1\n"
        "assert set_threads() == 1; assert set_threads(2) == 2; assert torch.get_num_threads() == 2\n"
    )
    clean = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, env=clean, cwd=Path(__file__).parent)
