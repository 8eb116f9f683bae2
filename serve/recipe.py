"""A recipe: what to make from which events. The least one is a list of sources; the rest has defaults.

sources:
  - name: basket
    path: events.parquet
    categorical: [department, brand]
    numeric: [sales_value]
until: 2017-08-08
"""

from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from cluster.config import SegmentsConfig
from configs.errors import RecipeError
from configs.reader import Config, faults, read_document, validate
from embed.config import EmbedConfig
from eventlog.config import EventLogConfig, PrepareConfig, Source
from index.config import AudienceConfig, IndexConfig
from serve.night_config import NightConfig
from store.artifact import key_of
from train.config import TrainConfig


class Recipe(Config):
    """Everything that a line needs to know."""

    base: str | None = None
    """A recipe to start from: `default`, `small` or `large`, or the path of a YAML file; keys given here win."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the events come from; at equal times, events keep the order of the sources, files and rows."""
    until: datetime | None = None
    """Events from this moment on are not read; without a zone it is UTC."""
    seed: int = Field(default=0, ge=0, lt=1 << 31)
    """Seed of everything random; a stage that sets its own `seed` keeps it."""
    prepare: PrepareConfig = Field(default_factory=PrepareConfig)
    """How events are checked and encoded."""
    train: TrainConfig = Field(default_factory=TrainConfig)
    """The sequence model and how it is trained."""
    embed: EmbedConfig = Field(default_factory=EmbedConfig)
    """How histories become vectors."""
    index: IndexConfig = Field(default_factory=IndexConfig)
    """How similar customers are searched."""
    audience: AudienceConfig = Field(default_factory=AudienceConfig)
    """How lookalike audiences are made."""
    segments: SegmentsConfig = Field(default_factory=SegmentsConfig)
    """How customers are grouped into segments."""
    night: NightConfig = Field(default_factory=NightConfig)
    """What a new snapshot must hold to be served, how many are kept, and whom to tell."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, document: Any) -> Any:
        """Hand the recipe's seed to every stage that has one and was given none; an empty section is no section."""
        if not isinstance(document, dict):
            return document
        filled = {key: value for key, value in document.items() if value is not None or key not in STAGES}
        seed = filled.get("seed", 0)
        for name, stage in STAGES.items():
            section = filled.get(name, {})
            if "seed" in stage.model_fields and isinstance(section, dict) and type(seed) is int and seed >= 0:
                filled[name] = {"seed": seed, **section}
        return filled

    @model_validator(mode="after")
    def _sources_agree(self) -> Self:
        try:
            _ = self.eventlog
        except ValidationError as error:
            # the place is the recipe itself: what is left to find is how the sources fit each other
            raise ValueError("; ".join(fault.split(": ", 1)[-1] for fault in faults(error, EventLogConfig))) from None
        return self

    @property
    def eventlog(self) -> EventLogConfig:
        """The event log's configuration: sources, `until` and the section `prepare`."""
        return EventLogConfig(sources=self.sources, until=self.until, **self.prepare.model_dump())

    def fingerprint(self) -> str:
        """A key of the whole recipe: equal recipes, equal key. `base` is what it was filled from, not a part of it."""
        return key_of("recipe", self.model_dump(mode="json", exclude={"base"}))


STAGES: Mapping[str, type[Config]] = {
    "prepare": PrepareConfig,
    "train": TrainConfig,
    "embed": EmbedConfig,
    "index": IndexConfig,
    "audience": AudienceConfig,
    "segments": SegmentsConfig,
    "night": NightConfig,
}
"""The recipe's sections and the stage configurations that they hold."""


def shipped(name: str) -> Path:
    """The path of the recipe `name` that comes with kinfolk."""
    return Path(str(resources.files("configs"))) / f"{name}.yaml"


def shipped_names() -> list[str]:
    """Names of the recipes that come with kinfolk."""
    return sorted(path.stem for path in shipped("any").parent.glob("*.yaml"))


def load_recipe(path: Path) -> Recipe:
    """Read the recipe at `path`; relative paths in it, or in its `base`, start at its folder.

    Raises RecipeError with all faults at once.
    """
    return validate(_with_base(path, ()), Recipe, path)


def _with_base(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The mapping at `path`, laid over that of its base, which may have one itself."""
    document = read_document(path)
    base = document.get("base")
    if not isinstance(base, str):  # none, or a fault that validation tells
        return document
    below = path.parent / base if base.lower().endswith((".yaml", ".yml")) else shipped(base)
    if not below.is_file():
        raise RecipeError(
            path, [f"base: no recipe {base!r}; accepted: {', '.join(shipped_names())}, or the path of a YAML file"]
        )
    if below.resolve() in seen:
        raise RecipeError(path, [f"base: {base!r} leads back to itself"])
    return _laid_over(_with_base(below, (*seen, below.resolve())), document)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two mappings as one: sections are merged key by key, everything else is taken from `above` where it has it."""
    merged = dict(below)
    for key, value in above.items():
        under = below.get(key)
        merged[key] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
