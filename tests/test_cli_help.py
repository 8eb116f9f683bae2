"""The command line as a whole: quick help, version, exit codes."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from configs.errors import KinfolkError
from serve.commands.shared import Group

WORDS = {"run", "export", "audience", "data", "simulate", "train", "evaluate", "similar", "why", "segments", "history"}
WORDS |= {
    "rollback",
    "verify",
    "keys",
    "serve",
    "demo",
    "objections",
    "saved",
    "effect",
    "forget",
    "erasures",
    "resend",
}
HEAVY = ("torch", "faiss", "polars", "numpy", "pydantic", "sqlalchemy", "fastapi", "pytorch_lightning")


def test_help_is_quick_and_loads_no_torch() -> None:
    code = (
        "import sys, time; sys.argv = ['kinfolk', '--help']\n"
        "from serve.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stopped:\n    assert stopped.code == 0\n"
        f"assert not [name for name in {HEAVY!r} if name in sys.modules], sys.modules.keys()\n"
    )
    took = []
    for _ in range(5):
        # processor time, since the machine may be busy with other tests: on an idle one it is what a user waits for
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.5
    assert all(f"  {word} " in done.stdout for word in WORDS)


def test_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert done.stdout.startswith("kinfolk 0.")


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=Group, pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None: ...

    return app


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KinfolkError("the moon is gone; wait for it"), 2, "Error: the moon is gone; wait for it\n"),
        (OSError(28, "No space left on device", "/some/file"), 2, "/some/file: the disk is full"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError at "),
        (MemoryError(), 1, "out of memory"),
        (typer.Exit(5), 5, ""),
    ],
)
def test_errors_become_one_sentence_and_an_exit_code(error: Exception, code: int, words: str) -> None:
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFOLK_DEBUG", "1")
    assert isinstance(CliRunner().invoke(failing(ZeroDivisionError()), ["fail"]).exception, ZeroDivisionError)


def test_wrong_usage_exits_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", "rum"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 2
    assert "rum" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_fault(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


def test_ctrl_c_exits_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serve.cli", "simulate", "--customers", "20000", "--days", "3000", "--out", "bank"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "bank").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
