"""The map of stars as one HTML page that needs no network: zoom, search, lasso, and the light curve of every star.

The template is ``explorer.html`` beside this file, plain JavaScript. Its data are written into it: columns as base64 of
little-endian arrays, and, after the page's script, the light curves, so that the map is drawn before they are loaded.
"""

from __future__ import annotations

import base64
import html
import json
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from astraclr.analysis._page_template import filled_template
from astraclr.analysis.classifier import Head
from astraclr.analysis.latent_space import neighbours, umap_map
from astraclr.analysis.packed_curves import POINTS, brightest, first_times, packed, thinned
from astraclr.analysis.page_size import need_few_enough, points_a_star
from astraclr.analysis.predictions import flags
from astraclr.analysis.similar import exact, unit
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.data.taxonomy import BAND_COLOURS, CLASSES, COLOURS, to_class
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed

FEWEST = 16
"""Smallest number of stars: UMAP uses 15 neighbours of each."""
NEIGHBOURS = 10
MOST_FOREIGN = 1_000
"""Largest number of stars that are not in the table: they are drawn larger than the others."""

_GREY = "#bbbbbb"
_SPARE = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d", "#e45756", "#72b7b2", "#d6a5c9", "#8c8c00", "#5e6bd8")
"""Colours of labels outside the taxonomy, the most frequent ones first."""


def explorer(
    lc: LightCurves,
    checkpoint: Checkpoint,
    head: Head | None = None,
    *,
    foreign: LightCurves | None = None,
    max_stars: int = 5_000,
    seed: int = 42,
    points: int = POINTS,
    progress: bool = False,
) -> str:
    """Make a page with the map, neighbours, outlier scores and light curves of stars.

    Parameters
    ----------
    lc : light curves; the page shows labels and periods where they are known
    checkpoint, head : embeds the stars, and adds predicted classes
    foreign : stars that are to be compared with those of the map, in the same bands: they change neither the map nor
        the scores, have neighbours among its stars alone, and stand at the mean place of these
    max_stars : if there are more stars, so many are drawn at random
    seed, points : of that choice, map and outlier scores; and largest number of observations per light curve, fewer
        for many stars

    Returns
    -------
    str
        HTML without references to other files

    Raises
    ------
    ValueError
        For fewer than `FEWEST` stars or more than `page_size.MOST_STARS`, more than `MOST_FOREIGN` foreign ones,
        identifiers that repeat, other bands, or a light curve that spans more than 1,000 years. Without coniferest it
        warns, and the page has no outlier scores.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> explorer(simulate(4, seed=0), load_checkpoint("tiny"))
    Traceback (most recent call last):
    ValueError: 4 stars are too few for a map; give at least 16
    """
    need_few_enough(min(len(lc), max_stars))
    lc, notes = _drawn(lc, max_stars, seed)
    n_own = len(lc)
    lc = lc if foreign is None else _with_foreign(lc, foreign, notes)
    points = points_a_star(len(lc), points, len(lc.bands))
    thin = thinned(lc, points)
    curves = packed(thin)  # refuses impossible times before the long work
    if n := int((thin.counts.sum(1) < lc.counts.sum(1)).sum()):
        notes.append(f"Points were left out of {n:,} light curves: the page holds at most {points} a star.")
    x = embed(lc, checkpoint, progress=progress)
    with tqdm(total=2, desc="outlier scores", unit="step", disable=not progress) as bar:
        scores = _outlier_scores(x[:n_own], seed, notes)
        bar.update()
        bar.set_description("neighbours and map")  # a bar that is moved is drawn only now and then: this draws it
        facts, columns = _facts(lc, thin, x, seed, n_own)
        bar.update()
    if head is not None:
        inputs = head.inputs(lc, x if head.fusion == "mean" else embed(lc, checkpoint, fusion=head.fusion))
        p = head.probabilities(inputs)
        facts["predictions"], columns["predicted"] = legend(head.named(p))
        columns["probability"] = p.max(1).astype("<f4")
        facts["flags"] = flags(lc, head.novelty(inputs), p)
    if scores is not None:  # the page shows none for foreign stars
        columns["score"] = np.pad(scores, (0, len(lc) - n_own), constant_values=scores.min()).astype("<f4")
    facts["columns"] = {name: [f"{c.dtype.kind}{c.dtype.itemsize}", _base64(c)] for name, c in columns.items()}
    return filled({"encoder": checkpoint.name, "notes": notes, "foreign": len(lc) - n_own} | facts, curves)


def _with_foreign(lc: LightCurves, foreign: LightCurves, notes: list[str]) -> LightCurves:
    """The stars of the map and, after them, those that are compared with them, under names that differ."""
    if len(foreign) > MOST_FOREIGN:
        raise ValueError(
            f"{len(foreign):,} stars to compare with the map; at most {MOST_FOREIGN:,}: take fewer, or use `astraclr "
            "similar`, which has no such limit"
        )
    known, names = set(lc.object_id.tolist()), []
    for name in foreign.object_id.tolist():
        while name in known:
            name += " (other file)"
        known.add(name)
        names.append(name)
    notes.append(
        f"{len(foreign):,} stars (diamonds) are not of the map: each stands, approximately, at the mean place of its "
        f"{NEIGHBOURS} nearest neighbours."
    )
    return concatenate([lc, replace(foreign, object_id=np.array(names), notes={})])


