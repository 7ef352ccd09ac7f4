"""The 12 variability classes, their super-classes, one colour each, and labels of other catalogues mapped to them."""

from __future__ import annotations

CLASSES: tuple[str, ...] = (
    "AGN",
    "YSO",
    "SOLAR_LIKE",
    "S",
    "CV",
    "LPV",
    "DSCT|GDOR|SXPHE",
    "RR",
    "CEP",
    "ECL",
    "ELL",
    "RS",
)
"""Classes of the Gaia DR3 variability classifier that the paper keeps (arXiv 2606.31627)."""

SUPERCLASSES: dict[str, tuple[str, ...]] = {
    "pulsating": ("DSCT|GDOR|SXPHE", "LPV", "RR", "CEP"),
    "AGN": ("AGN",),
    "rotating": ("SOLAR_LIKE", "RS", "ELL"),
    "eclipsing": ("ECL",),
    "S and YSO": ("S", "YSO"),
    "cataclysmic": ("CV",),
}
"""Groups of the paper's latent-space figure; the group names are ours."""

COLOURS: dict[str, str] = {
    "AGN": "#0b3a2d",
    "YSO": "#544d28",
    "SOLAR_LIKE": "#f3aa00",
    "S": "#7f7f7f",
    "CV": "#37bca2",
    "LPV": "#ff197a",
    "DSCT|GDOR|SXPHE": "#995cff",
    "RR": "#2e29c2",
    "CEP": "#b978ac",
    "ECL": "#1a981f",
    "ELL": "#98c379",
    "RS": "#8a3274",
}
"""Colour of each class. Any two differ, also for readers with a colour vision deficiency; a test measures it."""

BAND_COLOURS: dict[str, str] = {
    "g": "#1b7fc4",
    "r": "#d97706",
    "i": "#5f1a6e",
    "u": "#78a6dc",
    "z": "#3a3a3a",
    "B": "#1b7fc4",
    "R": "#d97706",
}
BAND_MARKS: dict[str, str] = {"g": "o", "r": "s", "i": "^", "u": "v", "z": "D", "B": "o", "R": "s"}
"""Matplotlib's marker of each band, so that colour alone never tells bands apart."""

# Types of VSX, Chen et al. 2020 (ApJS 249, 18), ALeRCE and OGLE that name one of the 12 classes.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "AGN": ("QSO", "BLAZAR"),
    "YSO": ("TTS", "CTTS", "WTTS", "INS", "INT", "UXOR", "DIP"),
    "SOLAR_LIKE": ("SOLAR-LIKE", "BY", "BYDRA"),
    "CV": ("CV/NOVA", "UG", "UGSU", "UGSS", "UGZ", "NL", "AM", "NOVA", "N"),
    "LPV": ("M", "MIRA", "SR", "SRA", "SRB", "SRC", "SRD", "L", "LB", "OSARG"),
    "DSCT|GDOR|SXPHE": ("DSCT", "HADS", "GDOR", "SXPHE"),
    "RR": ("RRL", "RRLYR", "RRAB", "RRC", "RRD", "RRE"),
    "CEP": ("DCEP", "DCEPS", "CW", "CWA", "CWB", "T2CEP", "ACEP", "RV", "RVA"),
    "ECL": ("E", "EA", "EB", "EW", "EC", "ED", "ESD", "ECLIPSING"),
    "ELL": ("ELLIPSOIDAL",),
    "RS": ("RSCVN", "RS CVN"),
}
_CLASS_OF = {c.upper(): c for c in CLASSES}
_CLASS_OF |= {name: cls for cls, names in _SYNONYMS.items() for name in names}


def to_class(label: str | None) -> str:
    """Map a label of another catalogue to one of the 12 classes.

    Parameters
    ----------
    label : str or None
        A type such as ``"RRAB"``, ``"EW"`` or ``"QSO"``; upper or lower case.

    Returns
    -------
    str
        One of `CLASSES`, or ``""`` where the type names none of them (never a guess).
    """
    return "" if label is None else _CLASS_OF.get(str(label).strip().upper(), "")


def superclass(label: str) -> str:
    """Name of the super-class that holds `label`, ``""`` for a label outside the 12 classes."""
    return next((name for name, members in SUPERCLASSES.items() if label in members), "")
