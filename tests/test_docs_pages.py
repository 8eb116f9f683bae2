"""Documentation is tested: pages made from the code are up to date, every shipped recipe parses, commands exist."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from configs.reader import validate
from serve.recipe import Recipe, shipped, shipped_names

REPOSITORY = Path(__file__).parent.parent
SOURCE = {"name": "till", "path": "events.parquet"}


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
    for command in ("export embeddings", "export segments", "history", "rollback", "verify", "serve", "demo"):
        assert f"## kinfolk {command}\n" in page
    for command in ("keys create", "keys list", "keys revoke"):
        assert f"## kinfolk {command}\n" in page


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
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
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
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        for word in re.findall(r"(?:`|^\s*|\$ )kinfolk ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert word in firsts, f"{page.name}: kinfolk {word}"
