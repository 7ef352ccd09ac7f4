"""What is told of light curves, probes and predictions is what there is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from astraclr.analysis.classifier import fit_head
from astraclr.cli.report import aligned, describe, describe_metrics, describe_predictions, repeated_times
from astraclr.data.lightcurves import LightCurves


@pytest.fixture
def stars():
    """Three stars: g 2, r 3; g 4, one time twice; r 1. The last two share an id."""
    star = [0] * 5 + [1] * 4 + [2]
    band = [0, 0, 1, 1, 1] + [0] * 4 + [1]
    mjd = [1, 2, 1, 2, 3, 5, 5, 6, 7, 7]
    return LightCurves.from_arrays(
        np.array(star),
        np.array(band),
        58_000.0 + np.array(mjd),
        np.full(10, 15.0),
        np.full(10, 0.1),
        object_id=["a", "b", "b"],
        label=["RR", "RR", ""],
    )


def test_names_from_files_cannot_forge_lines_or_move_the_cursor(stars):
    labels, note = np.array(["RR\n9,999 stars", "\x1b[2J", ""]), {"not read: column x\x1b]0;t\x07": 1}
    text = describe(replace(stars, label=labels, notes=note))
    assert text.replace("\n", "").isprintable() and "\n9,999 stars" not in text
    assert "RR\\n9,999 stars" in text and "\\x1b[2J" in text and "column x\\x1b]0;t\\x07: 1" in text


def test_describe(stars):
    text = describe(stars)
    assert text.startswith("3 stars, 10 observations\ntimes: MJD 58001.00 to 58007.00 (6 days)\n")
    rows = [line.split() for line in text.splitlines()]
    assert ["g", "4746", "2", "2", "3", "4"] in rows and ["r", "6366", "2", "1", "2", "3"] in rows
    assert ["i", "7829", "0", "-", "-", "-"] in rows
    assert ["RR", "2"] in rows and ["(unlabelled)", "1"] in rows
    assert "kept: repeated time within a band (--drop-repeated drops it): 1\n" in text
    assert "kept: object_id that an earlier star has too: 1\n" in text
    assert "the paper's cut, at least 200 in g, 200 in r: keeps 0 of 3 stars" in text
    assert "windows of preset tiny, at least 40 in g, 48 in r, 8 in i: keeps 0 of 3 stars" in text


def test_a_cut_of_ones_own(stars):
    text = describe(stars, {"g": 2})
    assert text.endswith("\nat least 2 in g: keeps 2 of 3 stars") and "paper" not in text
    with pytest.raises(ValueError, match="no band z here"):
        describe(stars, {"z": 1})


def test_without_the_bands_of_the_papers_cut():
    bands = {"B": 5200.0, "R": 6900.0}
    lc = LightCurves.from_arrays(
        np.zeros(50, int),
        np.repeat([0, 1], 25),
        58_000.0 + np.arange(50),
        np.full(50, 15.0),
        np.full(50, 0.1),
        bands=bands,
    )
    text = describe(lc)
    assert "keeps none, there is no band g, r" in text
    assert "at least 40 in B, 48 in R: keeps 0 of 1 stars" in text
    assert "dropped: nothing; no repeated times or ids" in text


def test_the_same_time_in_two_bands_or_stars_is_no_repetition(stars):
    assert repeated_times(stars) == 1
    assert repeated_times(stars[[0, 2]]) == 0


def test_aligned():
    lines = aligned(["name", "n"], [["a", "1,000"], ["longer", "2"]])
    assert lines == ["name        n", "a       1,000", "longer      2"]


def test_describe_metrics():
    metrics = {
        "linear_probe": {"accuracy": 0.75, "macro_f1": 0.5, "accuracy_low": 0.7, "accuracy_high": 0.8},
        "knn": {"accuracy": 0.25, "macro_f1": 0.125, "k": 20},
        "majority": {"accuracy": 0.1, "macro_f1": 0.01},
        "classes": {"RR": {"f1": 0.5, "train": 1_234, "test": 6}},
        "n_train": 1_234,
        "n_test": 6,
    }
    text = describe_metrics(metrics)
    assert "1,234 stars to train, 6 to test" in text and "0.750 (0.700 to 0.800)" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["weighted", "20-NN", "0.250", "0.125"] in rows and ["RR", "0.500", "1,234", "6"] in rows


def test_describe_predictions():
    table = pd.DataFrame(
        {
            "label": ["RR", "ECL", "", "M31"],
            "predicted": ["RR", "RR", "RR", "ECL"],
            "p_ECL": 0.5,
            "p_RR": 0.5,
            "novelty": 1.0,
            "flag": ["", "few epochs", "few epochs, unlike training stars", ""],
        }
    )
    text = describe_predictions(table)
    rows = [line.split() for line in text.splitlines()]
    assert ["RR", "3", "2"] in rows and ["ECL", "1", "0"] in rows
    assert "flagged 'few epochs': 2 of 4" in text and "flagged 'unlike training stars': 1 of 4" in text
    assert "agreement with the labels given: 0.500 of 2 labelled stars" in text
    assert "agreement" not in describe_predictions(table.assign(label=""))
    real = {"survey": "ZTF", "n": 110, "accuracy": 0.5, "confidence": 0.55, "calibration_error": 0.08}
    real |= {"calibration_error_low": 0.06, "calibration_error_high": 0.15}
    real |= {"accuracy_unflagged": 0.7, "accuracy_flagged": 0.4}
    head = replace(fit_head(np.eye(4), np.array(["RR", "ECL"] * 2), "0" * 64), real_sky=real)
    said = describe_predictions(table, head)
    assert "on 110 labelled real stars of ZTF it was right for 0.50 at a mean confidence of 0.55: " in said
    assert "calibration error 0.08 (95 % 0.06 to 0.15); right for 0.70 without a flag, 0.40 with" in said
    assert "right for" not in describe_predictions(table, replace(head, real_sky={}))
