"""No star is on both sides, nothing is left out in silence, and the numbers are those of the probes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astraclr.evaluate.embedding_tables import Embeddings, read_embeddings
from astraclr.evaluate.embeddings import evaluate, labelled, train_and_test
from astraclr.evaluate.metrics import score, with_intervals
from astraclr.evaluate.probes import linear_probe
from astraclr.evaluate.splits import split_by_object


def clouds(n=120, classes=("RR", "ECL", "LPV"), seed=0, shift=3.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(len(classes), size=n)
    x = rng.normal(size=(n, 8)) + shift * np.eye(8)[y]
    ids = np.array([f"s{k}" for k in range(n)])
    return Embeddings(ids, np.array(classes)[y], x.astype(np.float32), "a" * 64, "mean")


def table_of(stars):
    return pd.DataFrame(
        {
            "object_id": stars.object_id,
            "label": stars.label,
            "embedding": list(stars.x),
            "checkpoint": stars.checkpoint,
            "fusion": stars.fusion,
        }
    )


def test_read(tmp_path):
    stars = clouds()
    table_of(stars).to_parquet(tmp_path / "e.parquet")
    found = read_embeddings(tmp_path / "e.parquet")
    np.testing.assert_array_equal(found.x, stars.x)
    assert found.label.tolist() == stars.label.tolist() and found.object_id.tolist() == stars.object_id.tolist()
    assert (found.checkpoint, found.fusion, len(found)) == ("a" * 64, "mean", 120)
    table_of(stars)[["object_id", "label", "embedding"]].to_parquet(tmp_path / "e.parquet")
    assert read_embeddings(tmp_path / "e.parquet").checkpoint == ""


def test_null_labels_are_unlabelled(tmp_path):
    table_of(clouds(6)).assign(label=["RR", None] * 3).to_parquet(tmp_path / "e.parquet")
    assert read_embeddings(tmp_path / "e.parquet").label.tolist() == ["RR", ""] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.drop(columns="embedding"), "missing column embedding.*astraclr embed"),
        (lambda t: t.assign(embedding=1.0), "embedding must hold a list"),
        (lambda t: t[:0], "holds no stars"),
        (
            lambda t: t.assign(embedding=[[1.0]] + [[1.0, 2.0]] * (len(t) - 1)),
            "1 to 2 numbers; all must be of one length",
        ),
        (lambda t: t.assign(embedding=[None] + [[1.0, 2.0]] * (len(t) - 1)), "0 to 2 numbers"),
        (lambda t: t.assign(embedding=[["a", "b"]] * len(t)), "e.parquet: .*must hold lists of numbers, found string"),
        *(
            (
                lambda t, odd=odd: t.assign(embedding=[[1.0, 2.0]] * 7 + [[1.0, odd]] * (len(t) - 7)),
                "e.parquet: 113 of 120 embeddings hold NaN or infinity, the first of star s7; leave them out",
            )
            for odd in (np.nan, np.inf, -np.inf, None, 1e300)
        ),
        (lambda t: t.assign(checkpoint=["a"] + ["b"] * (len(t) - 1)), r"mixes .* several kinds \(checkpoint a, b\)"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, change, reason):
    change(table_of(clouds())).to_parquet(tmp_path / "e.parquet")
    with pytest.raises(ValueError, match=reason):
        read_embeddings(tmp_path / "e.parquet")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_split_keeps_objects_together_and_classes_on_both_sides(share):
    rng = np.random.default_rng(1)
    star = rng.integers(60, size=400)  # each star some six times
    label = np.array(["RR", "ECL", "LPV"])[star % 3]
    train, test = split_by_object(star.astype(str), label, share, seed=2)
    assert sorted([*train, *test]) == list(range(400))
    assert not set(star[train]) & set(star[test])
    assert set(label[train]) == set(label[test]) == {"RR", "ECL", "LPV"}
    if share == 0.3:
        assert [len(set(star[test][label[test] == c])) for c in ("RR", "ECL", "LPV")] == [6, 6, 6]


def test_split_is_seeded():
    stars = clouds()
    one, same, other = (split_by_object(stars.object_id, stars.label, seed=s)[1].tolist() for s in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("share", [0, 1, -0.5, 30])
def test_the_test_share_lies_between_0_and_1(share):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        split_by_object(np.array(["a", "b"]), np.array(["RR", "RR"]), share)


def test_unlabelled_and_rare_are_left_out_with_a_count():
    stars = clouds()
    label = stars.label.copy()
    label[:7], label[7] = "", "CV"
    known, notes = labelled(replace(stars, label=label))
    assert notes == {"left out: unlabelled star": 7, "left out: class CV, which has fewer than 2 stars": 1}
    assert len(known) == 112 and known.object_id[0] == "s8"


def test_too_few_classes_are_refused_with_the_count():
    stars = clouds()
    with pytest.raises(ValueError, match=r"at least 2 .* found 0 among 120 stars \(left out: unlabelled star: 120\)"):
        labelled(replace(stars, label=np.full(120, "")))
    with pytest.raises(ValueError, match=r"found 1 among 120 stars \(all stars are labelled\)"):
        labelled(replace(stars, label=np.full(120, "RR")))


def test_another_table_is_tested_on_and_its_stars_are_not_trained_on():
    stars, other = clouds(), clouds(50, classes=("RR",))
    train, test, notes = train_and_test(stars, other)
    assert test.object_id.tolist() == other.object_id.tolist() and len(train) == 70
    assert notes == {"left out of training: star of the test table": 50}
    with pytest.raises(ValueError, match="not of one kind.*embed both"):
        train_and_test(stars, replace(other, checkpoint="b" * 64))


def test_metrics_are_those_of_the_probe():
    train, test, _ = train_and_test(clouds(), seed=4)
    metrics = evaluate(train, test, bootstraps=3)
    scores = linear_probe(train.x, train.label, test.x, test.label, bootstraps=3)
    assert metrics["linear_probe"] == scores.summary()
    assert {c: m["f1"] for c, m in metrics["classes"].items()} == dict(zip(scores.classes, scores.f1, strict=True))
    assert sum(m["test"] for m in metrics["classes"].values()) == metrics["n_test"] == len(test)
    assert metrics["majority"]["accuracy"] < metrics["knn"]["accuracy"]
    assert evaluate(train[:15], test, bootstraps=0)["knn"]["k"] == 15  # fewer stars than the paper's neighbours


def test_intervals_draw_whole_objects():
    truth, predicted = np.repeat(["a", "b"], 50), np.repeat(["a", "b", "a"], [50, 30, 20])
    alone = with_intervals(score(truth, predicted), truth, np.arange(100).astype(str))
    tenfold = with_intervals(score(truth, predicted), truth, np.repeat(np.arange(10), 10).astype(str))
    width = [found["accuracy_high"] - found["accuracy_low"] for found in (alone, tenfold)]
    assert width[0] == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 100), rel=0.15)
    assert width[1] == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 10), rel=0.15)
    assert alone["f1"]["a"] == pytest.approx(100 / 120)
    assert alone["f1_low"]["a"] < alone["f1"]["a"] < alone["f1_high"]["a"]
    wrong = with_intervals(score(truth, np.where(predicted == "a", "c", "b")), truth, np.arange(100).astype(str))
    assert set(wrong["f1_low"]) == {"a", "b"} and set(wrong["f1"]) == {"a", "b", "c"}


def test_weights_count_a_row_so_often():
    truth, predicted = np.array(list("aaabb")), np.array(list("aabbb"))
    weight = np.array([1, 2, 1, 3, 1])
    ids, (often, said) = np.arange(5).astype(str), (np.repeat(v, weight) for v in (truth, predicted))
    weighted = with_intervals(score(truth, predicted, weight), truth, ids, weight=weight)
    repeated = with_intervals(score(often, said), often, np.repeat(ids, weight))
    for name in ("accuracy", "macro_f1", "accuracy_low", "accuracy_high", "macro_f1_low", "f1", "f1_high"):
        assert weighted[name] == pytest.approx(repeated[name])
    small = with_intervals(score(truth, predicted, weight / 100), truth, ids, weight=weight / 100)
    assert small["macro_f1_low"] == pytest.approx(weighted["macro_f1_low"])


def test_an_id_of_zero_is_an_id(tmp_path):
    table = pd.DataFrame({"object_id": [0, 1], "label": ["RR", None], "embedding": [[1.0], [2.0]]})
    table.to_parquet(tmp_path / "e.parquet")
    found = read_embeddings(tmp_path / "e.parquet")
    assert found.object_id.tolist() == ["0", "1"] and found.label.tolist() == ["RR", ""]


def test_columns_that_are_there_twice_and_numbers_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "e.parquet"
    table = pa.table({"object_id": ["a", "b"], "label": ["x", "y"], "embedding": [[1.0, 2.0], [3.0, None]]})
    pq.write_table(table, path)
    with pytest.raises(ValueError, match=r"e.parquet: 1 of 2 embeddings hold NaN or infinity, the first of star b"):
        read_embeddings(path)
    pq.write_table(table.append_column("label", table["label"]), path)
    with pytest.raises(ValueError, match=r"e.parquet: column label is there more than once"):
        read_embeddings(path)
