"""Documentation is tested: generated pages are up to date; recipes, commands, tests, files and links exist."""

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from configs.reader import validate
from serve.recipe import Recipe, shipped, shipped_names

REPOSITORY = Path(__file__).parent.parent
SOURCE = {"name": "till", "path": "events.parquet"}
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
"""All pages; links inside them are relative to their folders."""
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
PACKAGES: list[str] = PROJECT["hatch"]["build"]["targets"]["wheel"]["packages"]


def blocks(page: Path) -> Iterator[str]:
    """What stands between fences, lines that go on with a backslash joined."""
    for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        yield block.replace("\\\n", " ")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", REPOSITORY / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date(generate: ModuleType) -> None:
    stale = [path for path, page in generate.PAGES.items() if path.read_text(encoding="utf-8") != page()]
    assert not stale, "run `make docs`"


def test_every_command_is_described(generate: ModuleType) -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in (
        "run",
        "train",
        "evaluate",
        "data check",
        "data prepare",
        "simulate",
        "audience",
        "similar",
        "segments",
    ):
        assert f"## kinfolk {command}\n" in page
    for command in ("export embeddings", "export segments", "history", "rollback", "verify", "audit", "serve", "demo"):
        assert f"## kinfolk {command}\n" in page
    for command in ("nightly", "retrain", "nights", "resend", "prune"):
        assert f"## kinfolk {command}\n" in page
    for command in ("forget", "erasures"):
        assert f"## kinfolk {command}\n" in page
    for command in ("keys create", "keys list", "keys revoke"):
        assert f"## kinfolk {command}\n" in page
    for command in ("show", "moves", "history", "rename", "names", "map", "flow", "members", "card"):
        assert f"## kinfolk segments {command}\n" in page


def test_every_field_of_a_recipe_is_described(generate: ModuleType) -> None:
    page = (REPOSITORY / "docs" / "recipe.md").read_text(encoding="utf-8")
    for _, model in generate._models("", Recipe):
        assert (model.__doc__ or "").split("\n")[0].strip()
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no docstring"
            assert f"| `{name}` |" in page


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_recipe_parses(name: str) -> None:
    document = yaml.safe_load(shipped(name).read_text(encoding="utf-8"))
    recipe = validate({"sources": [SOURCE], **document}, Recipe, shipped(name))
    if name == "default":
        assert recipe == validate({"sources": [SOURCE]}, Recipe, shipped(name))


def test_recipes_in_the_documentation_parse() -> None:
    found = 0
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            document = yaml.safe_load(block)
            if isinstance(document, dict) and "sources" in document:
                validate(document, Recipe, page)
                found += 1
    assert found


def test_commands_named_in_the_documentation_exist(generate: ModuleType) -> None:
    import typer

    from serve.cli import app

    known = {name.removeprefix("kinfolk ") for name, _ in generate._commands("kinfolk", typer.main.get_command(app))}
    firsts = {name.split()[0] for name in known}
    for page in PAGES:
        inline = re.findall(r"`kinfolk ([a-z]+)", page.read_text(encoding="utf-8"))
        in_blocks = re.findall(r"(?:^\s*|\$ |\()kinfolk ([a-z]+)", "\n".join(blocks(page)), re.MULTILINE)
        for word in inline + in_blocks:
            assert word in firsts, f"{page.name}: kinfolk {word}"


def test_options_named_in_the_documentation_exist(generate: ModuleType) -> None:
    import typer

    from serve.cli import app

    options = {
        name: {opt for param in command.params for opt in param.opts}
        for name, command in generate._commands("kinfolk", typer.main.get_command(app))
    }
    found = 0
    for page in PAGES:
        for line in "\n".join(blocks(page)).splitlines():
            call = re.match(r"(?:\$ |export \w+=\$\()?(kinfolk(?: [a-z]+)+)(.*)", line)
            if call is None:
                continue
            words = call[1].split()
            name = next((n for n in (" ".join(words[:i]) for i in (3, 2)) if n in options), "")
            given = {word for word in call[2].split("#")[0].split() if re.fullmatch(r"-{1,2}[a-z][a-z-]*", word)}
            assert given <= options.get(name, set()), f"{page.name}: {line}"
            found += 1
    assert found > 20


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name}: no {target}"
        assert linked.is_relative_to(REPOSITORY), f"{page.name}: {target} leads out of the repository"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name}: no heading {target}"


