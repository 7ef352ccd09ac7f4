"""A report on stars as one HTML page: what was read, cadence, map, classes, oddities, neighbours, the encoder.

The template is ``star_report.html`` beside this file; the page holds no script and refers to nothing outside itself.
`report_sections` writes its sections, `report_figures` draws. Equal input gives equal bytes on a machine.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from astraclr.analysis import report_sections as sections
from astraclr.analysis._page_template import filled_template
from astraclr.analysis.classifier import Head
from astraclr.analysis.latent_space import neighbours, umap_map
from astraclr.analysis.outliers import outlier_scores
from astraclr.analysis.predictions import flags
from astraclr.analysis.report_sections import Findings, escaped
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.files import read_json, shipped_file
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed

MOST_STARS = 5_000
"""Stars that are embedded and drawn; where there are more, so many are drawn at random, and the page says so."""
ODDITIES, NEAREST, FEWEST_ON_MAP = 10, 3, 16
"""Oddities shown; neighbours of a star; stars that a map needs."""


def star_report(
    lc: LightCurves,
    checkpoint: Checkpoint,
    head: Head | None = None,
    *,
    source: str = "",
    max_stars: int = MOST_STARS,
    seed: int = 42,
    progress: bool = False,
) -> str:
    """Make a page about stars that its reader can send to a colleague.

    Parameters
    ----------
    lc : light curves, with the counts of what was dropped in their notes
    checkpoint, head : embeds the stars, and predicts their classes
    source : name of the file, for the title
    max_stars : so many stars are embedded at most, drawn at random; counts and cadence are of all stars
    seed : of that choice, of the map and the outlier scores
    progress : show bars

    Returns
    -------
    str
        HTML without references to other files and without a script

    Raises
    ------
    ValueError
        For fewer than two stars.
    ImportError
        Without matplotlib, umap-learn or coniferest; ``pip install "astraclr[plot,interop]"`` installs them.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> page = star_report(simulate(4, seed=0), load_checkpoint("tiny"))
    >>> 'id="cadence"' in page, "<script" in page
    (True, False)
    """
    if min(len(lc), max_stars) < 2:
        raise ValueError(f"{min(len(lc), max_stars)} star is too few for a report; give at least 2")
    rows = np.arange(len(lc))
    if len(lc) > max_stars:
        rows = np.sort(np.random.default_rng(seed).choice(len(lc), max_stars, replace=False))
    shown = lc[rows]
    x = embed(shown, checkpoint, progress=progress)
    steps = ["outlier scores, neighbours, map", "cadence", "classes", "oddities", "neighbours"]
    with tqdm(total=len(steps), desc=steps[0], unit="step", disable=not progress) as bar:

        def done(after: str = "") -> None:
            bar.update()
            bar.set_description(after)

        found = _findings(shown, x, head, seed)
        parts = [("What was read", sections.what_was_read(lc)), ("Caveat", _caveat(shown, found, checkpoint))]
        done(steps[1])
        figures = sections.Figures()
        parts.append(("Cadence", sections.cadence(lc, figures)))
        done(steps[2])
        parts += [
            ("Map", sections.map_of_stars(shown, found, figures)),
            ("Classes", sections.classes(shown, found, head)),
        ]
        done(steps[3])
        parts.append(("Oddities", sections.oddities(shown, found, figures)))
        done(steps[4])
        parts.append(("Neighbours", sections.nearest(shown, found, figures)))
        parts.append(("The encoder", _encoder(checkpoint, head)))
        done()
    title = f"Report on {len(lc):,} light curves" + (f": {source}" if source else "")
    lead = f"Made by astraclr with the encoder {checkpoint.name}."
    if len(shown) < len(lc):
        lead += (
            f" Counts and cadence are of all stars; map, classes, oddities and neighbours are of {len(shown):,} of "
            f"them, drawn at random (seed {seed})."
        )
    return _page(title, lead, parts)


def _findings(lc: LightCurves, x: np.ndarray, head: Head | None, seed: int) -> Findings:
    """What is computed of the stars before anything is drawn."""
    scores = outlier_scores(x, seed)
    near, similarity = neighbours(x, min(NEAREST, len(lc) - 1))
    xy = umap_map(x, seed) if len(lc) >= FEWEST_ON_MAP else None
    strangest = np.argsort(-scores, kind="stable")[:ODDITIES]
    typical = np.argsort(scores, kind="stable")
    chosen = np.array([strangest[0], typical[len(typical) // 2], typical[0]])
    named, probability, flagged = np.full(len(lc), ""), np.full(len(lc), np.nan), [""] * len(lc)
    if head is not None:
        inputs = head.inputs(lc, x)
        p = head.probabilities(inputs)
        named, probability, flagged = head.named(p), p.max(1), flags(lc, head.novelty(inputs), p)
    return Findings(scores, near, similarity, xy, strangest, np.unique(chosen), named, probability, np.array(flagged))


def _page(title: str, lead: str, parts: Iterable[tuple[str, str]]) -> str:
    """Fill the template."""
    named = [(name, name.lower().replace(" ", "-"), body) for name, body in parts]
    values = {
        "TITLE": escaped(title),
        "LEAD": escaped(lead),
        "NAV": "".join(f'<li><a href="#{key}">{escaped(name)}</a></li>' for name, key, _ in named),
        "BODY": "\n".join(
            f'<section aria-labelledby="{key}">\n<h2 id="{key}">{escaped(name)}</h2>\n{body}\n</section>'
            for name, key, body in named
        ),
    }
    return filled_template("star_report.html", values)


def _caveat(lc: LightCurves, found: Findings, checkpoint: Checkpoint) -> str:
    """What a reader must know before she believes classes and oddities."""
    said = [
        f"The encoder was trained on {_trained_on(checkpoint)}; classes and oddities are meant for stars of that kind."
    ]
    foreign = [b for b in lc.bands if b not in ZTF_BANDS or not np.isclose(lc.bands[b], ZTF_BANDS[b], rtol=0.02)]
    if foreign:
        said.append(
            f"Your stars come from another survey (band{'s' if len(foreign) > 1 else ''} {', '.join(foreign)}): a band "
            "that the encoder does not know is read as the nearest one, and classes may be wrong although their "
            "probability is high. Believe the map and the neighbours before the classes."
        )
    unlike = np.char.find(found.flagged.astype(str), "unlike training stars") >= 0
    if unlike.any():
        said.append(f"{unlike.sum():,} of {len(lc):,} stars ({unlike.mean():.0%}) are unlike the training stars.")
    return f'<p class="caveat">{escaped(" ".join(said))}</p>'


def _trained_on(checkpoint: Checkpoint) -> str:
    """The training stars of an encoder, in words."""
    if not checkpoint.data:
        return "nothing: its weights are random"
    for config in sorted(shipped_file("checkpoints").glob("*/config.json")):
        if read_json(config).get("sha256") == checkpoint.sha256:
            return f"simulated stars with the cadence and errors of ZTF ({checkpoint.data})"
    return f"stars of its own maker ({checkpoint.data})"


def _encoder(checkpoint: Checkpoint, head: Head | None) -> str:
    """Name, hash and training of the encoder, and what its head was worth."""
    windows = ", ".join(f"{band} {n}" for band, n in checkpoint.preset.windows)
    facts = [
        ("Name", checkpoint.name),
        ("SHA-256", checkpoint.sha256 or "not saved"),
        ("Trained on", _trained_on(checkpoint)),
        ("Recipe", f"{checkpoint.recipe.name}, preset {checkpoint.preset.name}, seed {checkpoint.seed}"),
        ("Longest window", f"{windows} observations"),
    ]
    if head is not None and np.isfinite(head.accuracy):
        facts.append(("Head", f"right for {head.accuracy:.2f} of held-out stars of the kind that it was fitted on"))
    if head is not None and head.real_sky:
        sky = head.real_sky
        kind = f"{sky['n']:,} labelled real stars of {sky['survey']}"
        said = f"right for {sky['accuracy']:.2f} of {kind}, at a mean probability of {sky['confidence']:.2f}"
        facts.append(("On the sky", said))
    return "<dl>" + "".join(f"<dt>{escaped(a)}</dt><dd>{escaped(b)}</dd>" for a, b in facts) + "</dl>"
