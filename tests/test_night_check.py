"""What is served is checked while a night works on it: nothing that was made of damaged numbers outlives the check."""

import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest
from night_world import FIRST_DAYS, NightWorld, content, day

import serve.nightly
from configs.errors import ArtifactError
from serve.beside import NUMBERS, UNCHECKED, Check
from serve.nightly import run_night


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file; a second time turns it back."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("name", ["behaviour/matrix.npy", "embeddings/vectors.arrow"])
def test_what_was_made_of_damaged_numbers_is_not_used_again(night: NightWorld, tmp_path: Path, name: str) -> None:
    assert name in NUMBERS
    night.arrive(FIRST_DAYS)
    calm = night.copy(tmp_path / "calm")
    made = run_night(calm.recipe, calm.workspace, day(FIRST_DAYS)).snapshot
    flip(night.workspace.snapshot_folder() / name)
    with pytest.raises(ArtifactError, match=Path(name).name):
        run_night(night.recipe, night.workspace, day(FIRST_DAYS))
    assert made not in night.workspace.published()
    flip(night.workspace.snapshot_folder() / name)
    assert run_night(night.recipe, night.workspace, day(FIRST_DAYS)).snapshot == made
    assert content(night.workspace.snapshot_folder(made)) == content(calm.workspace.snapshot_folder(made))


def test_the_mark_outlives_the_parts_that_it_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = tmp_path / "key"
    check = Check(Future())
    check.guard(staged)
    for name in ("behaviour", "embeddings", "index"):
        (staged / name).mkdir()
        (staged / name / "part").touch()
    (staged / "facts.json").touch()
    removed: list[Path] = []
    whole = shutil.rmtree

    def killed(path: Path) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path)
        whole(path)

    with monkeypatch.context() as dying:
        dying.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            Check(Future()).guard(staged)
    assert (staged / UNCHECKED).exists()
    Check(Future()).guard(staged)
    assert [path.name for path in staged.iterdir()] == [UNCHECKED]


def test_killed_before_the_check_was_through_it_begins_anew(
    night: NightWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.arrive(FIRST_DAYS)
    calm = night.copy(tmp_path / "calm")
    made = run_night(calm.recipe, calm.workspace, day(FIRST_DAYS)).snapshot
    assert made is not None

    def killed(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(serve.nightly, "_behaviour", killed)
        dying.setattr("serve.beside.Check.passed", lambda check: check._found.result())
        with pytest.raises(KeyboardInterrupt):
            run_night(night.recipe, night.workspace, day(FIRST_DAYS))
    staged = night.workspace.staging / made.removeprefix("s-")
    assert (staged / UNCHECKED).exists()
    vectors = staged / "embeddings" / "vectors.arrow"
    before = vectors.stat().st_ino
    seen: list[int] = []
    whole = serve.nightly._behaviour

    def looked(*words: object) -> object:
        seen.append(vectors.stat().st_ino)
        return whole(*words)  # type: ignore[arg-type]

    (tmp_path / "old").hardlink_to(vectors)  # so that its number is not given out again
    with monkeypatch.context() as watched:
        watched.setattr(serve.nightly, "_behaviour", looked)
        assert run_night(night.recipe, night.workspace, day(FIRST_DAYS)).snapshot == made
    assert seen
    assert before not in seen
    assert not (night.workspace.snapshot_folder(made) / UNCHECKED).exists()
    assert content(night.workspace.snapshot_folder(made)) == content(calm.workspace.snapshot_folder(made))