def test_every_page_is_listed() -> None:
    docs = REPOSITORY / "docs"
    listed = (docs / "README.md").read_text(encoding="utf-8")
    for page in docs.rglob("*.md"):
        name = page.relative_to(docs).as_posix()
        assert name == "README.md" or f"({name})" in listed, f"docs/README.md: {name} is not listed"


def test_pictures_are_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (REPOSITORY / "docs" / "images").iterdir():
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert re.search(rf"!\[[^]]{{20,}}\]\([^)]*{re.escape(picture.name)}\)", text), f"{picture.name}: in no page"


def test_tests_named_in_the_documentation_exist() -> None:
    defined = {
        path.relative_to(REPOSITORY).as_posix(): set(re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8")))
        for path in (REPOSITORY / "tests").glob("test_*.py")
    }
    everywhere = set().union(*defined.values())
    named = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for file, test in re.findall(r"(tests/\w+\.py)(?:::(test_\w+))?", text):
            assert file in defined, f"{page.name}: no {file}"
            assert not test or test in defined[file], f"{page.name}: no {file}::{test}"
            named += 1
        for test in re.findall(r"`(test_\w+)`", text):
            assert test in everywhere, f"{page.name}: no {test}"
    assert named > 30


def test_every_invariant_names_its_test() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("## Invariants")[1].split("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        assert re.search(r"\| `tests/\w+\.py::test_\w+`", row), row


def test_every_package_is_described_file_by_file() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    code_map = text.split("## Code map")[1].split("\n## ")[0]
    sections = dict(re.findall(r"### `(\w+)`\n(.*?)(?=\n### |\Z)", code_map, re.DOTALL))
    assert set(sections) == set(PACKAGES)
    for package, section in sections.items():
        named = set(re.findall(r"`(\w+\.py)`", section)) | {"__init__.py", "artifact.py", "config.py", "run.py"}
        there = {path.name for path in (REPOSITORY / package).glob("*.py")}
        assert there <= named, f"ARCHITECTURE.md: {package} has {sorted(there - named)} too"
        extra = named - there - {"__init__.py", "artifact.py", "config.py", "run.py"}
        assert not extra, f"ARCHITECTURE.md: {package} has no {sorted(extra)}"


def test_the_floors_are_those_of_the_linter() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| `(\w+)` \|", text, re.MULTILINE)
    layers = PROJECT["importlinter"]["contracts"][0]["layers"]
    floors = {
        package.strip(): str(number)
        for number, layer in enumerate(reversed(layers), start=1)
        for package in layer.split("|")
    }
    assert {package: floor for floor, package in rows} == floors
    assert set(floors) == set(PACKAGES)


def test_files_named_in_the_documentation_exist() -> None:
    for page in PAGES:
        text = without_code(page.read_text(encoding="utf-8"))
        for name in re.findall(rf"`((?:{'|'.join(PACKAGES)}|bench|docs)/[\w/]+\.(?:py|yaml|md))", text):
            assert (REPOSITORY / name).is_file(), f"{page.name}: no {name}"


def test_benches_named_in_the_documentation_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"python -m bench\.(\w+)", page.read_text(encoding="utf-8")):
            assert (REPOSITORY / "bench" / f"{name}.py").is_file(), f"{page.name}: no bench.{name}"


def test_the_version_is_in_the_changelog() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(project['version'])} ", changelog, re.MULTILINE)