def _drawn(lc: LightCurves, max_stars: int, seed: int) -> tuple[LightCurves, list[str]]:
    """At most `max_stars` stars, and notes for the page."""
    if min(len(lc), max_stars) < FEWEST:
        raise ValueError(f"{min(len(lc), max_stars)} stars are too few for a map; give at least {FEWEST}")
    if len(set(lc.object_id)) < len(lc):
        raise ValueError(f"{len(lc) - len(set(lc.object_id)):,} object_ids repeat; stars are found by them")
    if len(lc) <= max_stars:
        return lc, []
    rows = np.sort(np.random.default_rng(seed).choice(len(lc), max_stars, replace=False))
    return lc[rows], [f"{max_stars:,} of {len(lc):,} stars, drawn at random (seed {seed})."]


def _facts(
    lc: LightCurves, thin: LightCurves, x: np.ndarray, seed: int, n_own: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page holds of the stars besides their light curves: facts, and columns with a value per star.

    Those from number `n_own` on are foreign.
    """
    near, similarity = neighbours(x[:n_own], NEIGHBOURS)
    xy = umap_map(x[:n_own], seed)
    if n_own < len(x):
        more, alike = exact(unit(x[:n_own]), unit(x[n_own:]), NEIGHBOURS)
        xy = np.concatenate([xy, xy[more].mean(axis=1)])
        near, similarity = np.concatenate([near, more]), np.concatenate([similarity, alike])
    names, labels = np.unique(lc.label, return_inverse=True)
    classes, of_class = legend(lc.label)
    columns: dict[str, np.ndarray] = {
        "xy": xy.astype("<f4"),
        "neighbours": near.astype("<u4"),
        "similarity": similarity.astype("<f4"),
        "shown": thin.counts.astype("<u4"),
        "observed": lc.counts.astype("<u4"),
        "period": lc.period.astype("<f8"),
        "label": labels.astype("<u4"),
        "class": of_class,
        "start": np.floor(first_times(thin)).astype("<f8"),
        "brightest": brightest(thin).astype("<i4"),
    }
    facts: dict[str, Any] = {
        "ids": lc.object_id.tolist(),
        "labels": names.tolist(),
        "classes": classes,
        "bands": [{"name": b, "colour": BAND_COLOURS.get(b, "#555555")} for b in lc.bands],
    }
    return facts, columns


def _outlier_scores(x: np.ndarray, seed: int, notes: list[str]) -> np.ndarray | None:
    """Outlier scores; without coniferest None, and a note for the page."""
    from astraclr.analysis.outliers import outlier_scores

    try:
        return outlier_scores(x, seed)
    except ImportError as error:
        warnings.warn(f"the page gets no outlier scores: {error}", stacklevel=3)
        notes.append("No outlier scores: coniferest was not installed when this page was made.")
        return None


def filled(facts: dict[str, Any], curves: str) -> str:
    """Fill the template with facts and light curves, escaped so that no text can end the element that holds it.

    Parameters
    ----------
    facts : plain JSON, with "ids" and "encoder"
    curves : light curves, see `packed`

    Examples
    --------
    >>> "Map of 1 light curves, tiny" in filled({"ids": ["1"], "encoder": "tiny"}, "")
    True
    """
    title = f"Map of {len(facts['ids']) - facts.get('foreign', 0):,} light curves, {facts['encoder']}"
    parts = {
        "TITLE": html.escape(title),
        "CURVES": curves,
        "DATA": json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return filled_template("explorer.html", parts)


def _base64(column: np.ndarray) -> str:
    """Bytes of an array as base64."""
    return base64.b64encode(np.ascontiguousarray(column).tobytes()).decode()


def legend(labels: np.ndarray) -> tuple[list[dict[str, str]], np.ndarray]:
    """Entries of the legend, and the entry of each star.

    Labels that name a class of the taxonomy get its name and colour; the most frequent others keep their own name.

    Parameters
    ----------
    labels : (n,) str

    Returns
    -------
    entries : dicts of "name" and "colour"
    index : (n,) uint32, number of each star's entry

    Examples
    --------
    >>> entries, index = legend(np.array(["RR", "", "RR"]))
    >>> [entry["name"] for entry in entries], index.tolist()
    (['RR', 'unlabelled'], [0, 1, 0])
    """
    own = {str(label): to_class(label) or str(label) for label in np.unique(labels)}
    foreign = Counter(name for name in map(own.__getitem__, labels.tolist()) if name and name not in CLASSES)
    colours = {c: COLOURS[c] for c in CLASSES if c in own.values()}
    colours |= {name: colour for (name, _), colour in zip(foreign.most_common(), _SPARE, strict=False)}
    if len(foreign) > len(_SPARE):
        colours["other labels"] = _GREY
    if "" in own:
        colours["unlabelled"] = _GREY
    number = {name: k for k, name in enumerate(colours)}
    place = {label: number.get(name or "unlabelled", number.get("other labels", 0)) for label, name in own.items()}
    return (
        [{"name": name, "colour": colour} for name, colour in colours.items()],
        np.array([place[label] for label in labels.tolist()], "<u4"),
    )
