"""What is installed is pinned: every dependency, of every extra, has its tested version in constraints.txt."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==([0-9][0-9a-z.]*)")
OF_EXTRAS = {"psycopg[binary]": "psycopg-binary", "moto[server]": "flask"}
"""Dependency with an extra of its own -> what comes with that."""


def normal(name: str) -> str:
    """A name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Name -> version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [PIN.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(found), "a line of constraints.txt is no exact pin of a normal name"
    names = [match[1] for match in found if match]
    assert names == sorted(set(names)), "names of constraints.txt are sorted and there once"
    return {match[1]: match[2] for match in found if match}


def required() -> list[tuple[str, str]]:
    """Name with its extras, and least version ("" where there is none), of everything that pyproject.toml asks for."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [
        re.fullmatch(r"([A-Za-z0-9._-]+(?:\[[a-z0-9,]+\])?)(?:>=([0-9.]+))?", line) for one in lists for line in one
    ]
    assert all(found)
    return [(match[1], match[2] or "") for match in found if match and not match[1].startswith("kinfolk[")]


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_every_dependency_of_every_extra_is_pinned_at_or_above_its_least_version() -> None:
    pinned, asked = pins(), required()
    assert len(asked) > 40
    for name, least in asked:
        version = pinned.get(normal(name.partition("[")[0]))
        assert version, f"{name} has no pin in constraints.txt"
        assert numbers(version) >= numbers(least), f"{name} is pinned at {version}, below {least}"


def test_what_comes_with_an_extra_of_a_dependency_is_pinned_too() -> None:
    pinned, with_extras = pins(), {name for name, _ in required() if "[" in name}
    assert with_extras == set(OF_EXTRAS), "say here what the extra brings"
    assert set(OF_EXTRAS.values()) <= pinned.keys()
