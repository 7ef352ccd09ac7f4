import warnings
from itertools import combinations

import numpy as np
import pytest

from astraclr.data.taxonomy import BAND_COLOURS, BAND_MARKS, CLASSES, COLOURS, SUPERCLASSES, superclass, to_class


def test_every_class_has_a_colour_and_one_superclass():
    assert len(CLASSES) == 12 == len(set(COLOURS.values()))
    assert set(CLASSES) == set(COLOURS)
    assert sorted(c for members in SUPERCLASSES.values() for c in members) == sorted(CLASSES)


def test_labels_of_other_catalogues():
    names = {"RRab": "RR", "EW": "ECL", "QSO": "AGN", " mira ": "LPV", "DSCT|GDOR|SXPHE": "DSCT|GDOR|SXPHE"}
    assert {name: to_class(name) for name in names} == names
    assert to_class("unclassified") == to_class(None) == "" == superclass("")
    assert superclass("ELL") == "rotating"


def seen(colours: list[str], deficiency: str | None) -> np.ndarray:
    """Colours in CAM02-UCS, in which distances are Delta-E, as they look with a colour vision deficiency.

    Simulated by Machado, Oliveira & Fernandes 2009 (IEEE TVCG 15, 1291) at full severity, as colorspacious has it.
    """
    from colorspacious import cspace_convert

    rgb = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in colours])
    if deficiency:
        space = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": 100}
        rgb = np.clip(cspace_convert(rgb, space, "sRGB1"), 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return cspace_convert(rgb, "sRGB1", "CAM02-UCS")


@pytest.mark.parametrize("deficiency", [None, "protanomaly", "deuteranomaly", "tritanomaly"])
@pytest.mark.parametrize(
    "colours, least",
    [({b: BAND_COLOURS[b] for b in "gri"}, 20), ({b: BAND_COLOURS[b] for b in "ugriz"}, 10), (COLOURS, 10)],
    ids=["gri", "bands", "classes"],
)
def test_colours_are_told_apart_with_any_colour_vision(colours, least, deficiency):
    places = dict(zip(colours, seen(list(colours.values()), deficiency), strict=True))
    near = {pair: np.linalg.norm(places[pair[0]] - places[pair[1]]) for pair in combinations(places, 2)}
    worst = min(near, key=near.__getitem__)
    assert near[worst] > least, (worst, near[worst])


def test_bands_of_a_survey_have_marks_of_their_own():
    assert set(BAND_MARKS) == set(BAND_COLOURS)
    assert len({BAND_MARKS[b] for b in "ugriz"}) == 5 and BAND_MARKS["B"] != BAND_MARKS["R"]
