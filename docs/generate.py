"""Writes docs/cli.md from the command line's own definition; docs/recipe.md and configs/default.yaml from the recipe's.

python docs/generate.py            # write both pages
python docs/generate.py --check    # exit 1 where a page is not what it should be
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from serve.cli import app
from serve.recipe import Recipe, shipped_names

DOCS = Path(__file__).parent
NOTE = "<!-- Written by `python docs/generate.py`; change the code, not this page. -->\n"


def cli_page() -> str:
    """docs/cli.md."""
    parts = ["# The command line\n", NOTE]
    root = typer.main.get_command(app)
    parts.append(f"{root.help}\n")
    parts.append(
        "Exit codes: 0 done; 2 something that you can mend, said in one sentence on stderr; 1 a fault of kinfolk "
        "(`KINFOLK_DEBUG=1` shows a traceback); 130 stopped by Ctrl-C. Tables and JSON go to stdout, progress to "
        "stderr. `KINFOLK_CATALOGUE` names a PostgreSQL URL where the catalogue is not to be the workspace's own "
        "SQLite file. `KINFOLK_MIRROR` names the folder in which workspaces in object stores are mirrored.\n"
    )
    parts += ["## kinfolk\n", *_options(root)]
    for name, command in _commands("kinfolk", root):
        parts += [f"## {name}\n", f"```\n{_usage(name, command)}\n```\n", f"{_paragraph(command.help)}\n"]
        parts += _options(command)
    return "\n".join(parts)


def _commands(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield full, command
            yield from _commands(full, command)
        elif not command.hidden:
            yield full, command


def _usage(name: str, command: Any) -> str:
    words = [name]
    for param in _shown(command):
        if param.param_type_name == "argument":
            words.append(_metavar(param) if param.required else f"[{_metavar(param)}]")
        elif param.required:
            words.append(f"{_names(param)[0]} {_metavar(param)}")
    return " ".join([*words, "[OPTIONS]"])


def _options(command: Any) -> list[str]:
    rows = []
    for param in _shown(command):
        argument = param.param_type_name == "argument"
        names = _metavar(param) if argument else ", ".join(_names(param))
        value = "" if argument or param.is_flag else f" {_metavar(param)}"
        rows.append(f"| `{names}{value}` | {_cell(param.help)} | {_default(param)} |")
    return ["| | | default |", "|---|---|---|", *rows, ""] if rows else []


def _shown(command: Any) -> list[Any]:
    return [
        p for p in command.params if not getattr(p, "hidden", False) and p.name != "help" and "--help" not in p.opts
    ]


def _names(param: Any) -> list[str]:
    return sorted([*param.opts, *param.secondary_opts], key=lambda name: (name.startswith("--no-"), -len(name)))


def _metavar(param: Any) -> str:
    if param.metavar:
        return str(param.metavar)
    return str(param.name).upper()


def _default(param: Any) -> str:
    if param.required:
        return "must be given"
    env = param.envvar if isinstance(param.envvar, str) else None
    value = (
        ""
        if param.default is None or param.default is False or param.default == ""
        else f"`{str(param.default).removesuffix(' 00:00:00')}`"
    )
    return " ".join(part for part in (value, f"(environment: `{env}`)" if env else "") if part)


def recipe_page() -> str:
    """docs/recipe.md."""
    parts = [
        "# The recipe\n",
        NOTE,
        "A recipe is a YAML file. The least one is a list of sources; everything else has a default that is meant to "
        "be left alone. Unknown keys are refused, and all faults are told at once. Relative paths start at the "
        "recipe's folder.\n",
        "```yaml\n" + _least() + "```\n",
        f"Recipes that come with kinfolk, to be used as `base`: {', '.join(f'`{name}`' for name in _bases())}.\n",
    ]
    seen: set[type[BaseModel]] = set()
    for place, model in _models("", Recipe):
        if model in seen:
            continue
        seen.add(model)
        title = f"`{place}`" if place else "Top level"
        parts += [f"## {title}\n", f"{_paragraph(model.__doc__)}\n", "| key | what it is | default |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            parts.append(f"| `{name}` | {_cell(field.description)}{_limits(field)} | {_default_of(field)} |")
        parts.append("")
    return "\n".join(parts)


def _least() -> str:
    return (
        "sources:\n"
        "  - name: basket\n"
        "    path: events.parquet          # or a glob, CSV, or `query:` with `url:`\n"
        "    customer: customer_id\n"
        "    time: timestamp\n"
        "    categorical: [department, product_category, brand, store_id]\n"
        "    numeric: [sales_value, quantity, retail_disc]\n"
        "until: 2017-08-08                 # optional: events from this moment on are not read\n"
    )


def _bases() -> list[str]:
    return [name for name in shipped_names() if name != "demo"]


def _models(place: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, model
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            many = "[]" if field.annotation is not inner and "tuple" in str(field.annotation) else ""
            yield from _models(f"{place}.{name}{many}".removeprefix("."), inner)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _limits(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "multiple_of": "a multiple of"}
    limits = [
        f"{words[name]} {value:,}"
        for part in field.metadata
        for name in words
        if (value := getattr(part, name, None)) is not None
    ]
    return f" ({', '.join(limits)})" if limits else ""


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _cell(text: str | None) -> str:
    return _paragraph(text).replace("|", "\\|")


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def default_recipe() -> str:
    """configs/default.yaml: every key with its default."""
    lines = [
        "# Every key of a recipe with its default, and what it does. `base: default` changes nothing: it is here to be",
        "# read and copied from. Written by `python docs/generate.py`; docs/recipe.md has the same with limits.",
    ]
    for name, field in Recipe.model_fields.items():
        model = _model_in(field.annotation)
        if model is None or field.is_required():
            continue
        lines += ["", f"# {_paragraph(field.description)}", f"{name}:", *_keys(model, "  ")]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if name == "seed":
            continue  # handed down from the top of the recipe
        yield f"{indent}# {_paragraph(field.description)}"
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _keys(type(value), indent + "  ")
        else:
            yield f"{indent}{name}: {_yaml(value)}"


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


PAGES = {
    DOCS.parent / "configs" / "default.yaml": default_recipe,
    DOCS / "cli.md": cli_page,
    DOCS / "recipe.md": recipe_page,
}


def main(check: bool) -> int:
    """Write the pages, or compare them; returns the exit code."""
    stale = []
    for path, page in PAGES.items():
        if check and (not path.exists() or path.read_text(encoding="utf-8") != page()):
            stale.append(path)
        elif not check:
            path.write_text(page(), encoding="utf-8")
    for path in stale:
        print(f"{path}: not up to date; run `python docs/generate.py`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
