"""The page on which an expert says yes or no to the strangest stars, one file that needs no network.

The template is ``discovery.html`` beside this file, plain JavaScript; the light curves of the stars that it asks about
are written into it.
"""

from __future__ import annotations

import html
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from astraclr.analysis._page_template import filled_template
from astraclr.analysis.discovery import Discovery
from astraclr.analysis.expert_answers import counted
from astraclr.data.taxonomy import BAND_COLOURS, BAND_MARKS

MOST_ASKED = 1_000
"""Stars that a page asks about at most: with 150 observations each it has some 5 MB."""
METHOD_NAMES = {"aad": "active anomaly detection", "pine": "Pine Forest"}


def discovery_page(search: Discovery, table: pd.DataFrame, top: int = 100) -> str:
    """Make the page that asks about the stars of largest scores that have no answer yet.

    Parameters
    ----------
    search : stars, light curves and answers so far
    table : as `discovery.ranked` gives it
    top : number of stars to ask about, at most `MOST_ASKED`

    Returns
    -------
    str
        HTML without references to other files

    Raises
    ------
    ValueError
        For a number out of range.

    Examples
    --------
    >>> from astraclr.analysis.discovery import new_discovery, ranked
    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> how = {"method": "aad", "seed": 0, "use": ["embeddings"], "encoder": "", "checkpoint": ""}
    >>> search = new_discovery(np.arange(20).astype(str), np.full(20, ""), x, how)
    >>> page = discovery_page(search, ranked(search), top=5)
    >>> "5 of 20 stars: oddities?" in page, "https:" in page
    (True, False)
    """
    if not 1 <= top <= MOST_ASKED:
        raise ValueError(f"a page asks about 1 to {MOST_ASKED:,} stars, not {top:,}")
    asked = table.loc[table["answer"] == ""].head(top)
    title = f"{len(asked):,} of {len(table):,} stars: oddities?"
    facts: dict[str, Any] = {
        "key": search.key,
        "round": search.rounds + 1,
        "note": _note(search),
        "bands": _bands(search),
        "stars": _stars(search, asked),
    }
    parts = {
        "TITLE": html.escape(title),
        "DATA": json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return filled_template("discovery.html", parts)


def _note(search: Discovery) -> str:
    """How the stars were ranked, in words."""
    how = search.settings
    encoder = f" of encoder {how['encoder']}" if how["encoder"] and set(how["use"]) != {"features"} else ""
    return (
        f"Ranked by {METHOD_NAMES[how['method']]} on {' and '.join(how['use'])}{encoder}; {counted(search.answers)}."
        f"{'' if search.curves is not None else ' No light curves were given, so only ids and scores are shown.'}"
    )


def _bands(search: Discovery) -> list[dict[str, str]]:
    """Name, colour and mark of each band."""
    names = list(search.curves.bands) if search.curves is not None else []
    marks = {"o": "circle", "s": "square", "^": "up", "v": "down", "D": "diamond"}
    spare = list(marks.values())
    return [
        {
            "name": name,
            "colour": BAND_COLOURS.get(name, "#777777"),
            "mark": marks.get(BAND_MARKS.get(name, ""), spare[k % len(spare)]),
        }
        for k, name in enumerate(names)
    ]


def _stars(search: Discovery, asked: pd.DataFrame) -> list[dict[str, Any]]:
    """What the page shows of each star: names, rank, score, period, and band, time, magnitude, error of each point."""
    lc = search.curves
    place = {} if lc is None else {star: k for k, star in enumerate(lc.object_id.tolist())}
    out = []
    for rank, star, label, score in zip(
        *(asked[c].tolist() for c in ("rank", "object_id", "label", "score")), strict=True
    ):
        points: list[list[list[float]]] = []
        period = 0.0
        if lc is not None and star in place:
            k = place[star]
            cuts = lc.offsets[k * len(lc.bands) : (k + 1) * len(lc.bands) + 1]
            points = [
                [np.round(c[a:b].astype(float), d).tolist() for c, d in ((lc.mjd, 4), (lc.mag, 3), (lc.magerr, 3))]
                for a, b in pairwise(cuts)
            ]
            period = float(lc.period[k]) if np.isfinite(lc.period[k]) else 0.0
        out.append(
            {"id": star, "label": label, "rank": rank, "score": round(score, 4), "period": period, "points": points}
        )
    return out
