"""Evaluation: a planted label is found, chance stays chance, and unusable labels are refused with a sentence."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.errors import InputError
from train.evaluate import evaluate, to_json
from train.labels import read_labels
from train.picture import draw

CUSTOMERS = pl.Series("customer_id", np.arange(100, 700))


def written(path: Path, **columns: object) -> Path:
    pl.DataFrame({"customer_id": CUSTOMERS, **columns}).write_csv(path)
    return path


def test_planted_labels_are_found_and_noise_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 8)).astype(np.float32)
    path = written(
        tmp_path / "labels.csv",
        planted=np.where(x[:, 0] > 0, "yes", "no"),
        noise=rng.integers(0, 2, 600),
        three=np.digitize(x[:, 1], [-0.5, 0.5]),
        value=x[:, 2] * 10,
    )
    labels = read_labels(path, CUSTOMERS)
    assert [label.kind for label in labels.labels] == ["binary", "binary", "classes", "number"]
    results = evaluate(labels.labels, {"x": x, "nothing": np.zeros_like(x)}, rng.integers(1, 2000, 600))
    by = {(r.label, r.input): r for r in results}
    assert by["planted", "x"].score.low > 0.9
    assert by["noise", "x"].score.low < 0.5 < by["noise", "x"].score.high
    assert by["three", "x"].score.low > 0.7
    assert by["value", "x"].score.low > 0.5
    assert by["planted", "nothing"].score.value == pytest.approx(0.5, abs=0.1)
    for result in results:
        assert result.score.low <= result.score.value <= result.score.high
    assert set(by["planted", "x"].by_length) == {"101 to 1000", "over 1000"}
    again = evaluate(labels.labels, {"x": x, "nothing": np.zeros_like(x)}, np.ones(600))
    assert [r.score for r in again] == [r.score for r in results]
    assert to_json(results)[0]["score"]["value"] == results[0].score.value


def test_the_picture_is_the_same_twice(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((600, 2)).astype(np.float32)
    labels = read_labels(written(tmp_path / "l.csv", y=(x[:, 0] > 0).astype(int)), CUSTOMERS)
    results = evaluate(labels.labels, {"x": x}, np.ones(600, int))
    for name in ("a.png", "b.png"):
        draw(results, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_customers_and_missing_values_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pl.DataFrame(
        {"customer_id": np.arange(400, 900), "y": [None if i % 5 == 0 else i % 2 for i in range(500)]}
    ).write_parquet(path)
    labels = read_labels(path, CUSTOMERS)
    assert (labels.matched, labels.unknown) == (300, 200)
    assert len(labels.labels[0].rows) == 240


def test_ids_with_zeros_in_front_stay_text(tmp_path: Path) -> None:
    ids = [f"{i:05d}" for i in range(100)]
    path = tmp_path / "labels.csv"
    pl.DataFrame({"customer_id": ids, "y": [i % 2 for i in range(100)]}).write_csv(path)
    assert (read_labels(path, pl.Series(ids)).matched, read_labels(path, pl.Series(range(60))).matched) == (100, 60)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"other": [1]}, "no column customer_id"),
        ({"customer_id": [100]}, "no label columns"),
        ({"customer_id": [100, 100], "y": [0, 1]}, "more than once"),
        ({"customer_id": [1, 2], "y": [0, 1]}, "0 of its 2 customers are known; at least 50"),
        ({"customer_id": list(range(100, 200)), "y": ["a"] * 100}, "two classes of at least 10"),
        ({"customer_id": list(range(100, 200)), "y": [f"c{i}" for i in range(100)]}, "100 classes; at most 30"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, columns: dict[str, list[object]], words: str) -> None:
    path = tmp_path / "labels.csv"
    pl.DataFrame(columns).write_csv(path)
    with pytest.raises(InputError, match=words):
        read_labels(path, CUSTOMERS)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "none.csv", CUSTOMERS)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a readable"):
        read_labels(tmp_path / "bad.parquet", CUSTOMERS)
