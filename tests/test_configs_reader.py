"""The strict reader of recipes: all faults at once, each naming where, what is wrong and what is accepted."""

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from configs.errors import RecipeError
from configs.reader import Config, read


class Part(Config):
    """A part."""

    size: int = Field(default=3, ge=1)
    """How large."""
    names: tuple[str, ...] = ()
    """Some names."""


class Whole(Config):
    """The whole."""

    parts: tuple[Part, ...] = Field(min_length=1)
    """The parts."""
    spare: Part | None = None
    """One more."""
    until: datetime.datetime | None = None
    """The end."""
    share: float = Field(default=0.5, gt=0, le=1)
    """A share."""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(path: Path) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(path, Whole)
    assert str(path) in str(caught.value)
    assert f"{len(caught.value.faults)} fault" in str(caught.value)
    return caught.value.faults


def test_reads_a_recipe(tmp_path: Path) -> None:
    whole = read(write(tmp_path, "parts:\n - size: 4\n   names: [a, b]\nuntil: 2017-08-08\n"), Whole)
    assert whole.parts == (Part(size=4, names=("a", "b")),)
    assert whole.until == datetime.datetime(2017, 8, 8)


def test_tells_all_faults_at_once(tmp_path: Path) -> None:
    text = "parts:\n - sizee: 4\n - size: 0\nspare: {nam: x}\nshare: 1.5\nsomething: 1\nuntil: yesterday\n"
    faults = faults_of(write(tmp_path, text))
    assert len(faults) == 6
    text = "\n".join(faults)
    assert "parts[0].sizee: unknown key; did you mean 'size'? (accepted: names, size)" in text
    assert "parts[1].size: Input should be greater than or equal to 1, got 0" in text
    assert "spare.nam: unknown key; did you mean 'names'?" in text
    assert "share: Input should be less than or equal to 1, got 1.5" in text
    assert "something: unknown key (accepted: parts, share, spare, until)" in text
    assert "until: " in text


def test_each_fault_is_told_once_and_in_words(tmp_path: Path) -> None:
    """Not again as what follows from it, nor in the words of the code's classes."""
    assert faults_of(write(tmp_path, "parts:\n - size: 0\n")) == [
        "parts[0].size: Input should be greater than or equal to 1, got 0"
    ]
    assert faults_of(write(tmp_path, "parts: []\nspare: 3\n")) == [
        "parts: must have at least 1 item(s)",
        "spare: must be a mapping of keys to values, got 3",
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("parts: [", "not valid YAML"),
        ("parts: []\nparts: []\n", "key 'parts' is given twice"),
        ("parts:\n - size: 1\n   size: 2\n", "key 'size' is given twice"),
        ("", "a recipe is a mapping"),
        ("- a\n- b\n", "a recipe is a mapping"),
        ("spare: {}\n", "parts: missing, must be given"),
        ("parts: [{size: .nan}]\n", "parts[0].size"),
        ("parts: []\nshare: .inf\n", "share: Input should be a finite number"),
        ("parts: []\nshare: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("parts: []\n? [a, b]\n: 1\n", "not valid YAML"),
        ("parts: []\n1: 2\n", "key 1 is not text"),
        ("parts: []\nuntil: 2017-13-45\n", "not valid YAML: month must be in 1..12"),
        ("parts: " + "[" * 5000, "nested too deeply"),
    ],
)
def test_refuses(tmp_path: Path, text: str, word: str) -> None:
    assert any(word in fault for fault in faults_of(write(tmp_path, text)))


def test_refuses_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xff\xfe\x00parts")
    assert "cannot be read as UTF-8 text" in faults_of(path)[0]
    assert "no such file" in faults_of(tmp_path / "absent.yaml")[0]
    assert "cannot be read" in faults_of(tmp_path)[0]


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_faults(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "recipe.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        read(path, Whole)
    except RecipeError as error:
        told = error.faults
    else:
        told = ["nothing is wrong"]
    assert told


@given(
    size=st.integers(1, 10**6), names=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=4)
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, size: int, names: list[str]) -> None:
    document = {"parts": [{"size": size, "names": names}]}
    path = write(tmp_path_factory.mktemp("back"), json.dumps(document, ensure_ascii=False))  # JSON is YAML
    assert read(path, Whole).parts[0] == Part(size=size, names=tuple(names))
