"""The examples of deployment: each is sound as far as that can be seen here, and calls what the command line has."""

import configparser
import importlib.util
import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from serve.cli import app

REPOSITORY = Path(__file__).parent.parent
DEPLOY = REPOSITORY / "docs" / "deploy"
NIGHTLY = DEPLOY / "systemd" / "kinfolk-nightly.service"
ENVIRONMENT = {"KINFOLK_WORKSPACE", "KINFOLK_THREADS", "KINFOLK_CATALOGUE", "KINFOLK_WEBHOOK_SECRET", "NUMBA_CACHE_DIR"}
ENVIRONMENT |= {"KINFOLK_MIRROR"}
Words = list[str]


def check_call(words: Words) -> None:
    """That the command exists, with these options, and that nothing it needs is missing."""
    command: Any = typer.main.get_command(app).commands[words[0]]
    options = {name: param for param in command.params for name in param.opts if name.startswith("-")}
    arguments = [param for param in command.params if not any(name.startswith("-") for name in param.opts)]
    rest, given = iter(words[1:]), []
    for word in rest:
        if word.startswith("-"):
            assert word in options, f"kinfolk {words[0]} has no {word}"
            if not options[word].is_flag:
                next(rest)
        else:
            given.append(word)
    assert len(given) == len([argument for argument in arguments if argument.required]), words


def after_kinfolk(line: str) -> Words:
    words = shlex.split(line.split(">>")[0])
    at = next(i for i, word in enumerate(words) if Path(word).name == "kinfolk")
    return words[at + 1 :]


def unit(path: Path) -> configparser.ConfigParser:
    """A unit of systemd; values of keys that are given twice are joined by lines."""

    class Joined(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if isinstance(value, list) and key in self and isinstance(self[key], list):
                value = self[key] + value
            super().__setitem__(key, value)

    parser = configparser.ConfigParser(strict=False, interpolation=None, dict_type=Joined)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path, encoding="utf-8")
    return parser


