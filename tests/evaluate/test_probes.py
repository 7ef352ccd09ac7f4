from dataclasses import replace

import numpy as np
import pytest

from astraclr.analysis.latent_space import neighbour_purity
from astraclr.evaluate.metrics import majority, score
from astraclr.evaluate.probes import fit_logistic, knn_class_scores, linear_probe, weighted_knn
from astraclr.evaluate.splits import split_by_object


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    labels = np.array(["RR", "ECL", "AGN"])[rng.integers(3, size=300)]
    centre = {"RR": 0.0, "ECL": 1.5, "AGN": 3.0}
    x = rng.normal(size=(300, 4)) + np.array([centre[c] for c in labels])[:, None] * [1, -1, 0, 0]
    return x[:200], labels[:200], x[200:], labels[200:]


def test_probe_beats_the_majority_and_reports_an_interval(blobs):
    probe, base = linear_probe(*blobs, bootstraps=10), majority(blobs[1], blobs[3])
    assert probe.accuracy > base.accuracy + 0.3
    low, high = probe.interval()
    assert low <= high and len(probe.resampled["macro_f1"]) == 10
    assert set(probe.summary()) >= {"accuracy", "macro_f1", "accuracy_low", "macro_f1_high"}
    assert probe.confusion.sum() == 100 and weighted_knn(*blobs).accuracy > base.accuracy + 0.2


def test_probe_does_not_depend_on_the_scale_of_a_feature(blobs):
    train_x, train_y, test_x, _ = blobs
    scale = np.array([1.0, 1e4, 1e-3, 7.0])
    a = fit_logistic(train_x, train_y).predict(test_x)
    b = fit_logistic(train_x * scale, train_y).predict(test_x * scale)
    assert (a == b).all()


def test_scores_by_hand():
    result = score(np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "c"]))
    assert result.accuracy == 0.5 and result.classes.tolist() == ["a", "b", "c"]
    assert result.confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)  # "c" is never true: it has no F1 to average


def test_bad_sets_are_refused(blobs):
    train_x, train_y, test_x, test_y = blobs
    with pytest.raises(ValueError, match="one class only"):
        linear_probe(train_x, np.full(200, "RR"), test_x, test_y)
    with pytest.raises(ValueError, match="training set: 200 embeddings and 199 labels"):
        linear_probe(train_x, train_y[1:], test_x, test_y)
    with pytest.raises(ValueError, match="1 embeddings are not finite"):
        weighted_knn(train_x, train_y, np.where(np.arange(100)[:, None] == 3, np.nan, test_x), test_y)
    with pytest.raises(ValueError, match="k 500 is more than the 200"):
        weighted_knn(*blobs, k=500)


def test_an_interval_needs_resamples():
    scores = score(np.array(["a", "b"]), np.array(["a", "a"]))
    with pytest.raises(ValueError, match=r"no resampled values of 'accuracy' .* linear_probe\(..., bootstraps=50\)"):
        scores.interval()
    resampled = replace(scores, resampled={"accuracy": np.linspace(0, 1, 41)})
    assert resampled.interval() == pytest.approx((0.025, 0.975))
    with pytest.raises(ValueError, match="no resampled values of 'macro_f1'.*choose from accuracy"):
        resampled.interval("macro_f1")


def test_labels_of_the_wrong_length_are_refused():
    x, y = np.eye(4), np.array(["a", "b", "a"])
    with pytest.raises(ValueError, match="4 embeddings and 3 labels"):
        knn_class_scores(x, y, x, k=2)
    with pytest.raises(ValueError, match="4 embeddings and 3 labels"):
        neighbour_purity(x, y, k=2)
    with pytest.raises(ValueError, match="4 object ids and 3 labels"):
        split_by_object(np.arange(4).astype(str), y)
