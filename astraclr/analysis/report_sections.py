"""Sections of a report on stars: tables, figures and words, as HTML in which every name is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from astraclr.analysis import report_figures as draw
from astraclr.analysis.classifier import Head
from astraclr.analysis.explorer import legend
from astraclr.data.escaping import for_terminal
from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import to_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_NAME = 80
"""Characters of a name that are shown."""
_MOST_LABELS = 20
"""Classes or labels listed one by one."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What was computed of the stars of a report.

    Attributes
    ----------
    scores : (n,) outlier scores
    near, similarity : (n, k) nearest other stars, and their cosine
    xy : (n, 2) the map, None for too few stars
    strangest, chosen : rows of the oddities, strangest first, and of the stars whose neighbours are shown
    named, probability, flagged : (n,) predicted class ("" without a head), its probability, flags
    """

    scores: np.ndarray
    near: np.ndarray
    similarity: np.ndarray
    xy: np.ndarray | None
    strangest: np.ndarray
    chosen: np.ndarray
    named: np.ndarray
    probability: np.ndarray
    flagged: np.ndarray


@dataclass
class Figures:
    """Numbers the figures of a page."""

    drawn: int = 0
    made: list[str] = field(default_factory=list)

    def add(self, figure: Figure, alt: str, caption: str = "") -> str:
        """A figure as HTML, with a text for those who do not see it."""
        self.drawn += 1
        below = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
        return f"<figure>{draw.svg(figure, alt, self.drawn)}{below}</figure>"


def escaped(text: object) -> str:
    """Text for HTML: one line, nothing in it is markup, control characters become visible.

    Examples
    --------
    >>> escaped("<b>")
    '&lt;b&gt;'
    """
    return html.escape(for_terminal(text))


def name_of(lc: LightCurves, star: int) -> str:
    """Id of a star, escaped and cut where it is too long."""
    text = str(lc.object_id[star])
    return escaped(text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "...")


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; the first cell of a row names it.

    Examples
    --------
    >>> "<td>3</td>" in table("Stars", ["class", "stars"], [["RR", 3]])
    True
    """
    top = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escaped(first)}</th>{"".join(f"<td>{escaped(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(caption)}"><table><caption>'
        f"{escaped(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def what_was_read(lc: LightCurves) -> str:
    """Numbers of stars and observations, and the count of every reason for which something was dropped."""
    low, high = float(lc.mjd.min()), float(lc.mjd.max())
    words = (
        f"<p>{len(lc):,} stars with {lc.n_obs:,} observations, from MJD {low:,.1f} to {high:,.1f} "
        f"({high - low:,.0f} days).</p>"
    )
    if not lc.notes:
        return words + "<p>Nothing was dropped.</p>"
    return words + table(
        "What was dropped or noticed", ["reason", "number"], [[r, f"{n:,}"] for r, n in lc.notes.items()]
    )


def cadence(lc: LightCurves, figures: Figures) -> str:
    """Epochs, gaps, time spans and errors of each band: a table and three figures."""
    n_bands, gaps, epochs, rows = len(lc.bands), {}, {}, []
    step, same = np.diff(lc.mjd), np.diff(lc.segment) == 0
    band_of = lc.segment % n_bands
    starts = lc.offsets[:-1].reshape(-1, n_bands)
    for k, band in enumerate(lc.bands):
        n = lc.counts[:, k]
        epochs[band] = n[n > 0]
        gaps[band] = step[same & (band_of[:-1] == k)]
        gaps[band] = gaps[band][gaps[band] > 0]
        first = starts[n > 0, k]
        span = lc.mjd[first + n[n > 0] - 1] - lc.mjd[first]
        error = lc.magerr[band_of == k]
        if not len(error):
            rows.append([band, f"{lc.bands[band]:,.0f}", "0", *["-"] * 4])
            continue
        gap = f"{np.median(gaps[band]):,.2g}" if len(gaps[band]) else "-"
        few, middle, many = (f"{v:,.0f}" for v in np.percentile(epochs[band], [0, 50, 100]))
        rows.append(
            [band, f"{lc.bands[band]:,.0f}", f"{len(epochs[band]):,}", f"{few} / {middle} / {many}",
             f"{np.median(span):,.0f}", gap, f"{np.median(error):.3f}"]
        )  # fmt: skip
    head = ["band", "angstrom", "stars", "epochs: least / median / most", "days, median", "gap (days), median"]
    words = table("Epochs, time span, gaps and errors of each band", [*head, "error (mag), median"], rows)
    seen = {band: v for band, v in epochs.items() if len(v)}
    medians = ", ".join(f"{band} {np.median(v):,.0f}" for band, v in seen.items())
    between = {band: gaps[band] for band in seen}
    return words + '<div class="grid">' + "".join(
        [
            figures.add(
                draw.histogram(seen, "epochs of a star"),
                f"Histograms of the epochs of a star in each band; medians: {medians}.",
                "Epochs of a star, in each band.",
            ),
            figures.add(
                draw.histogram(between, "days from one epoch to the next", logarithmic=True),
                "Histograms of the days between consecutive epochs in each band, on a logarithmic scale.",
                "Gaps between consecutive epochs of a band.",
            ),
            figures.add(
                draw.errors(lc),
                "Stated errors against magnitudes, one mark for each observation, on a logarithmic scale.",
                "Stated errors against magnitudes; of many observations a part, evenly chosen.",
            ),
        ]
    ) + "</div>"  # fmt: skip


def map_of_stars(lc: LightCurves, found: Findings, figures: Figures) -> str:
    """The map of the embeddings, by predicted class or else by label, with the oddities numbered."""
    if found.xy is None:
        return f"<p>{len(lc):,} stars are too few for a map, which needs at least 16.</p>"
    by_class = bool((found.named != "").any())
    entries, index = legend(found.named if by_class else lc.label)
    names = np.array([entry["name"] for entry in entries])[index]
    what = "predicted class" if by_class else "label"
    colours = {entry["name"]: entry["colour"] for entry in entries}
    return (
        "<p>Each mark is a star. Near stars look alike to the encoder; distances between far groups mean little on "
        "such a map (UMAP). Numbers mark the oddities, 1 for the strangest.</p>"
        + figures.add(
            draw.star_map(found.xy, names, colours, found.strangest),
            f"Map of {len(lc):,} stars, marks by {what} ({', '.join(colours)}), the {len(found.strangest)} oddities "
            "numbered.",
            f"Map of the embeddings; marks and colours by {what}.",
        )
    )


def classes(lc: LightCurves, found: Findings, head: Head | None) -> str:
    """Predicted classes with flags and confidence; labels beside them, where there are any."""
    if head is None:
        return "<p>This encoder has no head, so no classes were predicted.</p>"
    rows = []
    for name, n in _by_number(found.named):
        of = found.named == name
        flagged = np.count_nonzero(found.flagged[of] != "")
        sure = np.median(found.probability[of])
        rows.append(
            [name or "none", f"{n:,}", f"{flagged:,}", f"{sure:.2f}", f"{np.mean(found.probability[of] > 0.9):.0%}"]
        )
    columns = ["predicted class", "stars", "flagged", "probability, median", "share above 0.9"]
    words = table("Predicted classes", columns, rows[:_MOST_LABELS])
    reasons = ("unlike training stars", "few epochs", "no finite probability")
    n = {r: np.count_nonzero(np.char.find(found.flagged.astype(str), r) >= 0) for r in reasons}
    words += table(
        "Flags: these predictions are not reliable",
        ["flag", "stars"],
        [[r, f"{k:,}"] for r, k in n.items() if k or r != reasons[2]],
    )
    own = np.array([to_class(label) or label for label in lc.label.tolist()])
    if (known := np.isin(own, head.classes)).any():
        right = np.mean(own[known] == found.named[known])
        words += f"<p>{known.sum():,} stars bring a label that the head knows; it agrees with {right:.0%} of them.</p>"
    return words


def _by_number(names: np.ndarray) -> list[tuple[str, int]]:
    """Distinct names with their numbers, the most frequent first."""
    found, number = np.unique(names, return_counts=True)
    return sorted(((str(a), int(b)) for a, b in zip(found, number, strict=True)), key=lambda pair: (-pair[1], pair[0]))


def _about(lc: LightCurves, found: Findings, star: int) -> str:
    """What is known of a star, as one line of HTML."""
    facts = [f"{int(lc.counts[star].sum()):,} observations", f"outlier score {found.scores[star]:.3f}"]
    if lc.label[star]:
        facts.append(f"label {lc.label[star]}")
    if found.named[star]:
        facts.append(f"predicted {found.named[star]} at {found.probability[star]:.2f}")
    if found.flagged[star]:
        facts.append(f"flag: {found.flagged[star]}")
    return f"<p>{escaped('; '.join(facts))}</p>"


def _card(lc: LightCurves, found: Findings, figures: Figures, star: int, title: str) -> str:
    """A star with its light curve."""
    mags = lc[star : star + 1].mag
    alt = f"Light curve of {lc.object_id[star]}, magnitude {mags.min():.2f} to {mags.max():.2f} against MJD."
    drawn = figures.add(draw.light_curve(lc, star), alt[:300])
    return f"<article><h3>{title}</h3>{_about(lc, found, star)}{drawn}</article>"


def oddities(lc: LightCurves, found: Findings, figures: Figures) -> str:
    """The stars of largest outlier score, with their light curves."""
    cards = [
        _card(lc, found, figures, star, f"{number}. {name_of(lc, star)}")
        for number, star in enumerate(found.strangest.tolist(), start=1)
    ]
    return (
        "<p>The largest outlier scores of an isolation forest on the embeddings. Far from the crowd is not the same as "
        "interesting: look at them. At most 150 observations of a star are drawn.</p>"
        f'<div class="grid">{"".join(cards)}</div>'
    )


def nearest(lc: LightCurves, found: Findings, figures: Figures) -> str:
    """The nearest neighbours of a few stars: the strangest, one of middling and one of the smallest outlier score."""
    parts = [
        "<p>The strangest star, one of middling and one of the smallest outlier score, each before the stars that are "
        "nearest to it in the embedding.</p>"
    ]
    for star in found.chosen.tolist():
        cards = [_card(lc, found, figures, star, name_of(lc, star))]
        for other, cosine in zip(found.near[star].tolist(), found.similarity[star].tolist(), strict=True):
            cards.append(_card(lc, found, figures, other, f"near it: {name_of(lc, other)}, cosine {cosine:.3f}"))
        parts.append(f'<div class="grid">{"".join(cards)}</div>')
    return "".join(parts)
