from astraclr.data.taxonomy import CLASSES, COLOURS, SUPERCLASSES, superclass, to_class


def test_every_class_has_a_colour_and_one_superclass():
    assert len(CLASSES) == 12 == len(set(COLOURS.values()))
    assert set(CLASSES) == set(COLOURS)
    assert sorted(c for members in SUPERCLASSES.values() for c in members) == sorted(CLASSES)


def test_labels_of_other_catalogues():
    names = {"RRab": "RR", "EW": "ECL", "QSO": "AGN", " mira ": "LPV", "DSCT|GDOR|SXPHE": "DSCT|GDOR|SXPHE"}
    assert {name: to_class(name) for name in names} == names
    assert to_class("unclassified") == to_class(None) == "" == superclass("")
    assert superclass("ELL") == "rotating"
