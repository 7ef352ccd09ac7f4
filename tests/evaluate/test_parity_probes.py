"""Weighted k-nearest neighbours against the reference's."""

import numpy as np
import pytest

from astraclr.evaluate.probes import PAPER_K, PAPER_VOTE_TEMPERATURE, knn_class_scores, weighted_knn


@pytest.fixture(scope="module")
def arrays(oracles):
    found = oracles("weighted_knn")
    assert (int(found["k"]), float(found["temperature"])) == (PAPER_K, PAPER_VOTE_TEMPERATURE)
    return found


def test_class_scores(arrays, parity):
    scores, classes = knn_class_scores(arrays["train"], arrays["train_labels"], arrays["val"])
    assert classes.tolist() == list(range(int(arrays["num_classes"])))
    parity("k-NN: votes of each class", 1e-5, scores, arrays["class_scores"], relative=True)


def test_predictions(arrays, parity):
    result = weighted_knn(arrays["train"], arrays["train_labels"], arrays["val"], arrays["val_labels"])
    parity("k-NN: predictions", 0, result.predicted, arrays["predictions"])
    assert result.accuracy == np.mean(arrays["predictions"] == arrays["val_labels"])
