"""What is installed is whole: the wheel holds every file of the packages and nothing else, and all of it can be used.

`make wheel-test` runs this file and those in its list where the wheel alone is installed.
"""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
IMPORT_ALL = """
import importlib, pkgutil, sys
names = sys.argv[1:]
for package in sys.argv[1:]:
    found = importlib.import_module(package)
    names += [module.name for module in pkgutil.walk_packages(found.__path__, f"{package}.")]
for name in names:
    if ".migrations." not in name:  # scripts that only Alembic can run
        importlib.import_module(name)
print(*names, sep="\\n")
"""


def files_of_packages() -> set[str]:
    """Every file of the packages in the repository, as a wheel names it."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def difference(wheel: Path) -> tuple[set[str], set[str]]:
    """Files of the packages that a wheel lacks, and files that it should not hold."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = files_of_packages()
    return wanted - held, held - wanted


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("kinfolk-*.whl"))


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    assert difference(wheel) == (set(), set())
    assert {"configs/default.yaml", "configs/demo.yaml", "store/migrations/env.py"} <= files_of_packages()


def test_a_file_that_a_wheel_forgot_or_took_too_much_is_found(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / "other.whl", "w") as other:
        for name in whole.namelist():
            if name != "configs/demo.yaml":
                other.writestr(name, whole.read(name))
        other.writestr("tests/conftest.py", "")
    assert difference(tmp_path / "other.whl") == ({"configs/demo.yaml"}, {"tests/conftest.py"})


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *PACKAGES], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    modules = {name.removesuffix(".py").replace("/", ".") for name in files_of_packages() if name.endswith(".py")}
    assert set(done.stdout.split()) == {name.removesuffix(".__init__") for name in modules}


def test_the_console_script_stands_beside_the_interpreter(tmp_path: Path) -> None:
    scripts = PROJECT["project"]["scripts"]
    for name in scripts:
        script = Path(sys.executable).with_name(name)
        done = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == f"{name} {PROJECT['project']['version']}\n"
