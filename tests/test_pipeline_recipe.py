"""Recipes: what is handed down, laid over a base, resolved and refused."""

from pathlib import Path

import pytest

from configs.errors import RecipeError
from serve.recipe import STAGES, Recipe, load_recipe, shipped, shipped_names

SOURCE = "sources:\n- name: till\n  path: events.csv\n"


def load(folder: Path, text: str, name: str = "recipe.yaml") -> Recipe:
    (folder / name).write_text(text, encoding="utf-8")
    return load_recipe(folder / name)


def test_the_least_recipe(tmp_path: Path) -> None:
    recipe = load(tmp_path, SOURCE)
    assert recipe.sources[0].path == str(tmp_path / "events.csv")
    assert recipe.eventlog.sources == recipe.sources
    assert recipe.eventlog.until is None


def test_until_is_utc(tmp_path: Path) -> None:
    until = load(tmp_path, SOURCE + "until: 2017-08-08\n").eventlog.until
    assert until is not None
    assert until.isoformat() == "2017-08-08T00:00:00+00:00"


def test_the_seed_reaches_every_stage_that_has_none_of_its_own(tmp_path: Path) -> None:
    recipe = load(tmp_path, SOURCE + "seed: 5\nindex: {seed: 9}\n")
    seeds = {name: getattr(getattr(recipe, name), "seed", None) for name in STAGES}
    assert seeds["train"] == seeds["segments"] == 5
    assert seeds["index"] == 9


def test_a_section_left_empty_is_no_section(tmp_path: Path) -> None:
    assert load(tmp_path, SOURCE + "train:\n") == load(tmp_path, SOURCE)


def test_a_base_is_filled_in_where_nothing_is_given(tmp_path: Path) -> None:
    small, default = load(tmp_path, "base: small\n" + SOURCE), load(tmp_path, SOURCE)
    assert small.train.width < default.train.width
    mine = load(tmp_path, "base: small\n" + SOURCE + "train: {width: 16}\n")
    assert (mine.train.width, mine.train.hidden) == (16, small.train.hidden)
    (tmp_path / "mine.yaml").write_text("base: small\ntrain: {epochs: 3}\n", encoding="utf-8")
    onto = load(tmp_path, "base: mine.yaml\n" + SOURCE)
    assert (onto.train.epochs, onto.train.width) == (3, small.train.width)


def test_a_base_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"base: no recipe 'tiny'; accepted: default, demo, large, small"):
        load(tmp_path, "base: tiny\n" + SOURCE)
    with pytest.raises(RecipeError, match="leads back to itself"):
        load(tmp_path, "base: ring.yaml\n" + SOURCE, "ring.yaml")
    with pytest.raises(RecipeError, match="base: "):
        load(tmp_path, "base: 3\n" + SOURCE)


def test_shipped_recipes_are_there() -> None:
    assert shipped_names() == ["default", "demo", "large", "small"]
    assert all(shipped(name).is_file() for name in shipped_names())


def test_the_fingerprint_is_of_what_counts(tmp_path: Path) -> None:
    first = load(tmp_path, SOURCE).fingerprint()
    assert load(tmp_path, SOURCE + "seed: 0\n").fingerprint() == first
    assert load(tmp_path, "base: default\n" + SOURCE).fingerprint() == first
    assert load(tmp_path, SOURCE + "seed: 1\n").fingerprint() != first
