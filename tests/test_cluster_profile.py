"""What sets segments apart, against a brute-force computation; the run and its artifact; the pictures."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from embedded import write_embeddings
from hypothesis import given, settings
from hypothesis import strategies as st
from segmented import registry_of
from test_cluster_map import size_of

from cluster.artifact import MEMBERS, PAGE, PICTURE, PROFILES, Segments, write_segments
from cluster.config import SegmentsConfig
from cluster.describe import _few, describe
from cluster.profile import drivers, lifts, table, typical
from cluster.run import Earlier, fingerprint, run
from cluster.state import LANDMARKS, REGISTRY, SHADOW, SPACE
from configs.errors import ArtifactError, InputError
from embed.artifact import Embeddings
from eventlog.behaviour import Behaviour, Feature

QUICK = SegmentsConfig(shadow_every=1, epochs=60, stability_runs=1, min_customers=30)
CATEGORIES = ("FUEL", "BABY FOOD", "PRODUCE", "WINE")


def shop(n: int = 900, seed: int = 0) -> tuple[np.ndarray, Behaviour]:
    """True groups (0 drives, 1 has babies, 2 drinks wine and comes often), and the behaviours they show."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, n)
    base = np.array([[6, 1, 4, 1], [1, 6, 4, 0.5], [1, 1, 4, 5]])
    shares = np.stack([rng.dirichlet(base[g] * 8) for g in group])
    events = rng.poisson(np.where(group == 2, 90, 30)).astype(float)
    spent = rng.normal(20, 5, n)
    features = (
        Feature("events", "count", None, None, "number of events"),
        Feature("sales_value:mean", "amount", "sales_value", None, "average sales_value"),
        *(
            Feature(f"department={c}", "share", "department", c, f"share of events with department = {c}")
            for c in CATEGORIES
        ),
    )
    return group, Behaviour(features, np.column_stack([events, spent, shares]).astype(np.float32))