def test_units_of_systemd_are_what_systemd_takes(tmp_path: Path) -> None:
    units = sorted((DEPLOY / "systemd").iterdir())
    assert [path.name for path in units] == [
        "kinfolk-alert@.service",
        "kinfolk-nightly.service",
        "kinfolk-nightly.timer",
        "kinfolk-serve.service",
    ]
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        return  # the other tests look at the fields
    command = tmp_path / "kinfolk"
    command.write_text("#!/bin/sh\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    for path in units:
        text = path.read_text(encoding="utf-8").replace("/opt/kinfolk/bin/kinfolk", str(command))
        (tmp_path / path.name.replace("@", "@x")).write_text(text, encoding="utf-8")
    made = sorted(str(path) for path in tmp_path.iterdir() if path.suffix in (".service", ".timer"))
    ran = subprocess.run([verifier, "verify", *made], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_unit_of_the_night_tries_again_only_where_the_workspace_is_in_use() -> None:
    parser = unit(NIGHTLY)
    service = parser["Service"]
    assert service["RestartForceExitStatus"] == "75"
    assert service["Restart"] == "no"
    assert "SuccessExitStatus" not in service, "a held night has to be told"
    assert parser["Unit"]["OnFailure"] == "kinfolk-alert@%n.service"
    assert service["User"] == "kinfolk"
    assert {"NoNewPrivileges", "PrivateTmp", "ProtectHome"} <= {key for key in service if service[key] == "yes"}
    assert service["ProtectSystem"] == "strict"
    # what is written to must be writable under that
    state, cache = f"/var/lib/{service['StateDirectory']}/", f"/var/cache/{service['CacheDirectory']}/"
    variables = dict(line.split("=", 1) for line in service["Environment"].splitlines())
    assert variables["KINFOLK_WORKSPACE"].startswith(state)
    assert variables["NUMBA_CACHE_DIR"].startswith(cache)
    assert set(variables) <= ENVIRONMENT
    check_call(after_kinfolk(service["ExecStart"]))
    check_call(after_kinfolk(unit(DEPLOY / "systemd" / "kinfolk-serve.service")["Service"]["ExecStart"]))


def test_the_timer_is_after_midnight_utc_and_catches_up() -> None:
    timer = unit(NIGHTLY.with_suffix(".timer"))["Timer"]
    assert timer["OnCalendar"].endswith(" UTC")
    assert timer["Persistent"] == "true"


def test_the_crontab_has_six_fields_before_each_command_and_needs_no_lock() -> None:
    jobs = []
    for line in (DEPLOY / "crontab").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if setting := re.fullmatch(r"([A-Z_]+)=(\S+)", line):
            assert setting[1] in {"SHELL", "PATH", "MAILTO"} | ENVIRONMENT
            continue
        assert "%" not in line, "cron takes it for the end of the line"
        *when, user, command = line.split(None, 6)[:7]
        jobs.append((when, user, command))
    assert [command.split("kinfolk ")[-1].split()[0] for _, _, command in jobs] == ["nightly", "retrain"]
    for when, user, command in jobs:
        assert user == "kinfolk"
        for field, most in zip(when, (59, 23, 31, 12, 7), strict=True):
            assert field == "*" or all(int(number) <= most for number in re.split(r"[-,]", field))
        assert "flock" not in command
        check_call(after_kinfolk(command.split(";")[-1]))


class Made:
    """What the stand-in for Airflow was asked for."""

    def __init__(self) -> None:
        self.dags: list[dict[str, Any]] = []
        self.tasks: list[tuple[dict[str, Any], Any, dict[str, Any]]] = []


class AirflowFailError(Exception):
    """Stands for airflow.sdk.exceptions.AirflowFailException."""


class AirflowError(Exception):
    """Stands for airflow.sdk.exceptions.AirflowException."""


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> tuple[Made, ModuleType]:
    """The DAG, loaded beside modules that stand for Airflow's."""
    made = Made()

    class Dag:
        def __init__(self, **options: Any) -> None:
            made.dags.append(options)

        def __enter__(self) -> "Dag":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def task(**options: Any) -> Any:
        return lambda function: lambda **given: made.tasks.append((options, function, given))

    sdk, exceptions = ModuleType("airflow.sdk"), ModuleType("airflow.sdk.exceptions")
    vars(sdk).update(DAG=Dag, task=task, CronDataIntervalTimetable=lambda cron, timezone: (cron, timezone))
    vars(exceptions).update(AirflowException=AirflowError, AirflowFailException=AirflowFailError)
    for name, module in (("airflow", ModuleType("airflow")), ("airflow.sdk", sdk), (exceptions.__name__, exceptions)):
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("kinfolk_dag", DEPLOY / "airflow_dag.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return made, loaded


def test_the_dag_runs_one_night_a_day_in_order(airflow: tuple[Made, ModuleType]) -> None:
    made, module = airflow
    (dag,), ((options, function, given),) = made.dags, made.tasks
    assert dag["schedule"] == ("0 2 * * *", "UTC")
    assert (dag["catchup"], dag["max_active_runs"]) == (True, 1)
    defaults = dag["default_args"]
    assert defaults["depends_on_past"] is True
    assert defaults["retries"] * defaults["retry_delay"] >= timedelta(hours=2)
    assert isinstance(dag["start_date"], datetime)
    assert options == {"task_id": "nightly"}
    assert function is module.nightly
    assert given == {"as_of": "{{ data_interval_start | ds }}"}


@pytest.mark.parametrize(
    ("code", "error"),
    [(0, None), (75, AirflowError), (3, AirflowFailError), (2, AirflowFailError), (1, AirflowFailError)],
)
def test_the_dag_acts_on_exit_codes(
    airflow: tuple[Made, ModuleType], tmp_path: Path, code: int, error: type[Exception] | None
) -> None:
    _, module = airflow
    told = {"status": "held" if code == 3 else "published", "as_of": "2025-05-01", "reason": "recall is low"}
    report = told | dict.fromkeys(("snapshot", "events", "customers", "alerts", "warnings"))
    words, answer = tmp_path / "words", tmp_path / "answer"
    answer.write_text(json.dumps(report) if code in (0, 3) else "")
    command = tmp_path / "kinfolk"
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {words}\ncat {answer}\nexit {code}\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    vars(module)["KINFOLK"] = str(command)
    if error is None:
        assert module.nightly("2025-05-01")["status"] == "published"
    else:
        words_of = {75: "holds the workspace", 3: "exit code 3: recall is low"}
        with pytest.raises(error, match=words_of.get(code, f"exit code {code}: see the log")):
            module.nightly("2025-05-01")
    called = words.read_text().split()
    check_call(called)
    assert called[called.index("--as-of") + 1] == "2025-05-01"
    assert "--json" in called


def test_every_example_is_listed() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for path in DEPLOY.iterdir():
        assert path.name == "README.md" or f"({path.name})" in page or path.name == "Dockerfile.dockerignore"
