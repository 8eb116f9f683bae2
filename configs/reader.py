"""The one strict reader of recipes: YAML in, a frozen pydantic model out, all faults at once."""

import difflib
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import InputError, RecipeError


class Config(BaseModel):
    """Base of every stage's configuration: frozen, unknown keys refused, a docstring for every field."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    what: ClassVar[str] = "settings"
    """What faults of a user's values are said to be of."""

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """Make one of a user's values. Raises InputError, one clear sentence for each fault."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise InputError(f"{cls.what}: " + "; ".join(faults(error, cls))) from None


PLAIN = {
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "too_short": "must have at least {min_length} item(s)",
}
"""What is told in place of pydantic's words, which name classes of the code."""

Model = TypeVar("Model", bound=BaseModel)


SECRET = ("url",)
"""Settings whose value is not repeated."""


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML would silently let the last one win."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is not text; put it in quotes", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(path: Path, model: type[Model]) -> Model:
    """Read the YAML recipe at `path` as `model`.

    Relative paths inside the recipe are left as they are; the model's owner resolves them against `path.parent`
    (passed as the validation context's key "folder").

    Raises RecipeError with every fault: unreadable file, YAML syntax, unknown, missing or ill-typed keys.
    """
    return validate(read_document(path), model, path)


def validate(document: dict[str, Any], model: type[Model], path: Path) -> Model:
    """Make a `model` of a mapping that came from the recipe at `path`. Raises RecipeError with every fault."""
    try:
        return model.model_validate(document, context={"folder": path.parent})
    except ValidationError as error:
        raise RecipeError(path, faults(error, model)) from None


def read_document(path: Path) -> dict[str, Any]:
    """The YAML mapping at `path`, not validated. Raises RecipeError where it is none or a key is given twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(path, ["no such file; a recipe is a YAML file with at least a list of `sources`"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(path, [f"cannot be read as UTF-8 text: {error}"]) from None
    try:
        document = yaml.load(text, Loader=_UniqueKeys)
    except RecursionError:
        raise RecipeError(path, ["not valid YAML: nested too deeply"]) from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2017-13-45 is a ValueError
        raise RecipeError(path, [f"not valid YAML: {_told(error)}"]) from None
    if not isinstance(document, dict):
        raise RecipeError(path, ["a recipe is a mapping of keys to values, with at least a list of `sources`"])
    return document


def _told(error: yaml.YAMLError | ValueError) -> str:
    """What is wrong and where, without the lines around it: they may hold a password."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    words = ", ".join(filter(None, (error.context, error.problem)))
    if isinstance(error, yaml.composer.ComposerError):  # it repeats the name, which was meant to be a value
        words = "an alias (`*…`) that names nothing; put text that begins with `*` in quotes"
    mark = error.problem_mark or error.context_mark
    return words if mark is None else f"{words}, line {mark.line + 1}, column {mark.column + 1}"


def faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per fault: where, what is wrong, what is accepted."""
    lines = []
    items = error.errors(include_url=False)
    for item in items:
        where = _where(item["loc"])
        if item["type"] == "too_short" and any(_below(other["loc"], item["loc"]) for other in items):
            continue  # short only for want of the items below it, whose own faults are told
        if item["type"] == "extra_forbidden":
            accepted = sorted(_keys_at(model, item["loc"][:-1]))
            near = difflib.get_close_matches(str(item["loc"][-1]), accepted, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"{where}: unknown key{hint} (accepted: {', '.join(accepted)})")
        elif item["type"] == "missing":
            lines.append(f"{where}: missing, must be given")
        else:
            told = PLAIN.get(item["type"], item["msg"]).removeprefix("Value error, ")
            message = told.format(**item.get("ctx", {})) if item["type"] in PLAIN else told
            # an address may hold a password, or be a secret itself
            told_all = isinstance(item["input"], dict | list) or str(item["loc"][-1]) in SECRET
            given = "" if told_all else f", got {_shortened(item['input'])}"
            lines.append(f"{where}: {message}{given}")
    return lines


def _below(place: tuple[int | str, ...], above: tuple[int | str, ...]) -> bool:
    return len(place) > len(above) and place[: len(above)] == above


def _shortened(value: Any) -> str:
    if isinstance(value, str) and "://" in value:
        return "an address"  # which may hold a password, or be a secret itself
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _where(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "recipe"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """The keys accepted at a place of the model; empty where the place is not a model."""
    here: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = here.model_fields.get(part) if isinstance(here, type) and issubclass(here, BaseModel) else None
        here = _model_in(field.annotation) if field else None
    return set(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else set()


def _model_in(annotation: Any) -> Any:
    """The first pydantic model inside an annotation such as tuple[Source, ...] or Source | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