def embedded(folder: Path, group: np.ndarray, seed: int = 0) -> Embeddings:
    """Vectors in which the groups are groups; text ids."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((3, 32))[group] + rng.standard_normal((len(group), 32)) * 0.15
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    customers = pl.Series([f"c{i:05d}" for i in range(len(group))])
    return write_embeddings(folder, f"emb{seed}", customers, vectors)


def test_every_figure_is_brute_force() -> None:
    group, behaviour = shop()
    figures = table(behaviour.matrix, group.astype(np.int32), 3)
    matrix = behaviour.matrix.astype(float)
    for i in range(matrix.shape[1]):
        column = matrix[:, i]
        assert figures.mean[i] == pytest.approx(sum(column) / len(column))
        assert figures.median[i] == pytest.approx(float(np.median(column)))
        assert figures.robust_sd[i] == pytest.approx(1.4826 * float(np.median(abs(column - np.median(column)))))
        for segment in range(3):
            mine = [v for v, g in zip(column, group, strict=True) if g == segment]
            assert lifts(figures)[segment, i] == pytest.approx(sum(mine) / len(mine) / (sum(column) / len(column)))
    for segment, found in enumerate(drivers(behaviour, group.astype(np.int32), 3, 10)):
        for driver in found:
            i = [f.name for f in behaviour.features].index(driver.feature)
            mine, everybody = matrix[group == segment, i], matrix[:, i]
            if driver.kind == "share":
                assert driver.segment == pytest.approx(mine.mean())
                assert driver.everybody == pytest.approx(everybody.mean())
            else:
                assert driver.segment == pytest.approx(float(np.median(mine)))
                assert driver.z == pytest.approx((np.median(mine) - np.median(everybody)) / figures.robust_sd[i])
            assert driver.lift == pytest.approx(driver.segment / driver.everybody)


def test_the_planted_behaviours_lead_and_noise_is_absent() -> None:
    group, behaviour = shop()
    found = drivers(behaviour, group.astype(np.int32), 3, 6)
    assert {d.value for d in found[0][:2]} & {"FUEL"}
    assert found[1][0].value == "BABY FOOD"
    assert {d.feature for d in found[2][:2]} == {"events", "department=WINE"}
    # everybody spends alike on a visit, so it sets nobody apart
    assert all(d.feature != "sales_value:mean" for of_one in found for d in of_one)
    assert all([d.score for d in of_one] == sorted((d.score for d in of_one), reverse=True) for of_one in found)


@given(st.integers(0, 500))
@settings(max_examples=25)
def test_random_segments_have_no_drivers(seed: int) -> None:
    _, behaviour = shop(400, seed=1)
    labels = np.random.default_rng([seed, 99]).integers(-1, 5, 400).astype(np.int32)  # apart from the shop's own draws
    assert sum(len(of_one) for of_one in drivers(behaviour, labels, 5, 8)) <= 1


def test_a_handful_of_customers_is_no_behaviour() -> None:
    features = (Feature("f=RARE", "share", "f", "RARE", "share of events with f = RARE"),)
    matrix = np.zeros((2000, 1), np.float32)
    matrix[:4] = 1.0
    labels = np.full(2000, -1, np.int32)
    labels[:40] = 0
    assert drivers(Behaviour(features, matrix), labels, 1, 5) == [()]


def test_shares_of_events_and_of_money_of_one_value_are_one_driver() -> None:
    group, behaviour = shop()
    twice = (*behaviour.features, Feature("s[department=FUEL]", "share", "department", "FUEL", "share of s"))
    matrix = np.column_stack([behaviour.matrix, behaviour.matrix[:, 2] ** 2])
    found = drivers(Behaviour(twice, matrix), group.astype(np.int32), 3, 8)
    assert all(len({(d.field, d.value, d.kind != "share" and d.feature) for d in one}) == len(one) for one in found)


def test_typical_members_are_the_nearest_to_the_mean() -> None:
    space = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    rows = np.arange(10, 40)
    apart = np.linalg.norm(space[rows].astype(float) - space[rows].mean(axis=0, dtype=float), axis=1)
    assert typical(space, rows, 3) == tuple(rows[np.argsort(apart)][:3].tolist())
    assert len(typical(space, rows[:2], 5)) == 2


# --- the stage


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Embeddings, Behaviour, Segments]:
    folder = tmp_path_factory.mktemp("segments")
    group, behaviour = shop()
    given_embeddings = embedded(folder / "embeddings", group)
    return group, given_embeddings, behaviour, run(QUICK, given_embeddings, behaviour, folder / "segments")


Made = tuple[np.ndarray, Embeddings, Behaviour, Segments]


def test_the_stage_finds_describes_and_names(made: Made) -> None:
    group, embeddings, _, segments = made
    assert len(segments.profiles) == 3
    for profile in segments.profiles:
        members = np.flatnonzero(segments.labels == profile.id)
        assert profile.size == len(members)
        assert profile.share == pytest.approx(len(members) / 900)
        assert profile.strength == pytest.approx(segments.strength[members].mean(), abs=1e-5)
        true = np.bincount(group[members]).argmax()
        assert ("fuel", "baby food", "wine")[true] in profile.name.lower()
        assert len(profile.typical) == 5
        assert all(embeddings.row_of(customer) in members for customer in profile.typical)
        assert profile.standing == "firm"
    assert segments.unassigned_share == pytest.approx((segments.labels < 0).mean())
    assert segments.message == ""
    assert segments.profile(1) is segments.profiles[1]
    assert segments.profile(99) is None


def test_same_inputs_same_bytes_of_every_file(made: Made, tmp_path: Path) -> None:
    _, embeddings, behaviour, segments = made
    again = run(QUICK, embeddings, behaviour, tmp_path / "again")
    names = sorted(p.name for p in segments.folder.iterdir())
    assert names == sorted([MEMBERS, PROFILES, PICTURE, PAGE, REGISTRY, LANDMARKS, SPACE, SHADOW, "manifest.json"])
    for name in names:
        assert (segments.folder / name).read_bytes() == (again.folder / name).read_bytes(), name


def test_definitions_are_sought_with_new_segments_and_not_between(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, embeddings, behaviour, segments = made
    seen: list[bool] = []

    def described(*words: Any, seek: bool) -> Any:
        seen.append(seek)
        return describe(*words, seek=seek)

    monkeypatch.setattr("cluster.run.describe", described)
    config, earlier = QUICK.model_copy(update={"shadow_every": 2}), Earlier(segments, embeddings)
    for night in range(2):
        found = run(config, embeddings, behaviour, tmp_path / str(night), previous=earlier)
        assert [profile.definition for profile in found.profiles] == [p.definition for p in segments.profiles]
        earlier = Earlier(found, embeddings)
    assert sorted(seen) == [False, True]


def test_what_is_written_is_what_is_read(made: Made) -> None:
    *_, segments = made
    loaded = Segments.load(segments.folder)
    assert loaded.profiles == segments.profiles
    assert loaded.manifest == segments.manifest
    np.testing.assert_array_equal(loaded.labels, segments.labels)
    np.testing.assert_array_equal(loaded.positions, segments.positions)
    assert loaded.labels.dtype == np.int32
    assert loaded.strength.dtype == loaded.positions.dtype == np.float32


def test_a_finished_equal_artifact_is_reused_and_another_replaced(made: Made, tmp_path: Path) -> None:
    _, embeddings, behaviour, segments = made
    before = (segments.folder / PAGE).stat().st_mtime_ns
    assert run(QUICK.model_copy(update={"threads": 2}), embeddings, behaviour, segments.folder).key == segments.key
    assert (segments.folder / PAGE).stat().st_mtime_ns == before
    other = Behaviour(behaviour.features, behaviour.matrix + np.float32(1))
    assert fingerprint(other) != fingerprint(behaviour)
    few = run(QUICK.model_copy(update={"min_customers": 5000}), embeddings, behaviour, tmp_path / "s")
    assert few.key != segments.key
    assert few.profiles == ()
    assert "too few" in few.message


@pytest.mark.parametrize(
    "name", [MEMBERS, PROFILES, PICTURE, PAGE, REGISTRY, LANDMARKS, SPACE, SHADOW, "manifest.json"]
)
def test_a_flipped_byte_is_refused_by_name(made: Made, tmp_path: Path, name: str) -> None:
    _, _, _, segments = made
    for path in segments.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw = bytearray((tmp_path / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ArtifactError, match=re.escape(name)):
        Segments.load(tmp_path)


def test_behaviours_of_other_customers_are_refused(made: Made, tmp_path: Path) -> None:
    _, embeddings, behaviour, _ = made
    short = Behaviour(behaviour.features, behaviour.matrix[:-1])
    with pytest.raises(InputError, match="900 vectors but behaviours of 899 customers"):
        run(QUICK, embeddings, short, tmp_path / "segments")
    assert not (tmp_path / "segments").exists()


def test_a_failure_on_the_way_leaves_the_old_segments(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, _, segments = made
    found = registry_of(segments.labels, segments.strength, segments.positions)
    written = write_segments(tmp_path / "s", "one", found, "line", segments.profiles, {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.artifact.write_page", full)
    with pytest.raises(Exception, match="disk is full"):
        write_segments(tmp_path / "s", "two", found, "line", segments.profiles, {})
    assert Segments.load(tmp_path / "s").key == written.key == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_typical_customers_are_looked_for_among_some_where_there_are_many() -> None:
    some, rows = np.arange(0, 9_000, 3), np.arange(2_000, 8_000)
    assert _few(rows, some).tolist() == [row for row in rows.tolist() if row % 3 == 0]
    assert _few(rows[:500], some).tolist() == rows[:500].tolist()
    assert _few(rows, None) is rows


# --- pictures


def test_the_picture_has_its_size_and_more_than_white(made: Made) -> None:
    from matplotlib.image import imread

    *_, segments = made
    assert size_of(segments.picture) == (1600, 1200)
    pixels = imread(segments.picture)[:, :, :3]
    assert (pixels.min(axis=2) < 0.9).mean() > 0.005


def test_the_page_works_offline(made: Made) -> None:
    *_, segments = made
    page = segments.page.read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)\s*=", page)
    assert "Plotly.newPlot" in page
    assert len(page) > 1_000_000
    for profile in segments.profiles:
        assert profile.name in page
        assert not any(customer in page for customer in map(str, profile.typical))


def test_a_name_cannot_break_the_page(made: Made, tmp_path: Path) -> None:
    *_, segments = made
    nasty = [replace(p, name=f"</script><b>{p.id} & co") for p in segments.profiles]
    found = registry_of(segments.labels, segments.strength, segments.positions)
    page = write_segments(tmp_path / "s", "k", found, "line", nasty, {}).page.read_text(encoding="utf-8")
    own = page.split("<div id=", 1)[1]
    assert own.count("</script>") == 1
    assert "<b>" not in own
